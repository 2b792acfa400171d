"""From the models' answers to the leaderboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import data_facts
from pegboard.evaluate import Evaluation, Predictions, evaluate, is_collapsed, majority_predictions
from pegboard.leaderboard import (
    MAJORITY,
    DatasetInfo,
    Leaderboard,
    ModelRow,
    NotTrained,
    SeedFigures,
    assemble,
)
from pegboard.photos import SPLITS
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.before import Before, tell_effect
from pegboard.pipeline.deployment import Deployed, deploy, with_final_figures
from pegboard.pipeline.growth import tell_growth
from pegboard.pipeline.training import Outcome
from pegboard.prepare import Prepared
from pegboard.significance import compare_models


def score(
    run: ActiveRun, trained: Sequence[Outcome], outcomes: Sequence[Outcome], before: Before
) -> Leaderboard:
    """Evaluate, deploy and rank the models, and compare them with each other.

    Parameters
    ----------
    trained
        The models that have answered.
    outcomes
        All that were asked for.
    before
        The run that a corrected one is compared with.
    """
    prepared = run.prepared
    test = {outcome.name: outcome.test() for outcome in trained}
    train_labels = prepared.labels[prepared.indices("train")]
    majority_test = majority_predictions(train_labels, next(iter(test.values())))
    majority = evaluate(majority_test)
    rows, deployed = [], {}
    for outcome in trained:
        row = _row(outcome, test[outcome.name], majority)
        if model := deploy(run, outcome):
            deployed[outcome.name] = model
            row = replace(row, **model.speed)
        rows.append(row)
    rows.append(_majority_row(trained[0].validation(), majority, train_labels))
    not_trained = [
        NotTrained(outcome.name, outcome.reason)
        for outcome in outcomes
        if outcome.reason is not None
    ]
    compared = compare_models({**test, MAJORITY: majority_test})
    board = assemble(
        _dataset(prepared, run.settings.folds or 0), run.machine, rows, compared, not_trained
    )
    return replace(
        board,
        models=_told_to_bundles(run, board, deployed),
        corrections=tell_effect(before, prepared, run.settings, test, run.record),
        grown=tell_growth(run, trained, test),
    )


def _row(outcome: Outcome, test: Predictions, majority: Evaluation) -> ModelRow:
    validation = evaluate(outcome.validation(), draws=1)
    evaluation = evaluate(test)
    collapsed, why = is_collapsed(evaluation, majority)
    first = outcome.trainings[0].result
    return ModelRow(
        name=outcome.name,
        test=evaluation,
        params=first.params,
        validation_accuracy=validation.accuracy,
        validation_macro_f1=validation.macro_f1,
        train_seconds=first.seconds,
        epochs=first.epochs,
        collapsed=collapsed,
        collapsed_reason=why,
        seeds=_seeds(outcome),
    )


def _seeds(outcome: Outcome) -> tuple[SeedFigures, ...]:
    if outcome.is_pooled:
        return ()
    figures = [evaluate(answers.test, draws=1) for answers in outcome.answers]
    return tuple(
        SeedFigures(training.round.seed, figure.accuracy, figure.macro_f1)
        for training, figure in zip(outcome.trainings, figures, strict=True)
    )


def _majority_row(
    validation: Predictions, majority: Evaluation, train_labels: NDArray[np.int64]
) -> ModelRow:
    figures = evaluate(majority_predictions(train_labels, validation), draws=1)
    return ModelRow(
        name=MAJORITY,
        test=majority,
        baseline=True,
        validation_accuracy=figures.accuracy,
        validation_macro_f1=figures.macro_f1,
    )


def _dataset(prepared: Prepared, folds: int) -> DatasetInfo:
    counts: dict[str, int] = {split: len(prepared.indices(split)) for split in SPLITS}
    return DatasetInfo(
        name=prepared.source.name,
        classes=tuple(prepared.classes),
        counts=counts,
        left_out=Counter(item.reason for item in prepared.split.left_out),
        fingerprint=prepared.fingerprint,
        folds=folds,
    )


def _told_to_bundles(
    run: ActiveRun, board: Leaderboard, deployed: dict[str, Deployed]
) -> tuple[ModelRow, ...]:
    """Write the figures into the bundles; return the rows with the sizes that they then have."""
    data = data_facts(board.dataset.to_json(), run.record["settings"], run.prepared.split.rows)
    return tuple(
        with_final_figures(row, deployed[row.name], data) if row.name in deployed else row
        for row in board.models
    )
