"""Every figure of a run, from the files of its folder.

This is the one place where data meets a figure: the report and the Python interface both call
these functions. Each returns a :class:`matplotlib.figure.Figure` that a notebook displays, or
raises :class:`~pegboard.errors.PlotUnavailable` with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from pegboard.errors import PlotUnavailable
from pegboard.evaluate import Predictions
from pegboard.evidence import Evidence, Mistake, ModelEvidence, Neighbour
from pegboard.metrics import ECE_BINS
from pegboard.metrics import confusion_matrix as count_confusions
from pegboard.photos import SPLITS, Pixels
from pegboard.report import charts
from pegboard.report.run import Json, Run
from pegboard.report.similarity import similarity_order
from pegboard.runs import read_history, read_json
from pegboard.thresholds import Sweep, precision_at, recall_at, sweeps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Order = Literal["given", "similarity"]
"""Of the classes of a confusion matrix."""


def class_balance(run: Run) -> Figure:
    """Photos of each class in each split; with folds, which have none, of each class."""
    folds = run.leaderboard["dataset"].get("folds")
    parts = [f"in {folds} folds"] if folds else list(SPLITS)
    tally = Counter((row.label, parts[0] if folds else row.split) for row in run.manifest)
    if not run.classes:
        raise PlotUnavailable("this run has no classes")
    return charts.class_balance(
        run.classes,
        {part: [tally[label, part] for label in run.classes] for part in parts},
    )


def sample_grid(run: Run) -> Figure:
    """Show a few training photos of every class."""
    evidence = _evidence(run)
    rows = [
        charts.Row(label, list(_thumbnails(evidence, evidence.samples.get(label, ()))))
        for label in run.classes
    ]
    if not any(row.photos for row in rows):
        raise PlotUnavailable(f"{run.folder.path} holds no photos of its classes")
    return charts.sample_grid(rows)


def augmentation_preview(run: Run, model: str) -> Figure:
    """Show a few training photos as the model met them in training, again and again."""
    run.model(model)
    evidence = _evidence(run)
    labels = {row.path: row.label for row in run.manifest}
    rows = [
        charts.Row(
            labels.get(views.path, views.path),
            [
                *_thumbnails(evidence, [views.path]),
                *(evidence.pixels(name) for name in views.pictures),
            ],
        )
        for views in _of_model(evidence, model).augmented
        if views.path in evidence.thumbnails
    ]
    if not rows:
        raise PlotUnavailable(f"{model} was trained on the photos as they are")
    return charts.augmentation_preview(rows)


def mistakes(run: Run, model: str) -> Figure:
    """Show test photos the model was wrong about, those it was surest of first.

    Each with the place the model looked at and the training photo most like it, where these
    are known.
    """
    answers = _answers(run, model)
    evidence = _evidence(run)
    place = {path: index for index, path in enumerate(answers.paths)}
    shown = [
        mistake
        for mistake in _of_model(evidence, model).mistakes
        if mistake.path in evidence.thumbnails and mistake.path in place
    ][:MOST_MISTAKES]
    if not shown:
        reason = "no mistake" if answers.right.all() else "no pictures of its mistakes"
        raise PlotUnavailable(f"{model} has {reason} on the test photos")
    with_heat = any(mistake.heat for mistake in shown)
    with_neighbour = any(_nearest(evidence, mistake) for mistake in shown)
    heads = ["photo", *["looked at"] * with_heat, *["nearest"] * with_neighbour]
    return charts.mistakes(
        [
            _tile(evidence, mistake, answers, place[mistake.path], heat=with_heat)
            for mistake in shown
        ],
        heads,
    )


MOST_MISTAKES = 12


def _tile(
    evidence: Evidence, mistake: Mistake, answers: Predictions, index: int, *, heat: bool
) -> charts.Tile:
    true, answer = (
        charts.shortened(answers.classes[number], 14)
        for number in (answers.labels[index], answers.predicted[index])
    )
    near = _nearest(evidence, mistake)
    pictures: list[Pixels | None] = [*_thumbnails(evidence, [mistake.path])]
    if heat:
        pictures.append(evidence.pixels(mistake.heat) if mistake.heat else None)
    if near is not None:
        pictures += _thumbnails(evidence, [near.path])
    words = f"{100 * answers.probabilities[index].max():.0f} % sure"
    if near is not None:
        words += f"; nearest: {charts.shortened(near.label, 14)}"
    return charts.Tile(pictures, f"{true} taken for {answer}", words)


def _nearest(evidence: Evidence, mistake: Mistake) -> Neighbour | None:
    shown = (near for near in mistake.neighbours if near.path in evidence.thumbnails)
    return next(shown, None)


def _thumbnails(evidence: Evidence, paths: Iterable[str]) -> Iterator[Pixels]:
    return (
        evidence.pixels(evidence.thumbnails[path]) for path in paths if path in evidence.thumbnails
    )


def _of_model(evidence: Evidence, model: str) -> ModelEvidence:
    return evidence.models.get(model, ModelEvidence())


def _evidence(run: Run) -> Evidence:
    if run.evidence is None:
        raise PlotUnavailable(f"{run.folder.path} holds no pictures of its photos")
    return run.evidence


def learning_curves(run: Run, model: str) -> Figure:
    """Loss, accuracy and macro-F1 of one model after each epoch."""
    return charts.learning_curves(history(run, model))


def all_learning_curves(run: Run) -> Figure:
    """Learning curves of all models on one scale, the best epochs marked."""
    histories = {}
    for model in run.models:
        with suppress(PlotUnavailable):
            histories[model["name"]] = history(run, model["name"])
    if not histories:
        raise PlotUnavailable("no model of this run was trained over several epochs")
    return charts.all_learning_curves(histories)


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
    shown = [point for point in points(run) if point.latency_ms or point.baseline]
    if sum(bool(point.latency_ms) for point in shown) < 2:
        raise PlotUnavailable("fewer than two models of this run were timed")
    return charts.pareto(shown)


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
    if order == "given":
        return charts.confusion(matrix, answers.classes)
    places = similarity_order(matrix)
    return charts.confusion(
        matrix[np.ix_(places, places)], [answers.classes[place] for place in places]
    )


def per_class_f1(run: Run, model: str) -> Figure:
    """F1 of every class with its 95 % interval."""
    row = run.model(model)
    scores = [
        charts.ClassScore(
            score["label"],
            score["f1"],
            tuple(score["f1_ci"]) if score.get("f1_ci") else None,
            score["support"],
        )
        for score in row["per_class"]
    ]
    return charts.per_class_f1(scores, row["macro_f1"])


def reliability(run: Run, model: str) -> Figure:
    """Whether answers given with a probability of 80 % are right in 80 % of cases."""
    return charts.reliability(reliability_bins(_answers(run, model)))


def coverage_risk(run: Run, model: str) -> Figure:
    """How often answers are wrong when only the surest are given."""
    answers, info = _answers(run, model), run.bundle_info(model)
    order = np.argsort(-answers.probabilities.max(axis=1), kind="stable")
    wrong = np.cumsum(~answers.right[order])
    told = info.abstention if info else {}
    precision = info.thresholds.get("precision") if info else None
    return charts.coverage_risk(
        charts.Selective(
            wrong / np.arange(1, len(wrong) + 1),
            None if told.get("risk") is None else (told["sure"], told["risk"]),
            None if precision is None else 1 - precision,
        )
    )


def precision_recall(run: Run, model: str) -> Figure:
    """Precision against recall of every class, over all thresholds."""
    swept = _sweeps(run, model)
    recall = np.linspace(0, 1, CURVE_POINTS)
    curves = [
        charts.Curve(label, one.average_precision, recall, precision_at(one, recall))
        for label, one in swept
    ]
    return charts.precision_recall(curves, _mean(curves))


def roc(run: Run, model: str) -> Figure:
    """Draw true against false positive rate of every class, over all thresholds."""
    swept = _sweeps(run, model)
    # Good models leave the corner within the first tenth.
    rate = np.union1d(np.linspace(0, 0.1, CURVE_POINTS), np.linspace(0, 1, CURVE_POINTS // 2))
    # Every curve starts at the corner.
    at = np.append(0.0, rate)
    curves = [
        charts.Curve(label, one.roc_auc, at, np.append(0.0, recall_at(one, rate)))
        for label, one in swept
    ]
    return charts.roc(curves, _mean(curves))


CURVE_POINTS = 201
"""Places at which curves are drawn."""


def _sweeps(run: Run, model: str) -> list[tuple[str, Sweep]]:
    answers = _answers(run, model)
    found = [
        (answers.classes[index], swept)
        for index, swept in sweeps(answers.labels, answers.probabilities)
    ]
    if not found:
        raise PlotUnavailable("all test photos are of one class: there is nothing to tell apart")
    return found


def _mean(curves: Sequence[charts.Curve]) -> charts.Curve:
    return charts.Curve(
        "mean",
        float(np.mean([curve.area for curve in curves])),
        curves[0].x,
        np.mean([curve.y for curve in curves], axis=0),
    )


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


OF_RUN: Mapping[str, Callable[[Run], Figure]] = {
    "class-balance": class_balance,
    "samples": sample_grid,
    "learning-curves": all_learning_curves,
    "accuracy": accuracy_bars,
    "pareto": pareto,
}
"""Figures of a run by the names of their files."""

OF_MODEL: Mapping[str, Callable[[Run, str], Figure]] = {
    "augmentation": augmentation_preview,
    "learning-curves": learning_curves,
    "confusion": confusion_matrix,
    "confusion-similarity": partial(confusion_matrix, order="similarity"),
    "per-class-f1": per_class_f1,
    "reliability": reliability,
    "coverage-risk": coverage_risk,
    "precision-recall": precision_recall,
    "roc": roc,
    "mistakes": mistakes,
}
"""Figures of a model by what follows its name in the names of their files."""


def others(run: Run, made: Collection[str]) -> Iterator[tuple[str, Figure]]:
    """Yield the file names and figures of a run that are not made yet, as far as it has them.

    Parameters
    ----------
    run
        With any number of models; baselines have no figures of their own.
    made
        Names of the figures that are not wanted again.
    """
    wanted: dict[str, Callable[[], Figure]] = {
        name: partial(draw, run) for name, draw in OF_RUN.items()
    }
    for model in run.models:
        if not model.get("baseline"):
            slug = run.model_folder(model["name"]).slug
            for name, draw_model in OF_MODEL.items():
                wanted[f"{slug}-{name}"] = partial(draw_model, run, model["name"])
    for name, draw_one in wanted.items():
        if name not in made:
            with suppress(PlotUnavailable):
                yield name, draw_one()
