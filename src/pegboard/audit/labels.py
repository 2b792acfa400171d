"""Labels that may be wrong, as findings; :mod:`pegboard.audit.judgement` is how."""

from __future__ import annotations

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.judgement import LEAST, Verdicts, judge, judgeable
from pegboard.audit.subject import Subject

CODES = ("label-suspect",)

SUSPECT = 0.5
"""Score from which a label is a suspect. A score is the probability that the label is wrong, so
a suspect is more likely wrong than right. With a tenth of the labels of 4,800 photos of tools
exchanged at random, 9 of 10 suspects were wrong, and 9 of 10 wrong labels suspects."""

THRESHOLDS = {"score": SUSPECT, "least-photos-of-a-class": float(LEAST)}


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Judge every label; in ``subject.facts``, say how many are wrong."""
    labels = subject.labels
    if labels is None:
        return NotApplicable("there are no classes, so no labels to doubt")
    groups = subject.related()
    if judgeable(labels, groups).sum() < 2:
        return NotApplicable(f"it takes two classes with {LEAST} different photos each")
    verdicts = judge(subject.features(), labels, groups, budget=subject.budget)
    subject.facts["wrong-labels"] = _estimate(verdicts)
    return [_finding(subject, verdicts, index) for index in range(len(subject))]


def _finding(subject: Subject, verdicts: Verdicts, index: int) -> Finding:
    photo = subject.photos[index]
    if not verdicts.judged[index]:
        return Finding(
            photo.path, "label-suspect", "info", 0.0,
            explanation=f"not judged: {photo.label} has fewer than {LEAST} different photos",
        )  # fmt: skip
    score, other = float(verdicts.wrong[index]), subject.classes[verdicts.other[index]]
    return Finding(
        photo.path, "label-suspect", "warning" if score >= SUSPECT else "info", score, other,
        explanation=f"{photo.label} {1 - score:.0%}, {other} {verdicts.chance[index]:.0%}",
    )  # fmt: skip


def _estimate(verdicts: Verdicts) -> dict[str, float | int | str]:
    """Return how many labels are wrong, as figures and as a sentence."""
    judged = int(verdicts.judged.sum())
    count, low, high = (round(value) for value in (verdicts.count, verdicts.low, verdicts.high))
    return {
        "estimate": round(verdicts.count, 2),
        "low": round(verdicts.low, 2),
        "high": round(verdicts.high, 2),
        "judged": judged,
        "suspects": int((verdicts.wrong >= SUSPECT).sum()),
        "words": f"About {count:,} of {judged:,} labels are wrong (95 % interval {low:,} to "
        f"{high:,}); errors on photos that people disagree about are undercounted.",
    }
