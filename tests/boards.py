"""Leaderboards for tests, made from real answers to scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from pegboard.evaluate import Predictions, evaluate, is_collapsed, majority_predictions
from pegboard.leaderboard import (
    DatasetInfo,
    Leaderboard,
    ModelRow,
    NotTrained,
    SeedFigures,
    assemble,
    machine_info,
)
from pegboard.significance import compare_models

CLASSES = tuple(str(digit) for digit in range(10))
NAMES = ("fastcnn", "cnn", "lm", "mobilenetv2")


@cache
def digit_answers() -> dict[str, tuple[Predictions, Predictions]]:
    """Validation and test answers of four classifiers, one of them collapsed, and majority."""
    x, y = load_digits(return_X_y=True)
    x = x / 16
    train, validation, test = np.split(np.random.default_rng(0).permutation(len(y)), [1200, 1500])
    fitted = [
        KNeighborsClassifier(3).fit(x[train], y[train]),
        KNeighborsClassifier(5, weights="distance").fit(x[train], y[train]),
        GaussianNB(var_smoothing=1e-2).fit(x[train], y[train]),
    ]

    def answers(rows: np.ndarray, probabilities: np.ndarray) -> Predictions:
        paths = tuple(f"digits#{row}" for row in rows)
        return Predictions(paths, y[rows], probabilities, CLASSES, paths)

    found = {
        name: tuple(answers(rows, model.predict_proba(x[rows])) for rows in (validation, test))
        for name, model in zip(NAMES, fitted, strict=False)
    }
    stuck = np.tile(np.eye(10)[3], (len(y), 1))
    found["mobilenetv2"] = answers(validation, stuck[validation]), answers(test, stuck[test])
    found["majority"] = (
        majority_predictions(y[train], found["lm"][0]),
        majority_predictions(y[train], found["lm"][1]),
    )
    return found


@cache
def digit_board(seeds: int = 1) -> Leaderboard:
    """A leaderboard with a best model, a tie, one shown to be worse and one collapsed."""
    answers = digit_answers()
    majority = evaluate(answers["majority"][1])
    rows = []
    for number, (name, (validation, test)) in enumerate(answers.items()):
        evaluation = evaluate(test)
        baseline = name == "majority"
        collapsed, reason = (False, None) if baseline else is_collapsed(evaluation, majority)
        accuracy = evaluation.accuracy
        rows.append(
            ModelRow(
                name,
                evaluation,
                baseline=baseline,
                params=None if baseline else 650_714 // (number + 1),
                validation_accuracy=evaluate(validation, draws=1).accuracy,
                validation_macro_f1=evaluate(validation, draws=1).macro_f1,
                train_seconds=None if baseline else 95.0 / (number + 1),
                epochs=None if baseline else 20,
                latency_ms_p50=None if baseline else 4.2 / (number + 1) ** 2,
                latency_ms_p95=None if baseline else 6.0 / (number + 1) ** 2,
                images_per_second=None if baseline else 1234.5 * (number + 1),
                size_bytes=None if baseline else 2_610_000 // (number + 1),
                peak_memory_bytes=None if baseline else 98_000_000,
                collapsed=collapsed,
                collapsed_reason=reason,
                seeds=()
                if baseline
                else tuple(
                    SeedFigures(seed, accuracy - 0.004 * seed, evaluation.macro_f1 - 0.005 * seed)
                    for seed in range(seeds)
                ),
            )
        )
    return assemble(
        DatasetInfo(
            "digits",
            CLASSES,
            {"train": 1200, "validation": 300, "test": 297},
            {"truncated": 2, "not-an-image": 1},
            "5f3c",
        ),
        machine_info(),
        rows,
        compare_models({name: test for name, (_, test) in answers.items()}),
        [NotTrained("vgg16", "the time budget was spent")],
    )
