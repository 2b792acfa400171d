"""What corrections of labels changed: the same models before and after, on the same test photos.

Before is a run without the corrections, after the run with them. Both are judged by the
corrected labels on the test photos that both answered, so that what differs is what was
learned and not what counts as right. What stood in the report before, judged by the labels as
they were, is given beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pegboard.corrections import LabelChange
from pegboard.errors import PegboardError, RunFolderError
from pegboard.evaluate import Predictions
from pegboard.history.changes import pair_photos, value_changes
from pegboard.history.difference import Difference, paired, with_p
from pegboard.history.finished import FinishedRun
from pegboard.manifest import ManifestRow
from pegboard.metrics import DRAWS, confusion_matrix, macro_f1
from pegboard.photos import SPLITS
from pegboard.runs import read_json
from pegboard.significance import holm
from pegboard.words import count, listing

MOST_LISTED = 500
"""Changed photos that are named, test photos first; all are counted."""

EVERY_FOLD = "every fold"

LEFT_OUT = "left out"

Pair = tuple[ManifestRow, ManifestRow]


@dataclass(frozen=True)
class ChangedPhoto:
    """One photo with another label; ``after`` is empty when it was dropped.

    ``split`` is where the photo is, or was when it was dropped; ``left out`` where it is in none.
    """

    path: str
    before: str
    after: str
    split: str


@dataclass(frozen=True)
class Figures:
    """A model's figures on the photos compared; ``macro_f1`` None where classes vanished."""

    accuracy: float
    macro_f1: float | None


@dataclass(frozen=True)
class ModelEffect:
    """One model before and after, by the corrected labels.

    ``before_old_labels`` judges the same answers of before by the labels as they were;
    ``difference`` has A for before and B for after.
    """

    name: str
    before: Figures
    before_old_labels: Figures
    after: Figures
    difference: Difference


@dataclass(frozen=True)
class Effect:
    """Before and after.

    Attributes
    ----------
    run
        Name of the run before.
    n
        Test photos that both answered; dropped photos are not among them.
    relabelled
        How many of them have another label now.
    models
        Every model of both.
    not_compared
        Name and reason of the others.
    notes
        What else differs between the two, so that the difference is not of the corrections
        alone.
    """

    run: str
    n: int
    relabelled: int
    models: tuple[ModelEffect, ...]
    not_compared: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        data = asdict(self)
        data["not_compared"] = [
            {"name": name, "reason": reason} for name, reason in self.not_compared
        ]
        return data


# --- what was changed -------------------------------------------------------------------------


def changed_photos(
    changes: Sequence[LabelChange],
    rows: Sequence[ManifestRow],
    earlier: Mapping[str, str],
    *,
    folds: bool = False,
) -> list[ChangedPhoto]:
    """Return the corrected photos with their splits, those of the test photos first.

    Parameters
    ----------
    changes
        As the corrections made them.
    rows
        The photos that are used.
    earlier
        Split of photos in the run before, by checksum: where dropped photos were.
    folds
        Whether every photo is tested once and learned from otherwise.
    """
    split_of = {row.path: row.split for row in rows}
    changed = []
    for one in changes:
        split = split_of.get(one.path) if one.after else earlier.get(one.sha256)
        split = EVERY_FOLD if split and folds else split or LEFT_OUT
        changed.append(ChangedPhoto(one.path, one.before, one.after, split))
    order = {"test": 0, "validation": 1, "train": 2}
    return sorted(changed, key=lambda photo: (order.get(photo.split, 3), photo.path))


def effect_json(
    file: str,
    decisions: Mapping[str, int],
    changed: Sequence[ChangedPhoto],
    effect: Effect | None,
    why_not: str,
) -> dict[str, Any]:
    """Return the key ``corrections`` of ``leaderboard.json``.

    Parameters
    ----------
    file
        Name of the corrections' file.
    decisions
        How many hold, by action.
    changed
        What they did.
    effect
        Before and after; None where there is nothing to compare with.
    why_not
        Then why, and how to get it.
    """
    places = sorted({photo.split for photo in changed} | set(SPLITS), key=_place)
    if any(photo.split == EVERY_FOLD for photo in changed):
        places = [place for place in places if place not in SPLITS]
    counted = Counter((photo.split, bool(photo.after)) for photo in changed)
    return {
        "file": file,
        "decisions": dict(decisions),
        "relabelled": sum(bool(photo.after) for photo in changed),
        "dropped": sum(not photo.after for photo in changed),
        "changed": {
            place: {"relabelled": counted[place, True], "dropped": counted[place, False]}
            for place in places
        },
        "photos": [asdict(photo) for photo in changed[:MOST_LISTED]],
        "effect": effect.to_json() if effect else None,
        "why_not": why_not,
    }


