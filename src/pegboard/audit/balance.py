"""Classes: how many photos each has, and whether two names mean one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.intake import looks_alike
from pegboard.split import LEAST_GROUPS

CODES = ("imbalance", "rare-class", "class-name-variant")

UNEVEN = 3
"""A class is uneven when it has this many times the photos of the median class, or a part: up to
there, training changes little when errors are weighed by class."""

FEW = 20
"""Different photos below which a class is rare: 15 % of 20 are three test photos, and from three
photos nobody can tell how well a class is recognised."""

THRESHOLDS = {"imbalance": float(UNEVEN), "rare-class": float(FEW)}


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Compare the classes' sizes and names."""
    if not subject.classes:
        return NotApplicable("there are no classes to compare")
    counts = Counter(photo.label for photo in subject.photos)
    return [*_uneven(counts), *_rare(subject), *_variants(counts)]


def _uneven(counts: Mapping[str, int]) -> Iterator[Finding]:
    """Report classes far from the median; of an even spread, the smallest."""
    median = float(np.median(list(counts.values())))
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    far = {
        name: max(count / median, median / count)
        for name, count in counts.items()
        if max(count / median, median / count) >= UNEVEN
    }
    if not far and counts[largest] >= UNEVEN * counts[smallest]:
        far = {smallest: counts[largest] / counts[smallest]}
    for name, times in far.items():
        yield Finding(
            f"{name}/", "imbalance", "warning", 1 - 0.5 * UNEVEN / times,
            explanation=f"{name} has {counts[name]:,} photos; the median class has {median:,.0f}, "
            f"the largest ({largest}) {counts[largest]:,}, the smallest ({smallest}) "
            f"{counts[smallest]:,}",
        )  # fmt: skip


def _rare(subject: Subject) -> Iterator[Finding]:
    different: defaultdict[str, set[int]] = defaultdict(set)
    for photo, group in zip(subject.photos, subject.groups.tolist(), strict=True):
        different[photo.label].add(group)
    for name, groups in sorted(different.items()):
        count = len(groups)
        told = f"{name} has {count} different photo{'s' if count > 1 else ''}"
        if count < LEAST_GROUPS:
            yield Finding(
                f"{name}/", "rare-class", "error", 1.0,
                explanation=f"{told}; with fewer than {LEAST_GROUPS} it is left out",
            )  # fmt: skip
        elif count < FEW:
            yield Finding(
                f"{name}/", "rare-class", "warning", 1 - 0.5 * count / FEW,
                explanation=f"{told}: too few to say how well it is recognised",
            )  # fmt: skip


def _variants(counts: Mapping[str, int]) -> Iterator[Finding]:
    # The rarer goes into the commoner; among equals the later name into the earlier.
    names = sorted(counts, key=lambda name: (-counts[name], name))
    for common, rare in combinations(names, 2):
        if looks_alike(common, rare):
            yield Finding(
                f"{rare}/", "class-name-variant", "warning", 0.9, f"{rare}={common}", f"{common}/",
                f"{rare!r} ({counts[rare]:,}) and {common!r} ({counts[common]:,}) look like one "
                "class",
            )  # fmt: skip
