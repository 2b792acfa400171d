"""What is said of one model: matrix, mistakes, classes, curves, how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pegboard.bundle import BundleInfo, answers_in_words, sure_in_words, unknown_in_words
from pegboard.errors import PlotUnavailable
from pegboard.evaluate import Predictions
from pegboard.evidence import Evidence
from pegboard.metrics import IntArray, confusion_matrix
from pegboard.report import figures
from pegboard.report.anatomy import anatomy_of, card_of, seconds_per_epoch
from pegboard.report.board import anchor_of, figures_of, over_seeds
from pegboard.report.context import Chart, Fact, ModelSection, Number
from pegboard.report.gallery import (
    MOST_MISTAKES,
    MOST_MISTAKES_OF_OTHERS,
    mistakes_note,
    mistakes_of,
    sight_of,
)
from pegboard.report.matrix import (
    confused_pairs,
    frequent_mistakes,
    most_mistaken,
    table_of_cells,
)
from pegboard.report.model_context import ClassRow, Deciding
from pegboard.report.numbers import MISSING, Figures, share
from pegboard.report.run import Json, Run, Shelf
from pegboard.report.similarity import similarity_order
from pegboard.report.store import Pictures
from pegboard.runs import read_json, slug_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def shown_models(run: Run) -> tuple[str, ...]:
    """Return the models that have a section: those whose answers lie in the run folder."""
    return tuple(model["name"] for model in run.models if anchor_of(run, model))


def shown_mistakes(run: Run) -> dict[str, int]:
    """Return how many mistakes of each model the page shows."""
    return {
        name: MOST_MISTAKES if name == run.best else MOST_MISTAKES_OF_OTHERS
        for name in shown_models(run)
    }


def model_sections(
    run: Run, n: int, shelf: Shelf, evidence: Evidence | None, pictures: Pictures
) -> tuple[ModelSection, ...]:
    """Return a section for every model whose predictions lie in the run folder.

    Raises
    ------
    RunFolderError
        When a file of a model is damaged.
    """
    return tuple(
        _section(run, run.model(name), n, shelf, evidence, pictures) for name in shown_models(run)
    )


def _section(
    run: Run, model: Json, n: int, shelf: Shelf, evidence: Evidence | None, pictures: Pictures
) -> ModelSection:
    name, files = model["name"], run.model_folder(model["name"])
    predictions, shown = run.answers(name), figures_of(run, model, n)
    classes = predictions.classes
    matrix = confusion_matrix(predictions.labels, predictions.predicted, len(classes))
    training = read_json(files.training) if files.training.exists() else {}
    recipe: Mapping[str, Any] = (run.run.get("models") or {}).get(name) or {}
    kept = evidence.models.get(name) if evidence else None
    most = shown_mistakes(run)[name]
    mistakes = mistakes_of(predictions, matrix, kept, pictures, most)
    return ModelSection(
        name=name,
        anchor=anchor_of(run, model),
        best=name == run.best,
        collapsed_reason=(not model.get("baseline") and model.get("collapsed_reason")) or "",
        facts=_facts(shown, seconds_per_epoch(files)),
        notes=tuple(training.get("notes", ())),
        matrix=table_of_cells(matrix, classes, similarity_order(matrix).tolist()),
        confusion_chart=_confusion_chart(run, name, matrix, shelf),
        confusions=frequent_mistakes(matrix, classes),
        pairs=confused_pairs(predictions, matrix, pictures),
        mistakes=mistakes,
        mistakes_note=mistakes_note(evidence, mistakes),
        classes=_class_rows(shown, predictions, matrix),
        charts_of_classes=_charts_of_classes(run, name, shelf),
        curves=_curves(run, name, shelf),
        reliability=_reliability(run, model, shelf),
        deciding=_deciding(run, name, shelf),
        sight=sight_of(kept, recipe, pictures),
        anatomy=anatomy_of(recipe, kept),
        card=card_of(run, model, recipe, files),
    )


def _facts(shown: Figures, per_epoch: Number) -> tuple[Fact, ...]:
    facts = [
        Fact("Accuracy", shown.percentage("accuracy")),
        Fact("Macro-F1", shown.share("macro_f1")),
        *(
            Fact(title, shown.share(key))
            for title, key in (
                ("Macro precision", "macro_precision"),
                ("Macro recall", "macro_recall"),
                ("Weighted precision", "weighted_precision"),
                ("Weighted recall", "weighted_recall"),
                ("Weighted F1", "weighted_f1"),
                ("Area under the ROC curves, mean", "roc_auc"),
                ("Average precision, mean", "average_precision"),
                ("Validation accuracy", "validation_accuracy"),
                ("Validation macro-F1", "validation_macro_f1"),
            )
        ),
        Fact("Log loss", shown.plain("loss", "{:.3f}")),
        Fact("Parameters", shown.plain("params", "{:,.0f}")),
        Fact("Training time", shown.time("train_seconds")),
        Fact("Epochs", shown.plain("epochs", "{:,.0f}")),
        Fact("Time per epoch, mean", per_epoch),
        Fact("One photo, median", shown.three_digits("latency_ms_p50", " ms")),
        Fact("One photo, 95th percentile", shown.three_digits("latency_ms_p95", " ms")),
        Fact("Photos a second, 32 at once", shown.plain("images_per_second", "{:,.0f}")),
        Fact("Size of the exported model", shown.bytes("size_bytes")),
        Fact("Most memory used", shown.bytes("peak_memory_bytes")),
        Fact("Accuracy over seeds", over_seeds(shown, "accuracy")),
        Fact("Macro-F1 over seeds", over_seeds(shown, "macro_f1")),
    ]
    return tuple(fact for fact in facts if fact.number.shown != MISSING)


def _drawn(
    draw: Callable[[], Figure], shelf: Shelf, name: str, *, caption: str, alt: str
) -> Chart | None:
    """Draw and keep a figure; None when the run does not hold what it needs."""
    try:
        figure = draw()
    except PlotUnavailable:
        return None
    return shelf.put(name, figure, caption=caption, alt=alt)


def _curves(run: Run, name: str, shelf: Shelf) -> Chart | None:
    try:
        figure, history = figures.learning_curves(run, name), figures.history(run, name)
    except PlotUnavailable:
        return None
    last = {key: history.column(key)[-1] for key in ("val_loss", "val_accuracy", "val_macro_f1")}
    marked = "" if history.best_epoch is None else " The dotted line marks the best epoch."
    return shelf.put(
        f"{slug_of(name)}-learning-curves",
        figure,
        caption="Training photos (dashed) and validation photos (solid) after each epoch." + marked,
        alt=f"Learning curves of {name} over {len(history.epochs)} epochs; at the end, validation "
        f"loss {last['val_loss']:.3f}, accuracy {last['val_accuracy']:.3f}, "
        f"macro-F1 {last['val_macro_f1']:.3f}"
        + (f"; best epoch {history.best_epoch}" if history.best_epoch is not None else ""),
    )


def _confusion_chart(run: Run, name: str, matrix: IntArray, shelf: Shelf) -> Chart | None:
    mistakes = int(matrix.sum() - np.trace(matrix))
    return _drawn(
        lambda: figures.confusion_matrix(run, name),
        shelf,
        f"{slug_of(name)}-confusion",
        caption="Rows are the true classes, columns the answers; the diagonal is right.",
        alt=f"Confusion matrix of {name}: {mistakes} of {int(matrix.sum())} photos on the wrong "
        "class; the list beside it names the most frequent mistakes",
    )


def _class_rows(shown: Figures, predictions: Predictions, matrix: IntArray) -> tuple[ClassRow, ...]:
    mistaken = most_mistaken(matrix, predictions.classes)
    believed = _mean_confidence(predictions)
    return tuple(
        _class_row(
            Figures(row, f"{shown.place}/per_class/{place}"),
            believed[place],
            mistaken.get(row["label"], ""),
        )
        for place, row in enumerate(shown.values["per_class"])
    )


def _class_row(shown: Figures, believed: float, mistaken_for: str) -> ClassRow:
    return ClassRow(
        label=shown.values["label"],
        support=shown.plain("support", "{:,.0f}"),
        precision=shown.share("precision"),
        recall=shown.share("recall"),
        f1=shown.share("f1"),
        believed=share(believed),
        mistaken_for=mistaken_for,
    )


def _mean_confidence(predictions: Predictions) -> Sequence[float]:
    """Return the mean probability of the answers that name each class; NaN for none."""
    size = len(predictions.classes)
    confidence = predictions.probabilities.max(axis=1)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(predictions.predicted, confidence, size) / np.bincount(
            predictions.predicted, minlength=size
        )
    means: list[float] = mean.tolist()
    return means


def _charts_of_classes(run: Run, name: str, shelf: Shelf) -> tuple[Chart, ...]:
    slug = slug_of(name)
    drawn = (
        _drawn(
            lambda: figures.per_class_f1(run, name),
            shelf,
            f"{slug}-per-class-f1",
            caption="F1 of every class, the weakest first."
            + (" Bars are 95 % intervals." if _has_intervals(run.model(name)) else ""),
            alt=f"F1 of every class of {name}; the figures are in the table of classes",
        ),
        _drawn(
            lambda: figures.precision_recall(run, name),
            shelf,
            f"{slug}-precision-recall",
            caption="Precision against recall as the probability that is asked for rises. The "
            "closer to the upper right corner, the better.",
            alt=f"Precision-recall curves of {name}, one for each class",
        ),
        _drawn(
            lambda: figures.roc(run, name),
            shelf,
            f"{slug}-roc",
            caption="Found photos of a class against false alarms (receiver operating "
            "characteristic). The closer to the upper left corner, the better.",
            alt=f"ROC curves of {name}, one for each class",
        ),
    )
    return tuple(chart for chart in drawn if chart is not None)


def _has_intervals(model: Json) -> bool:
    return any(row.get("f1_ci") for row in model["per_class"])


def _deciding(run: Run, name: str, shelf: Shelf) -> Deciding | None:
    """Return how often the model is sure, unsure and at a loss, and how often wrong."""
    chart = _drawn(
        lambda: figures.coverage_risk(run, name),
        shelf,
        f"{slug_of(name)}-coverage-risk",
        caption="Wrong answers among the surest ones, as more and more photos are answered.",
        alt=f"Coverage and risk of {name}; the sentences beside it give the figures",
    )
    if chart is None:
        return None
    info = run.bundle_info(name)
    return Deciding(_decisions_in_words(info) if info else (), chart)


def _decisions_in_words(info: BundleInfo) -> tuple[str, ...]:
    answered = answers_in_words(info.abstention) if info.abstention else ""
    said = (answered, sure_in_words(info), unknown_in_words(info))
    return tuple(sentence for sentence in said if sentence)


def _reliability(run: Run, model: Json, shelf: Shelf) -> Chart | None:
    name, ece = model["name"], share(model.get("ece"), 0).shown
    return _drawn(
        lambda: figures.reliability(run, name),
        shelf,
        f"{slug_of(name)}-reliability",
        caption="Can its probabilities be believed? Of the photos answered with some probability, "
        f"how many are right? On the dashed line the two agree. Expected calibration error: {ece}.",
        alt=f"Reliability diagram of {name}; expected calibration error {ece}",
    )
