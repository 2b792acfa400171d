"""Seconds of a budget that are kept for what comes after training."""

from __future__ import annotations

from pegboard.budget import Budget
from pegboard.finish import answer_seconds
from pegboard.learn import Job, Task

REPORT_SECONDS = 4.0
"""Reserved at the end of a budget for the comparison and for what any report takes."""

FINISH_SECONDS, FINISH_BACKBONE_SECONDS = 6.0, 12.0
"""Reserved per model for export, timing and report, on top of its predictions."""

EVIDENCE_SHARE, EVIDENCE_SECONDS = 0.02, 10.0
"""Reserved of a budget, and at most, for the photos that the report shows."""


def for_any_models(budget: Budget) -> float:
    """Return what is kept whatever the models are."""
    return REPORT_SECONDS + min(EVIDENCE_SECONDS, EVIDENCE_SHARE * (budget.seconds or 0))


def for_model(job: Job, task: Task, budget: Budget, *, is_first: bool) -> float:
    """Return what is kept for one training: only a model's first is exported and timed."""
    seconds = 0.0
    if budget.seconds is not None and not budget.spent:
        seconds = answer_seconds(job, task)
    if is_first:
        seconds += FINISH_BACKBONE_SECONDS if job.name.is_backbone else FINISH_SECONDS
    return seconds
