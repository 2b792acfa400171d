"""What is said of one model: curves, confusion matrix, classes, calibration."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from pegboard.errors import PlotUnavailable
from pegboard.metrics import IntArray, confusion_matrix
from pegboard.report import figures
from pegboard.report.board import anchor_of, over_seeds
from pegboard.report.context import (
    Cell,
    Chart,
    ClassRow,
    ConfusionEntry,
    ConfusionRow,
    ModelSection,
)
from pegboard.report.numbers import (
    MISSING,
    bytes_of,
    percentage,
    plain,
    share,
    three_digits,
    time_of,
    whole_percent,
)
from pegboard.report.run import Json, Run, Shelf, slug_of
from pegboard.runs import read_json

MOST_CELLS_CLASSES = 30
"""With more classes, the confusion matrix is a picture and a list, not a table of cells."""

MOST_NAMED_CONFUSIONS = 30

SHADES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
"""A cell's shade is 1 and one more for each of these that its share of the row reaches."""


def model_sections(run: Run, n: int, shelf: Shelf) -> tuple[ModelSection, ...]:
    """Return a section for every model whose predictions lie in the run folder.

    Raises
    ------
    RunFolderError
        When a file of a model is damaged.
    """
    return tuple(_section(run, model, n, shelf) for model in run.models if anchor_of(run, model))


def _section(run: Run, model: Json, n: int, shelf: Shelf) -> ModelSection:
    name, files = model["name"], run.model_folder(model["name"])
    predictions = run.answers(name)
    classes = predictions.classes
    matrix = confusion_matrix(predictions.labels, predictions.predicted, len(classes))
    training = read_json(files.training) if files.training.exists() else {}
    return ModelSection(
        name=name,
        anchor=anchor_of(run, model),
        best=name == run.best,
        collapsed_reason=(not model.get("baseline") and model.get("collapsed_reason")) or "",
        facts=_facts(model, n),
        notes=tuple(training.get("notes", ())),
        recipe=_recipe(run, name),
        curves=_curves(run, name, shelf),
        confusion=_confusion_rows(matrix, classes),
        confusion_chart=_confusion_chart(run, name, matrix, shelf),
        confusions=_confusions(matrix, classes),
        classes=_class_rows(model["per_class"], matrix, classes),
        reliability=_reliability(run, model, shelf),
    )


def _recipe(run: Run, name: str) -> str:
    recipe = (run.run.get("models") or {}).get(name)
    return json.dumps(recipe, indent=2, ensure_ascii=False) if recipe else ""


def _facts(model: Json, n: int) -> tuple[tuple[str, str], ...]:
    accuracy = percentage(model.get("accuracy"), n, model.get("accuracy_ci"))
    macro_f1 = share(model.get("macro_f1"), n, model.get("macro_f1_ci"))
    facts = [
        ("Accuracy", f"{accuracy.shown} ({accuracy.interval})"),
        ("Macro-F1", f"{macro_f1.shown} ({macro_f1.interval})"),
        *(
            (title, share(model.get(key), n).shown)
            for title, key in (
                ("Macro precision", "macro_precision"),
                ("Macro recall", "macro_recall"),
                ("Weighted precision", "weighted_precision"),
                ("Weighted recall", "weighted_recall"),
                ("Weighted F1", "weighted_f1"),
                ("Validation accuracy", "validation_accuracy"),
                ("Validation macro-F1", "validation_macro_f1"),
            )
        ),
        ("Log loss", plain(model.get("loss"), "{:.3f}").shown),
        ("Parameters", plain(model.get("params"), "{:,.0f}").shown),
        ("Training time", time_of(model.get("train_seconds")).shown),
        ("Epochs", plain(model.get("epochs"), "{:,.0f}").shown),
        ("One photo, median", three_digits(model.get("latency_ms_p50"), " ms").shown),
        ("One photo, 95th percentile", three_digits(model.get("latency_ms_p95"), " ms").shown),
        ("Photos a second, 32 at once", plain(model.get("images_per_second"), "{:,.0f}").shown),
        ("Size of the exported model", bytes_of(model.get("size_bytes")).shown),
        ("Most memory used", bytes_of(model.get("peak_memory_bytes")).shown),
        ("Accuracy over seeds", over_seeds(model, "accuracy").shown),
        ("Macro-F1 over seeds", over_seeds(model, "macro_f1").shown),
    ]
    return tuple((title, value) for title, value in facts if value != MISSING)


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


