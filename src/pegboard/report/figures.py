"""Every figure of a run, from the files of its folder.

This is the one place where data meets a figure: the report and the Python interface both call
these functions. Each returns a :class:`matplotlib.figure.Figure` that a notebook displays, or
raises :class:`~pegboard.errors.PlotUnavailable` with the reason.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from pegboard.errors import PlotUnavailable
from pegboard.evaluate import Predictions
from pegboard.metrics import ECE_BINS
from pegboard.metrics import confusion_matrix as count_confusions
from pegboard.photos import SPLITS
from pegboard.report import charts
from pegboard.report.run import Json, Run
from pegboard.runs import read_history, read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Order = Literal["given", "similarity"]
"""Of the classes of a confusion matrix."""


def class_balance(run: Run) -> Figure:
    """Photos of each class in each split."""
    tally = Counter((row.label, row.split) for row in run.manifest)
    if not run.classes:
        raise PlotUnavailable("this run has no classes")
    return charts.class_balance(
        run.classes,
        {split: [tally[label, split] for label in run.classes] for split in SPLITS},
    )


def sample_grid(run: Run) -> Figure:
    """Show a few training photos of every class."""
    raise PlotUnavailable(_no_pictures(run))


def augmentation_preview(run: Run, model: str) -> Figure:
    """Show a few training photos as the model met them in training, again and again."""
    run.model(model)
    raise PlotUnavailable(_no_pictures(run))


def mistakes(run: Run, model: str) -> Figure:
    """Test photos the model was wrong about, those it was surest of first."""
    run.model(model)
    raise PlotUnavailable(_no_pictures(run))


def _no_pictures(run: Run) -> str:
    return f"{run.folder.path} holds no pictures; compare again to keep some"


def learning_curves(run: Run, model: str) -> Figure:
    """Loss, accuracy and macro-F1 of one model after each epoch."""
    return charts.learning_curves(history(run, model))


def all_learning_curves(run: Run) -> Figure:
    """Learning curves of all models on one scale, the best epochs marked."""
    raise PlotUnavailable("not drawn yet")


def history(run: Run, model: str) -> charts.History:
    """Return what was recorded after each epoch of a model's training.

    Raises
    ------
    PlotUnavailable
        When the model was not trained by epochs, or for a single one: that is no curve.
    """
    run.model(model)
    files = run.model_folder(model)
    rows = read_history(files.history) if files.history.exists() else []
    if len(rows) < 2:
        raise PlotUnavailable(f"{model} was not trained over several epochs")
    training = read_json(files.training) if files.training.exists() else {}
    return charts.History(
        epochs=np.array([int(row["epoch"]) for row in rows]),
        columns={key: np.array([row[key] for row in rows]) for key in rows[0] if key != "epoch"},
        best_epoch=training.get("best_epoch") or None,
    )


def points(run: Run) -> list[charts.Point]:
    """Return every model's accuracy and speed, in the order of the leaderboard."""
    return [
        charts.Point(
            name=model["name"],
            value=100 * model["accuracy"],
            low=100 * model["accuracy_ci"][0],
            high=100 * model["accuracy_ci"][1],
            latency_ms=model.get("latency_ms_p50"),
            best=model["name"] == run.best,
            baseline=bool(model.get("baseline")),
            pareto=bool(model.get("pareto")),
        )
        for model in run.models
    ]


def accuracy_bars(run: Run) -> Figure:
    """Accuracy of every model with its 95 % interval."""
    shown = points(run)
    if not shown:
        raise PlotUnavailable("this run has no trained model")
    return charts.accuracy_bars(shown)


def pareto(run: Run) -> Figure:
    """Accuracy of every model against the time it takes for one photo."""
    timed = [point for point in points(run) if point.latency_ms]
    if len(timed) < 2:
        raise PlotUnavailable("fewer than two models of this run were timed")
    return charts.pareto(timed)


def confusion_matrix(run: Run, model: str, order: Order = "given") -> Figure:
    """Which classes a model takes for which.

    Parameters
    ----------
    run, model
        A model of the run.
    order
        ``"given"`` as in the data, or ``"similarity"``: classes that are often confused
        stand side by side.
    """
    answers = _answers(run, model)
    matrix = count_confusions(answers.labels, answers.predicted, len(answers.classes))
    if order == "similarity":
        raise PlotUnavailable("not drawn yet")
    return charts.confusion(matrix, answers.classes)


def per_class_f1(run: Run, model: str) -> Figure:
    """F1 of every class with its 95 % interval."""
    raise PlotUnavailable("not drawn yet")


def reliability(run: Run, model: str) -> Figure:
    """Whether answers given with a probability of 80 % are right in 80 % of cases."""
    return charts.reliability(reliability_bins(_answers(run, model)))


def precision_recall(run: Run, model: str) -> Figure:
    """Precision against recall of every class, over all thresholds."""
    raise PlotUnavailable("not drawn yet")


def roc(run: Run, model: str) -> Figure:
    """Draw true against false positive rate of every class, over all thresholds."""
    raise PlotUnavailable("not drawn yet")


def _answers(run: Run, model: str) -> Predictions:
    row: Json = run.model(model)
    if row.get("baseline") and not run.model_folder(model).predictions.exists():
        raise PlotUnavailable(f"{model} is a baseline, whose answers are not kept")
    return run.answers(model)


def reliability_bins(predictions: Predictions, bins: int = ECE_BINS) -> charts.ReliabilityBins:
    """Sort predictions by confidence into the bins of the expected calibration error."""
    confidence = predictions.probabilities.max(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.searchsorted(edges, confidence, side="left"), 1, bins) - 1
    counts = np.bincount(number, minlength=bins)
    with np.errstate(invalid="ignore"):
        return charts.ReliabilityBins(
            edges=edges,
            counts=counts,
            confidence=np.bincount(number, weights=confidence, minlength=bins) / counts,
            accuracy=np.bincount(number, weights=predictions.right, minlength=bins) / counts,
        )
