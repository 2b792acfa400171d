"""The confusion matrix on the page: cells to press, and the most confused pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pegboard.evaluate import Predictions
from pegboard.metrics import IntArray
from pegboard.report.model_context import (
    Cell,
    ConfusedPair,
    ConfusionEntry,
    ConfusionRow,
    ExampleRow,
    Matrix,
)
from pegboard.report.numbers import percent_of, whole_percent
from pegboard.report.pieces import PhotoView
from pegboard.report.store import Pictures

MOST_CELLS_CLASSES = 30
"""With more classes, the confusion matrix is a picture and a list, not a table of cells."""

MOST_NAMED_CONFUSIONS = 30

MOST_PAIRS = 4
"""Of classes that are shown side by side."""

MOST_EXAMPLES = 4
"""Photos in each row of a pair."""

SHADES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
"""A cell's shade is 1 and one more for each of these that its share of the row reaches."""


def table_of_cells(
    matrix: IntArray, classes: Sequence[str], similarity: Sequence[int]
) -> Matrix | None:
    """Return the matrix as a table; None with too many classes for one.

    Parameters
    ----------
    matrix
        ``(C, C)`` counts, rows = true class.
    similarity
        ``(C,)`` places of the classes in order of similarity.
    """
    if len(classes) > MOST_CELLS_CLASSES:
        return None
    rows = tuple(
        ConfusionRow(
            label=label,
            support=int(matrix[row].sum()),
            cells=tuple(cell(matrix, row, column, classes) for column in range(len(classes))),
        )
        for row, label in enumerate(classes)
    )
    return Matrix(rows, " ".join(str(place) for place in similarity))


def cell(matrix: IntArray, row: int, column: int, classes: Sequence[str]) -> Cell:
    """Return one cell, ready to be pressed."""
    count = int(matrix[row, column])
    if count == 0:
        return Cell(row, column, "", "", "zero", "")
    share = count / int(matrix[row].sum())
    step = 1 + sum(share >= least for least in SHADES)
    kind = "hit" if row == column else "miss"
    done = "recognised as" if row == column else "taken for"
    return Cell(
        true=row,
        predicted=column,
        count=f"{count:,}",
        percent=whole_percent(share),
        css=f"{kind} shade-{step}",
        words=f"{count} of {classes[row]} {done} {classes[column]} ({whole_percent(share)})",
    )


def frequent_mistakes(matrix: IntArray, classes: Sequence[str]) -> tuple[ConfusionEntry, ...]:
    """Return the fullest cells beside the diagonal."""
    mistakes = _beside_diagonal(matrix)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MOST_NAMED_CONFUSIONS]
    cells = [divmod(int(place), len(classes)) for place in order]
    return tuple(
        ConfusionEntry(classes[true], classes[predicted], cell(matrix, true, predicted, classes))
        for true, predicted in cells
        if mistakes[true, predicted] > 0
    )


def most_mistaken(matrix: IntArray, classes: Sequence[str]) -> dict[str, str]:
    """Return, for each class that was mistaken, the class it was most often taken for."""
    return {
        label: f"{classes[int(row.argmax())]} ({int(row.max())})"
        for label, row in zip(classes, _beside_diagonal(matrix), strict=True)
        if row.max() > 0
    }


def confused_pairs(
    predictions: Predictions, matrix: IntArray, pictures: Pictures
) -> tuple[ConfusedPair, ...]:
    """Return the pairs of classes most often taken for one another, with photos.

    Empty when no photo has a picture.
    """
    if not pictures.stored:
        return ()
    both = np.triu(matrix + matrix.T, k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [divmod(int(place), len(predictions.classes)) for place in order]
    return tuple(
        _pair(predictions, matrix, one, other, pictures)
        for one, other in pairs
        if both[one, other] > 0
    )


def _pair(
    predictions: Predictions, matrix: IntArray, one: int, other: int, pictures: Pictures
) -> ConfusedPair:
    classes = predictions.classes
    rows = ((one, other), (other, one), (one, one), (other, other))
    return ConfusedPair(
        one=classes[one],
        other=classes[other],
        count=int(matrix[one, other] + matrix[other, one]),
        examples=tuple(
            ExampleRow(
                title=f"{classes[true]} {'recognised' if true == answer else 'taken for'} "
                f"{'' if true == answer else classes[answer]}".rstrip(),
                photos=_examples(predictions, true, answer, pictures),
                cell=cell(matrix, true, answer, classes),
            )
            for true, answer in rows
            if matrix[true, answer] > 0
        ),
    )


def _examples(
    predictions: Predictions, true: int, answer: int, pictures: Pictures
) -> tuple[PhotoView, ...]:
    """Return photos of a cell, those with a picture first, then the surest."""
    places = np.flatnonzero((predictions.labels == true) & (predictions.predicted == answer))
    surest = sorted(
        places.tolist(),
        key=lambda place: (
            not pictures.of(predictions.paths[place]),
            -predictions.probabilities[place, answer],
        ),
    )
    return tuple(answered(predictions, place, pictures) for place in surest[:MOST_EXAMPLES])


def answered(predictions: Predictions, place: int, pictures: Pictures) -> PhotoView:
    """Return a test photo with what the model said of it."""
    path, classes = predictions.paths[place], predictions.classes
    row, true = predictions.probabilities[place], int(predictions.labels[place])
    answer = int(predictions.predicted[place])
    told = f"{classes[answer]} {percent_of(row[answer])}"
    lines = (told,) if answer == true else (told, f"{classes[true]} {percent_of(row[true])}")
    words = f"{classes[true]}, answered {told}"
    return PhotoView(path, pictures.of(path), f"Photo of {words}", lines)


def _beside_diagonal(matrix: IntArray) -> IntArray:
    mistakes: IntArray = matrix - np.diag(np.diag(matrix))
    return mistakes
