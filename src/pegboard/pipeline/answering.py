"""The test set is opened: once, and for all trained models."""

from __future__ import annotations

from collections.abc import Sequence

from pegboard.evaluate import write_predictions
from pegboard.finish import answer
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.training import Outcome


def open_test(run: ActiveRun, trained: Sequence[Outcome]) -> None:
    """Let every training of every model answer, and keep its ``predictions.csv``."""
    run.note_test_opened()
    for outcome in trained:
        _answer(run, outcome)


def _answer(run: ActiveRun, outcome: Outcome) -> None:
    for training in outcome.trainings:
        answers = answer(training.job, training.round.task, training.folder, progress=run.progress)
        outcome.answers.append(answers)
        splits = {"validation": answers.validation, "test": answers.test}
        write_predictions(training.folder.predictions, splits)  # type: ignore[arg-type]
    if outcome.is_pooled:
        file = run.folder.model(outcome.plan.name.slug).predictions
        write_predictions(file, {"validation": outcome.validation(), "test": outcome.test()})
