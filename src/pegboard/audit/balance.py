"""Classes: how many photos each has, and whether two names mean one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.intake import looks_alike

CODES = ("imbalance", "rare-class", "class-name-variant")


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Compare the classes' sizes and names."""
    if not subject.classes:
        return NotApplicable("there are no classes to compare")
    counts = Counter(photo.label for photo in subject.photos)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return [
        Finding(f"{rare}/", "class-name-variant", "warning", 0.9, f"{rare}={common}", f"{common}/",
                f"{rare!r} ({counts[rare]}) and {common!r} ({counts[common]}) look like one class")
        for common, rare in combinations(names, 2)
        if looks_alike(common, rare)
    ]  # fmt: skip