def _confusion_rows(matrix: IntArray, classes: Sequence[str]) -> tuple[ConfusionRow, ...]:
    if len(classes) > MOST_CELLS_CLASSES:
        return ()
    return tuple(
        ConfusionRow(
            label=label,
            support=int(matrix[row].sum()),
            cells=tuple(_cell(matrix, row, column, classes) for column in range(len(classes))),
        )
        for row, label in enumerate(classes)
    )


def _cell(matrix: IntArray, row: int, column: int, classes: Sequence[str]) -> Cell:
    count = int(matrix[row, column])
    if count == 0:
        return Cell("", "", "zero", "")
    share = count / int(matrix[row].sum())
    step = 1 + sum(share >= least for least in SHADES)
    kind = "hit" if row == column else "miss"
    done = "recognised as" if row == column else "taken for"
    return Cell(
        count=f"{count:,}",
        percent=whole_percent(share),
        css=f"{kind} shade-{step}",
        words=f"{count} of {classes[row]} {done} {classes[column]} ({whole_percent(share)})",
    )


def _confusion_chart(run: Run, name: str, matrix: IntArray, shelf: Shelf) -> Chart:
    mistakes = int(matrix.sum() - np.trace(matrix))
    return shelf.put(
        f"{slug_of(name)}-confusion",
        figures.confusion_matrix(run, name),
        caption="Rows are the true classes, columns the answers; the diagonal is right.",
        alt=f"Confusion matrix of {name}: {mistakes} of {int(matrix.sum())} photos on the wrong "
        "class; the list beside it names the most frequent mistakes",
    )


def _confusions(matrix: IntArray, classes: Sequence[str]) -> tuple[ConfusionEntry, ...]:
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MOST_NAMED_CONFUSIONS]
    cells = [divmod(int(cell), len(classes)) for cell in order]
    return tuple(
        ConfusionEntry(
            classes[true],
            classes[predicted],
            int(mistakes[true, predicted]),
            whole_percent(mistakes[true, predicted] / matrix[true].sum()),
        )
        for true, predicted in cells
        if mistakes[true, predicted] > 0
    )


def _class_rows(
    per_class: Sequence[Json], matrix: IntArray, classes: Sequence[str]
) -> tuple[ClassRow, ...]:
    mistaken = _most_mistaken(matrix, classes)
    return tuple(
        ClassRow(
            label=row["label"],
            support=row["support"],
            precision=share(row["precision"], 0),
            recall=share(row["recall"], 0),
            f1=share(row["f1"], 0),
            mistaken_for=mistaken.get(row["label"], ""),
        )
        for row in per_class
    )


def _most_mistaken(matrix: IntArray, classes: Sequence[str]) -> dict[str, str]:
    mistakes = matrix - np.diag(np.diag(matrix))
    return {
        label: f"{classes[int(row.argmax())]} ({int(row.max())})"
        for label, row in zip(classes, mistakes, strict=True)
        if row.max() > 0
    }


def _reliability(run: Run, model: Json, shelf: Shelf) -> Chart:
    name, ece = model["name"], share(model.get("ece"), 0).shown
    return shelf.put(
        f"{slug_of(name)}-reliability",
        figures.reliability(run, name),
        caption="Of the photos answered with some probability, how many are right? On the dashed "
        f"line the two agree. Expected calibration error: {ece}.",
        alt=f"Reliability diagram of {name}; expected calibration error {ece}",
    )
