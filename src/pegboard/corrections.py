"""Corrections of labels: an append-only table of decisions, applied when photos are taken in.

Photos are never touched. A later line about a photo replaces an earlier one.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pegboard.errors import PegboardError
from pegboard.photos import Intake, LeftOut, Photo
from pegboard.sources.base import class_label

COLUMNS = (
    "time", "reviewer", "action", "path", "sha256", "label_before", "label_after", "reason",
)  # fmt: skip
ACTIONS = ("accept", "keep", "relabel", "drop", "same-object", "undo")


@dataclass(frozen=True, slots=True)
class Correction:
    """One decision about one photo.

    ``accept`` takes a suggested label and ``relabel`` another one (both in ``label_after``);
    ``keep`` confirms the label; ``drop`` leaves the photo out; ``undo`` takes the photo's
    last decision back; ``same-object`` says something about groups, not labels.
    """

    action: str
    path: str
    sha256: str
    label_before: str
    label_after: str

    @property
    def label(self) -> str:
        """The label decided on, empty where none is."""
        return self.label_after or (self.label_before if self.action == "keep" else "")


def read_corrections(file: str | Path) -> list[Correction]:
    """Read ``corrections.csv``.

    Raises
    ------
    PegboardError
        When it is missing, lacks a column, or holds an unknown action.
    """
    try:
        with Path(file).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
            return _parse(file, csv.DictReader(opened))
    except OSError as error:
        raise PegboardError(f"corrections {file} cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise PegboardError(f"corrections {file} are not a CSV table: {error}") from error


def _parse(file: str | Path, table: csv.DictReader[str]) -> list[Correction]:
    missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
    if missing:
        raise PegboardError(
            f"corrections {file} lack the columns {', '.join(missing)}; expected "
            f"{', '.join(COLUMNS)}"
        )
    return [_correction(file, table.line_num, row) for row in table]


def _correction(file: str | Path, line: int, row: Mapping[str, str | None]) -> Correction:
    cells = {name: row[name] or "" for name in COLUMNS}
    action = cells["action"]
    if action not in ACTIONS:
        raise PegboardError(
            f"corrections {file}, line {line}: unknown action {action!r}; expected "
            f"{', '.join(ACTIONS)}"
        )
    if action in ("accept", "relabel") and not cells["label_after"]:
        raise PegboardError(f"corrections {file}, line {line}: {action} needs a label_after")
    if not (cells["path"] or cells["sha256"]):
        raise PegboardError(f"corrections {file}, line {line}: neither path nor sha256 is given")
    return Correction(
        action,
        cells["path"],
        cells["sha256"].lower(),
        class_label(cells["label_before"]),
        class_label(cells["label_after"]),
    )


def apply_corrections(
    intake: Intake,
    corrections: Sequence[Correction],
    *,
    merge: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
) -> Intake:
    """Return the intake with labels corrected and dropped photos left out.

    A photo is found by its checksum, so it may have moved; one whose checksum is not given, by
    its path. A label decided on holds for all copies (equal files, equal pixels) about which
    nothing else was decided; a drop, for equal files under the same label.

    Parameters
    ----------
    merge, exclude
        As for intake: they hold for corrected labels too.
    """
    decisions = _Decisions(corrections)
    merged = {class_label(name): class_label(into) for name, into in (merge or {}).items()}
    excluded = {class_label(name) for name in exclude}
    found = [decisions.about(photo) for photo in intake.photos]
    labels = _decided_labels(intake.photos, found, merged)
    of_pixels = _labels_by_pixels(intake.photos, labels)
    photos: list[Photo] = []
    left_out = list(intake.left_out)
    used: Counter[str] = Counter(decision.action for decision in found if decision)
    for photo, decision, decided in zip(intake.photos, found, labels, strict=True):
        copies = of_pixels.get(photo.pixels, set())
        label = decided or (next(iter(copies)) if len(copies) == 1 else photo.label)
        if decision and decision.action == "drop":
            left_out.append(LeftOut(photo.path, "excluded", "dropped by a correction"))
        elif label != photo.label and label in excluded:
            left_out.append(LeftOut(photo.path, "excluded", f"class {label} is excluded"))
        else:
            photos.append(photo if label == photo.label else replace(photo, label=label))
    told = _told(used, decisions.unused(intake.photos))
    return replace(intake, photos=photos, left_out=left_out, warnings=[*intake.warnings, *told])


def _decided_labels(
    photos: Sequence[Photo], found: Sequence[Correction | None], merge: Mapping[str, str]
) -> list[str]:
    """Return the label decided on for each photo, empty where none is."""
    kept = {
        photo.pixels
        for photo, decision in zip(photos, found, strict=True)
        if decision and decision.action == "keep"
    }
    present = {(photo.pixels, photo.label) for photo in photos if photo.pixels in kept}
    labels = []
    for photo, decision in zip(photos, found, strict=True):
        label = _merged(decision.label, merge) if decision and decision.action != "drop" else ""
        # A photo confirmed in one class and moved to another since is where its owner wants it.
        if decision and decision.action == "keep" and (photo.pixels, label) not in present:
            label = ""
        labels.append(label)
    return labels


def _labels_by_pixels(photos: Sequence[Photo], labels: Sequence[str]) -> Mapping[str, set[str]]:
    """Return the labels decided on for each picture."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for photo, label in zip(photos, labels, strict=True):
        if label:
            found[photo.pixels].add(label)
    return found


