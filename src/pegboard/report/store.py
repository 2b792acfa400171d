"""The pictures of the page and the answers to the test photos, within a budget.

A picture is placed on the page once, as an SVG ``<image>`` that every place refers to by its id:
so it is shown, printed and seen without a script. What a click opens is made from one island of
JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from pegboard.evaluate import Predictions
from pegboard.evidence import Evidence
from pegboard.report.pieces import PhotoStore, StoredPicture

MOST_CHARACTERS = 4_000_000
"""Of all pictures as data URIs: a page that is sent by mail stays under 6 MB."""

MOST_ANSWERS = 24_000
"""Answers of all models to the photos that a click shows: about 50 characters each."""

TOP = 3

_MEDIA = "image/webp"


class Pictures:
    """The pictures that the page has room for, by name and by photo.

    Parameters
    ----------
    evidence
        Of the run; None shows none.
    wanted
        Names of pictures, the most useful first.
    budget
        Characters of all of them as data URIs.
    """

    def __init__(
        self, evidence: Evidence | None, wanted: Iterable[str], budget: int = MOST_CHARACTERS
    ) -> None:
        self._thumbnails: Mapping[str, str] = evidence.thumbnails if evidence else {}
        self._ids: dict[str, str] = {}
        self.stored: list[StoredPicture] = []
        for name in dict.fromkeys(wanted) if evidence else ():
            assert evidence is not None
            uri = f"data:{_MEDIA};base64,{base64.b64encode(evidence.picture(name)).decode()}"
            if len(uri) > budget:
                break
            budget -= len(uri)
            self._ids[name] = f"p{len(self._ids)}"
            self.stored.append(StoredPicture(self._ids[name], uri))

    def __call__(self, name: str | None) -> str:
        """Return the id of a picture; empty for one that is not on the page."""
        return self._ids.get(name or "", "")

    def of(self, path: str) -> str:
        """Return the id of a photo's thumbnail; empty for one that is not on the page."""
        return self(self._thumbnails.get(path))


def wanted_pictures(
    evidence: Evidence, answers: Mapping[str, Predictions], shown: Mapping[str, int]
) -> Iterator[str]:
    """Name the pictures of a run, the most useful first.

    Parameters
    ----------
    evidence
        Of the run.
    answers
        To the test photos, by model, the best first.
    shown
        How many mistakes of each model the page shows.
    """
    for place, name in enumerate(answers):
        model = evidence.models.get(name)
        mistakes = model.mistakes[: shown[name]] if model else ()
        for mistake in mistakes:
            yield from _thumbnails(evidence, [mistake.path])
            if mistake.heat is not None:
                yield mistake.heat
            yield from _thumbnails(evidence, (near.path for near in mistake.neighbours))
        if place == 0:
            yield from _thumbnails(evidence, _wrong(answers[name]))
            yield from _thumbnails(evidence, _in_turns(evidence.samples.values()))
            yield from _thumbnails(evidence, chain.from_iterable(evidence.duplicates))
        for views in (*model.seen, *model.augmented) if model else ():
            yield from views.pictures
    for predictions in answers.values():
        yield from _thumbnails(evidence, _wrong(predictions))
    yield from evidence.thumbnails.values()


def _thumbnails(evidence: Evidence, paths: Iterable[str]) -> Iterator[str]:
    return (evidence.thumbnails[path] for path in paths if path in evidence.thumbnails)


def _in_turns(groups: Iterable[Sequence[str]]) -> Iterator[str]:
    """Take one of each group, then a second of each, and so on."""
    return (path for turn in zip_longest(*groups) for path in turn if path is not None)


def _wrong(predictions: Predictions) -> list[str]:
    """Return the paths of the wrong answers, the most confident first."""
    return [predictions.paths[place] for place in surest_mistakes(predictions)]


def surest_mistakes(predictions: Predictions) -> list[int]:
    """Return the places of the wrong answers, the most confident first."""
    wrong = np.flatnonzero(~predictions.right)
    confidence = predictions.probabilities[wrong].max(axis=1)
    places: list[int] = wrong[np.argsort(-confidence, kind="stable")].tolist()
    return places


def photo_store(
    answers: Mapping[str, Predictions], anchors: Mapping[str, str], pictures: Pictures
) -> PhotoStore:
    """Return the pictures and the answers for the page.

    Parameters
    ----------
    answers
        To the test photos, by model, the best first.
    anchors
        Id of each model's section.
    """
    first = next(iter(answers.values()), None)
    paths = _listed(answers)
    classes = list(first.classes) if first else []
    island = {
        "classes": classes,
        "models": [{"name": name, "id": anchors[name]} for name in answers],
        "photos": {f"t{index}": {"path": path} for index, path in enumerate(paths)},
    }
    entries: Mapping[str, dict[str, Any]] = dict(
        zip(paths, island["photos"].values(), strict=True)  # type: ignore[attr-defined]
    )
    for path, entry in entries.items():
        entry["picture"] = pictures.of(path)
        entry["answers"] = []
    for predictions in answers.values():
        _enter(predictions, entries)
    total = len(first) if first else 0
    pictured = sum(bool(entry["picture"]) for entry in entries.values())
    return PhotoStore(tuple(pictures.stored), safe_json(island), _note(total, pictured, len(paths)))


def _listed(answers: Mapping[str, Predictions]) -> list[str]:
    """Return the test photos that the page knows: mistakes first when there are too many."""
    most = MOST_ANSWERS // max(len(answers), 1)
    wrong = chain.from_iterable(_wrong(predictions) for predictions in answers.values())
    everything = chain(wrong, *(predictions.paths for predictions in answers.values()))
    return list(dict.fromkeys(everything))[:most]


def _enter(predictions: Predictions, entries: Mapping[str, dict[str, Any]]) -> None:
    """Add a model's answers: ``[class, probability]`` of the top three and of the true class."""
    order = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :TOP].tolist()
    for place, path in enumerate(predictions.paths):
        if path not in entries:
            continue
        row, true = predictions.probabilities[place], int(predictions.labels[place])
        named = order[place] + ([true] if true not in order[place] else [])
        entries[path]["true"] = true
        entries[path]["answers"].append([[index, round(float(row[index]), 4)] for index in named])


def _note(total: int, pictured: int, listed: int) -> str:
    if total in (0, pictured):
        return ""
    if pictured == 0:
        return "This run kept no pictures of its photos, so photos are shown by name."
    by_name = f"{listed - pictured:,} others by name"
    rest = f", {total - listed:,} not at all (they are in predictions.csv)"
    return (
        f"{pictured:,} of the {total:,} test photos are shown with a picture, {by_name}"
        f"{rest if total > listed else ''}: mistakes come first."
    )


def safe_json(data: Any) -> str:
    """Return JSON that can stand in a ``<script>`` element whatever a file or class is called."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
