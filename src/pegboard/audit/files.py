"""Files that are no usable photos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

from pegboard.audit.findings import Finding
from pegboard.audit.subject import Subject
from pegboard.errors import BudgetSpent
from pegboard.images import IMAGE_SUFFIXES
from pegboard.photos import LeftOut, Reason

CODES = ("unreadable", "not-an-image")

BROKEN: frozenset[Reason] = frozenset(("truncated", "empty", "unreadable", "missing-file"))
"""Reasons for which a photo is lost."""

NOT_OPENED: frozenset[Reason] = frozenset(("unsupported", "too-large"))
"""Reasons for which a photo may be whole but cannot be used here."""


def check(subject: Subject) -> list[Finding]:
    """Report what intake could not use, file by file, and what of it is only a beginning."""
    findings = (_finding(item) for item in subject.intake.left_out)
    return [*(finding for finding in findings if finding is not None), *_cut_off(subject)]


def _cut_off(subject: Subject) -> Iterator[Finding]:
    with suppress(BudgetSpent):
        for photo, goes_on in zip(subject.photos, subject.looks().goes_on, strict=True):
            if goes_on:
                yield Finding(
                    photo.path, "unreadable", "warning", 0.6,
                    explanation="truncated: the file has no end; its first picture is used",
                )  # fmt: skip


def _finding(item: LeftOut) -> Finding | None:
    explanation = f"{item.reason}: {item.detail}"
    if item.reason in BROKEN:
        return Finding(item.path, "unreadable", "error", 1.0, explanation=explanation)
    if item.reason in NOT_OPENED:
        return Finding(item.path, "unreadable", "warning", 0.8, explanation=explanation)
    if item.reason == "not-an-image":
        if claims_to_be_a_photo(item.path):
            return Finding(item.path, "not-an-image", "error", 1.0, explanation=item.detail)
        # Notes and tables among photos are left out anyway and do no harm.
        return Finding(item.path, "not-an-image", "info", 0.2, explanation=item.detail)
    return None


def claims_to_be_a_photo(path: str) -> bool:
    """Whether a file's name ends as photos' do, or has no ending at all."""
    suffix = PurePosixPath(path).suffix.lower()
    return not suffix or suffix in IMAGE_SUFFIXES