def _place(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS)), split


# --- before and after -------------------------------------------------------------------------


def effect_of_runs(before: FinishedRun, after: FinishedRun, *, draws: int = DRAWS) -> Effect | None:
    """Return the effect of what run ``after`` corrected; None if it corrected nothing more."""
    file = _settings(after.record).get("corrections")
    if not file:
        return None
    if file == _settings(before.record).get("corrections") and not _has_grown(before, after):
        return None
    answers = {}
    for name in after.models():
        try:
            answers[name] = after.test(name)
        except RunFolderError:
            continue  # the comparison of runs says so itself
    return corrections_effect(before, answers, after.rows, after.record, draws=draws)


def _has_grown(before: FinishedRun, after: FinishedRun) -> bool:
    """Whether one file of corrections says more to the later of two runs."""
    if str(after.record.get("started", "")) <= str(before.record.get("started", "")):
        return False
    pairs, removed, _ = pair_photos(before.rows, after.rows)
    if any(old.label != new.label for old, new in pairs):
        return True
    dropped = {photo.get("path") for photo in _dropped(after)}
    return any(row.path in dropped for row in removed)


def _dropped(run: FinishedRun) -> Sequence[Mapping[str, Any]]:
    """Return the photos that a run names as dropped by its corrections."""
    with suppress(PegboardError):
        found = read_json(run.folder.leaderboard).get("corrections") or {}
        return [photo for photo in found.get("photos", ()) if not photo.get("after")]
    return []


def corrections_effect(
    before: FinishedRun,
    answers: Mapping[str, Predictions],
    rows: Sequence[ManifestRow],
    record: Mapping[str, Any],
    changes: Sequence[LabelChange] | None = None,
    *,
    draws: int = DRAWS,
) -> Effect | None:
    """Compare the models of a run without corrections with those of a run with them.

    Parameters
    ----------
    before
        The run without.
    answers
        To the test photos with corrected labels, by model.
    rows, record
        Manifest and ``run.json`` of the run with corrections.
    changes
        What the corrections did: whatever else differs is noted. None where that is not known.

    Returns
    -------
    Before and after; None when no test photo or no model is common.
    """
    pairs = common_test_photos(before, answers, rows, folds=bool(record.get("folds")))
    models, not_compared = [], []
    for name, answer in answers.items():
        if name not in before.models():
            not_compared.append((name, f"{before.folder.path.name} has no such model"))
            continue
        try:
            models.append(_model_effect(name, before.test(name), answer, pairs, draws=draws))
        except RunFolderError as error:
            not_compared.append((name, str(error)))
    if not pairs or not models:
        return None
    adjusted = holm([model.difference.p for model in models])
    return Effect(
        run=before.folder.path.resolve().name,
        n=len(pairs),
        relabelled=sum(old.label != new.label for old, new in pairs),
        models=tuple(
            ModelEffect(
                model.name,
                model.before,
                model.before_old_labels,
                model.after,
                with_p(model.difference, p),
            )
            for model, p in zip(models, adjusted, strict=True)
        ),
        not_compared=tuple(not_compared),
        notes=tuple(_notes(before, [model.name for model in models], rows, record, changes)),
    )


def common_test_photos(
    before: FinishedRun,
    answers: Mapping[str, Predictions],
    rows: Sequence[ManifestRow],
    *,
    folds: bool,
) -> list[Pair]:
    """Return the photos that both runs tested and neither learned from, as in each manifest.

    A photo that a correction has since said to show the object of a photo learned from before
    is not among them.
    """
    tested = {path for answer in answers.values() for path in answer.paths}
    old = [row for row in before.rows if folds or row.split == "test"]
    pairs = pair_photos(old, [row for row in rows if row.path in tested])[0]
    if folds:
        return pairs
    learned = {row.sha256 for row in before.rows if row.split != "test"}
    spoiled = {row.group or row.path for row in rows if row.sha256 in learned}
    return [pair for pair in pairs if (pair[1].group or pair[1].path) not in spoiled]


