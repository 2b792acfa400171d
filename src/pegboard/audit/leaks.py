"""Photos shared between the splits that the source itself gives."""

from __future__ import annotations

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.duplicates import DuplicateGroups, Pair
from pegboard.leaks import describe_leaks, leaking_pairs

CODES = ("leak",)


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Pair every photo of one given split with a copy or near copy in another."""
    photos, splits = subject.photos, subject.splits
    if len(set(splits) - {None}) < 2:
        return NotApplicable("the source gives no splits; pegboard makes one without leaks")
    pairs = leaking_pairs(photos, _with_all_near(subject), splits)
    told = describe_leaks(photos, pairs, splits)
    return [
        Finding(
            photos[pair.a].path,
            "leak",
            "error",
            float(min(1.0, max(0.0, pair.score))),
            other_path=photos[pair.b].path,
            explanation=words,
        )
        for pair, words in zip(pairs, told, strict=True)
    ]


def _with_all_near(subject: Subject) -> DuplicateGroups:
    """Return the duplicates with every near pair that the checks confirm."""
    near = [Pair(min(a, b), max(a, b), "near", score) for a, b, score in subject.near_pairs()]
    return subject.duplicates.joined(near)