def _merged(label: str, merge: Mapping[str, str]) -> str:
    seen = {label}
    while label in merge and merge[label] not in seen:
        label = merge[label]
        seen.add(label)
    return label


class _Decisions:
    """The decisions that stand: the last about each photo that was not undone."""

    def __init__(self, corrections: Iterable[Correction]) -> None:
        standing = _standing(corrections)
        self._exact = {(one.sha256, one.path): one for one in standing}
        self._by_sha256 = {one.sha256: one for one in standing if one.sha256}

    def about(self, photo: Photo) -> Correction | None:
        """Return the decision about a photo, or about a copy that it has to follow."""
        exact = self._exact.get((photo.sha256, photo.path)) or self._exact.get(("", photo.path))
        if exact:
            return exact
        other = self._by_sha256.get(photo.sha256)
        if other and other.action == "drop" and other.label_before not in ("", photo.label):
            # Of a picture under two labels, only the one was dropped.
            return None
        return other

    def unused(self, photos: Sequence[Photo]) -> int:
        """Return how many decisions are about photos that are not there."""
        hashes = {photo.sha256 for photo in photos}
        paths = {photo.path for photo in photos}
        return sum(
            one.sha256 not in hashes if one.sha256 else one.path not in paths
            for one in self._exact.values()
        )


def _standing(corrections: Iterable[Correction]) -> list[Correction]:
    """Return the decisions that stand, in the order they were made."""
    history: dict[tuple[str, str], list[tuple[int, Correction]]] = {}
    for number, correction in enumerate(corrections):
        if correction.action == "same-object":
            continue
        key = (correction.sha256, correction.path)
        if correction.action == "undo":
            _undo(history, key)
        else:
            history.setdefault(key, []).append((number, correction))
    standing = sorted((decisions[-1] for decisions in history.values() if decisions), key=_number)
    return [correction for _, correction in standing]


def _undo(
    history: Mapping[tuple[str, str], list[tuple[int, Correction]]], key: tuple[str, str]
) -> None:
    """Take back the last decision about a photo, or else about its copies elsewhere."""
    sha256 = key[0]
    alternatives = [history.get(key, [])] if history.get(key) else [
        decisions for (other, _), decisions in history.items() if sha256 and other == sha256
    ]  # fmt: skip
    if made := [decisions for decisions in alternatives if decisions]:
        max(made, key=lambda decisions: decisions[-1][0]).pop()


def _number(numbered: tuple[int, Correction]) -> int:
    return numbered[0]


def _told(used: Mapping[str, int], absent: int) -> list[str]:
    told = []
    relabelled = used.get("accept", 0) + used.get("relabel", 0)
    if used:
        told.append(
            f"corrections: {relabelled} relabelled, {used.get('drop', 0)} dropped, "
            f"{used.get('keep', 0)} confirmed"
        )
    if absent:
        told.append(f"corrections: {absent} name photos that are not there")
    return told
