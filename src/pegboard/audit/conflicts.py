"""One photo under two labels: equal pixels or near duplicates in two classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.photos import Photo

CODES = ("label-conflict",)


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Pair photos that are one picture and lie in two classes."""
    if not subject.classes:
        return NotApplicable("there are no classes, so no two labels")
    return [*_equal(subject), *_near(subject), *_told_by_table(subject)]


def _equal(subject: Subject) -> Iterator[Finding]:
    """Pair the first photo of some pixels with all copies that lie in another class."""
    by_pixels: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in subject.photos:
        by_pixels[photo.pixels].append(photo)
    for copies in by_pixels.values():
        labels = Counter(photo.label for photo in copies)
        for photo in copies[1:]:
            if photo.label != copies[0].label:
                yield Finding(
                    photo.path, "label-conflict", "error", 1.0, _majority(labels), copies[0].path,
                    f"the same pixels are under {photo.label} and {copies[0].label}",
                )  # fmt: skip


def _majority(labels: Counter[str]) -> str:
    """Return the label that most copies have; empty where it is a draw."""
    (first, most), *others = labels.most_common()
    return first if not others or others[0][1] < most else ""


def _near(subject: Subject) -> Iterator[Finding]:
    for first, second, likeness in subject.near_pairs():
        a, b = subject.photos[first], subject.photos[second]
        if a.label != b.label:
            yield Finding(
                b.path, "label-conflict", "error", likeness, other_path=a.path,
                explanation=f"nearly the same picture is under {b.label} and {a.label}",
            )  # fmt: skip


def _told_by_table(subject: Subject) -> Iterator[Finding]:
    """Report files that a table itself puts into two classes; intake leaves them out."""
    for item in subject.intake.left_out:
        if item.reason == "label-conflict":
            yield Finding(item.path, "label-conflict", "error", 1.0, explanation=item.detail)
