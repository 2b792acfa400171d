"""Corrections of labels: an append-only table of decisions, applied when photos are taken in.

Photos are never touched. A later line about a photo replaces an earlier one.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pegboard.errors import PegboardError
from pegboard.photos import Intake, LeftOut, Photo

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
    label_after: str


def read_corrections(file: str | Path) -> list[Correction]:
    """Read ``corrections.csv``.

    Raises
    ------
    PegboardError
        When it is missing, lacks a column, or holds an unknown action.
    """
    try:
        with Path(file).open(encoding="utf-8", errors="surrogateescape", newline="") as opened:
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
    corrections = []
    for row in table:
        action = row["action"]
        if action not in ACTIONS:
            raise PegboardError(
                f"corrections {file}, line {table.line_num}: unknown action {action!r}; expected "
                f"{', '.join(ACTIONS)}"
            )
        if action in ("accept", "relabel") and not row["label_after"]:
            raise PegboardError(
                f"corrections {file}, line {table.line_num}: {action} needs a label_after"
            )
        corrections.append(
            Correction(action, row["path"], row["sha256"] or "", row["label_after"] or "")
        )
    return corrections


def apply_corrections(intake: Intake, corrections: Sequence[Correction]) -> Intake:
    """Return the intake with labels corrected and dropped photos left out.

    A photo is found by its checksum, so it may have moved; one whose checksum is not given, by
    its path. Copies of one file all follow the decision.
    """
    by_sha256, by_path = _standing(corrections)
    photos: list[Photo] = []
    left_out = list(intake.left_out)
    used: Counter[str] = Counter()
    met: set[str] = set()
    for photo in intake.photos:
        decision = by_sha256.get(photo.sha256) or by_path.get(photo.path)
        if decision is None:
            photos.append(photo)
            continue
        met.add(decision.sha256 or decision.path)
        used[decision.action] += 1
        if decision.action == "drop":
            left_out.append(LeftOut(photo.path, "excluded", "dropped by a correction"))
        elif decision.action in ("accept", "relabel"):
            photos.append(replace(photo, label=decision.label_after))
        else:
            photos.append(photo)
    absent = len({**by_sha256, **by_path}.keys() - met)
    return replace(
        intake,
        photos=photos,
        left_out=left_out,
        warnings=[*intake.warnings, *_told(used, absent)],
    )


def _standing(
    corrections: Iterable[Correction],
) -> tuple[Mapping[str, Correction], Mapping[str, Correction]]:
    """Return the decisions that stand, by checksum and by path."""
    history: dict[tuple[bool, str], list[Correction]] = {}
    for correction in corrections:
        if correction.action == "same-object":
            continue
        key = (bool(correction.sha256), correction.sha256 or correction.path)
        decisions = history.setdefault(key, [])
        if correction.action != "undo":
            decisions.append(correction)
        elif decisions:
            decisions.pop()
    standing = {key: decisions[-1] for key, decisions in history.items() if decisions}
    return (
        {name: decision for (hashed, name), decision in standing.items() if hashed},
        {name: decision for (hashed, name), decision in standing.items() if not hashed},
    )


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