def _model_effect(
    name: str, old: Predictions, new: Predictions, pairs: Sequence[Pair], *, draws: int
) -> ModelEffect:
    # Classes that only one of the two knows stand behind: nothing is shown of them by the other.
    gone = [label for label in old.classes if label not in new.classes]
    classes = [*new.classes, *gone]
    places = [{path: index for index, path in enumerate(run.paths)} for run in (old, new)]
    missing = [a.path for a, b in pairs if a.path not in places[0] or b.path not in places[1]]
    if missing:
        raise RunFolderError(f"it did not answer {missing[0]} in both runs")
    at_old = np.array([places[0][a.path] for a, _ in pairs], dtype=np.int64)
    at_new = np.array([places[1][b.path] for _, b in pairs], dtype=np.int64)
    labels_before, labels_after = ([row.label for row in side] for side in zip(*pairs, strict=True))
    before = _answers(old, at_old, labels_after, classes)
    after = _answers(new, at_new, labels_after, classes)
    as_it_was = _answers(old, at_old, labels_before, classes)
    return ModelEffect(
        name,
        _figures(before, whole=not gone),
        _figures(as_it_was, whole=not gone),
        _figures(after, whole=not gone),
        _without_macro_f1(paired(before, after, draws=draws), whole=not gone),
    )


def _answers(
    run: Predictions, places: Any, labels: Sequence[str], classes: Sequence[str]
) -> Predictions:
    """Return a run's answers at some places, judged by these labels, among these classes."""
    number = {label: index for index, label in enumerate(classes)}
    probabilities = np.zeros((len(places), len(classes)))
    probabilities[:, [number[label] for label in run.classes]] = run.probabilities[places]
    return Predictions(
        [run.paths[place] for place in places],
        np.array([number[label] for label in labels], dtype=np.int64),
        probabilities,
        classes,
        [run.groups[place] for place in places],
    )


def _figures(answers: Predictions, *, whole: bool) -> Figures:
    matrix = confusion_matrix(answers.labels, answers.predicted, len(answers.classes))
    return Figures(float(answers.right.mean()), macro_f1(matrix) if whole else None)


def _without_macro_f1(found: Difference, *, whole: bool) -> Difference:
    """Leave out a macro-F1 over classes of which one does not exist any more."""
    if whole:
        return found
    return Difference(**(asdict(found) | {"macro_f1_change": None, "macro_f1_ci": None}))


# --- what else differs ------------------------------------------------------------------------


def _notes(
    before: FinishedRun,
    models: Sequence[str],
    rows: Sequence[ManifestRow],
    record: Mapping[str, Any],
    changes: Sequence[LabelChange] | None,
) -> list[str]:
    notes = []
    earlier = _settings(before.record).get("corrections")
    if earlier:
        notes.append(f"the run before was itself made with corrections ({earlier})")
    if changes is not None:
        notes += _other_photos(before.rows, rows, changes)
    plans, plans_now = (run.get("models") or {} for run in (before.record, record))
    changed = [
        name
        for name in models
        if any(
            value_changes((plans.get(name) or {}).get(key), (plans_now.get(name) or {}).get(key))
            for key in ("input", "recipe")
        )
    ]
    if changed:
        notes.append(f"{listing(changed)} had another input or recipe before")
    versions = [
        change.name for change in value_changes(before.record.get("versions"), record["versions"])
    ]
    if versions:
        notes.append(f"the run before was made with another version of {listing(versions)}")
    return notes


def _other_photos(
    before: Sequence[ManifestRow], rows: Sequence[ManifestRow], changes: Sequence[LabelChange]
) -> list[str]:
    """Say which photos differ although no correction is about them."""
    corrected = {change.sha256 for change in changes}
    pairs, removed, added = pair_photos(before, rows)
    parts = [
        f"{count(number, 'photo')} {what}"
        for number, what in (
            (sum(row.sha256 not in corrected for row in added), "more"),
            (sum(row.sha256 not in corrected for row in removed), "fewer"),
            (
                sum(a.label != b.label and b.sha256 not in corrected for a, b in pairs),
                "with another label in the source",
            ),
            (sum(a.split != b.split for a, b in pairs), "in another split"),
        )
        if number
    ]
    return [f"the photos differ by more than the corrections: {listing(parts)}"] if parts else []


def _settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("settings")
    return found if isinstance(found, Mapping) else {}
