"""Photos that are like no class here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pegboard.audit.discriminant import HeldOut, grouped_folds, standardised
from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject

CODES = ("outlier",)

FAR = 2.5
"""How far beyond the upper quartile a distance must lie, in interquartile ranges.

Of 4,800 photos of tools and 48 of CIFAR-10 among them, 10 to 16 are so far out in five draws, four
of five of them CIFAR's; at 2.0 hardly more than half are. In normally distributed distances it
would be 1 photo in 100,000."""

NOTED = 1.5
"""The same for photos that are only noted: Tukey's fence."""

LEAST = 20
"""Different photos without which nobody can say what is usual."""

SHRINKAGE = 0.3

THRESHOLDS = {"interquartile-ranges": FAR, "least-photos": float(LEAST)}


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Report photos far from every class; without classes, far from all others."""
    groups = subject.related()
    if len(np.unique(groups)) < LEAST:
        return NotApplicable(f"it takes {LEAST} different photos to say what is usual")
    labels = subject.labels
    if labels is None:
        labels = np.zeros(len(subject), np.int64)
    points = standardised(subject.features())
    subject.budget.check()
    held_out = HeldOut(points, labels, grouped_folds(labels, groups))
    far = beyond(held_out.strangeness(SHRINKAGE))
    every = "every class" if subject.classes else "the others"
    return [
        Finding(
            subject.photos[index].path, "outlier", "warning" if far[index] >= FAR else "info",
            float(far[index] / (far[index] + FAR)),
            explanation=f"far from {every}: {far[index]:.1f} interquartile ranges beyond the "
            "upper quartile",
        )
        for index in np.flatnonzero(far >= NOTED).tolist()
    ]  # fmt: skip


def beyond(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many interquartile ranges each value lies beyond the upper quartile."""
    lower, upper = np.quantile(values, (0.25, 0.75))
    return np.asarray((values - upper) / max(upper - lower, 1e-9))
