"""Photos of one model: its mistakes, what they are like, and what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from pegboard.evaluate import Predictions
from pegboard.evidence import Evidence, Mistake, ModelEvidence, Views
from pegboard.metrics import IntArray
from pegboard.report.matrix import answered, cell
from pegboard.report.model_context import MistakeView, Sight
from pegboard.report.pieces import PhotoView
from pegboard.report.store import Pictures, surest_mistakes

MOST_MISTAKES = 24
"""Of the best model, on the page."""

MOST_MISTAKES_OF_OTHERS = 12

MOST_NEIGHBOURS = 3

MOST_SEEN = 12

MOST_AUGMENTED = 4


def mistakes_of(
    predictions: Predictions,
    matrix: IntArray,
    evidence: ModelEvidence | None,
    pictures: Pictures,
    most: int,
) -> tuple[MistakeView, ...]:
    """Return wrong answers, the most confident first, with what was kept to explain them."""
    kept = {mistake.path: mistake for mistake in evidence.mistakes} if evidence else {}
    return tuple(
        _mistake(predictions, matrix, place, kept.get(predictions.paths[place]), pictures)
        for place in surest_mistakes(predictions)[:most]
    )


def _mistake(
    predictions: Predictions, matrix: IntArray, place: int, kept: Mistake | None, pictures: Pictures
) -> MistakeView:
    true, answer = int(predictions.labels[place]), int(predictions.predicted[place])
    photo = answered(predictions, place, pictures)
    classes = predictions.classes
    return MistakeView(
        title=f"{classes[true]} taken for {classes[answer]}",
        said=", ".join(photo.lines),
        photo=replace(photo, lines=()),
        heat=_heat(photo, classes[answer], kept, pictures),
        neighbours=tuple(_neighbours(kept, pictures)),
        cell=cell(matrix, true, answer, classes),
    )


def _heat(
    photo: PhotoView, answer: str, kept: Mistake | None, pictures: Pictures
) -> PhotoView | None:
    picture = pictures(kept.heat) if kept else ""
    if not picture:
        return None
    return PhotoView(
        photo.path,
        picture,
        f"The same photo; marked is what spoke for {answer}",
        (f"why {answer}",),
    )


def _neighbours(kept: Mistake | None, pictures: Pictures) -> Iterator[PhotoView]:
    for near in kept.neighbours[:MOST_NEIGHBOURS] if kept else ():
        yield PhotoView(
            near.path,
            pictures.of(near.path),
            f"Training photo of {near.label}, similarity {near.similarity:.2f}",
            (near.label, f"{near.similarity:.2f}"),
        )


def mistakes_note(evidence: Evidence | None, mistakes: Sequence[MistakeView]) -> str:
    """Say what stands beside the mistakes."""
    said = []
    if any(mistake.heat for mistake in mistakes):
        said.append(
            "The coloured copy shows where the model looked: where covering the photo took "
            "most from its wrong answer."
        )
    if evidence is not None and mistakes:
        nearest = any(mistake.neighbours for mistake in mistakes)
        by = evidence.neighbours_by
        if by:
            said.append(
                f"Beside them stand the training photos most like it, with their similarity "
                f"(cosine, 1 at most), by {by}."
                if nearest
                else by
            )
    return " ".join(said)


def sight_of(
    evidence: ModelEvidence | None, recipe: Mapping[str, Any], pictures: Pictures
) -> Sight:
    """Return what a model sees: its input in words, and photos as they enter it."""
    seen = evidence.seen[:MOST_SEEN] if evidence else ()
    augmented = evidence.augmented[:MOST_AUGMENTED] if evidence else ()
    rows = (tuple(_views(views, "changed at random", pictures)) for views in augmented)
    return Sight(
        words=_input_in_words(recipe.get("input") or {}),
        seen=tuple(chain.from_iterable(_views(x, "as the model sees it", pictures) for x in seen)),
        augmented=tuple(row for row in rows if row),
    )


def _views(views: Views, how: str, pictures: Pictures) -> Iterator[PhotoView]:
    for name in views.pictures:
        if pictures(name):
            yield PhotoView(views.path, pictures(name), f"{views.path}, {how}")


_FITS = {
    "crop": "its middle is cut out, so long things may lose their ends",
    "letterbox": "shrunk whole, with plain bars beside it",
    "squash": "pressed into the shape, so proportions change",
}


def _input_in_words(spec: Mapping[str, Any]) -> str:
    if not spec:
        return ""
    colours = "in grey" if spec.get("channels") == 1 else "in colour"
    fit = str(spec.get("fit", ""))
    said = f": {_FITS[fit]}" if fit in _FITS else ""
    return (
        f"Every photo enters it with {spec.get('width')} by {spec.get('height')} pixels "
        f"{colours}, fitted by {fit}{said}."
    )
