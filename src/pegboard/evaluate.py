"""From saved predictions to the figures of one model.

A model's answers are written once, to ``predictions.csv``; everything that is said about the
model afterwards is computed from that file, so it can be checked by anyone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import PegboardError, RunFolderError
from pegboard.files import atomic_path
from pegboard.manifest import ManifestRow
from pegboard.metrics import (
    DRAWS,
    ClassScores,
    FloatArray,
    IntArray,
    Interval,
    ScoreIntervals,
    accuracy,
    accuracy_interval,
    class_intervals,
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    log_loss,
    macro_average,
    macro_f1_interval,
    resampled_accuracy,
    resampled_class_scores,
    weighted_average,
)
from pegboard.photos import SPLITS, SplitName
from pegboard.thresholds import macro_areas

TOP_CONFUSIONS = 10

COLLAPSED_FACTOR = 1.5
"""A model whose macro-F1 is under this many times the majority row's has collapsed."""

_FIXED_COLUMNS = ["path", "split", "label", "predicted"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """One model's answers to N photos of one split.

    Attributes
    ----------
    paths
        ``(N,)`` as in the manifest.
    labels
        ``(N,)`` index of the true class.
    probabilities
        ``(N, C)`` float64, rows summing to 1.
    classes
        ``(C,)`` names.
    groups
        ``(N,)`` duplicate group of each photo.

    Raises
    ------
    PegboardError
        When the lengths do not fit, there is no photo, a label is no class index, or a
        probability is not between 0 and 1 (a model that diverged answers NaN).
    """

    paths: Sequence[str]
    labels: IntArray
    probabilities: FloatArray
    classes: Sequence[str]
    groups: Sequence[str]

    @classmethod
    def of_rows(
        cls,
        rows: Sequence[ManifestRow],
        labels: IntArray,
        probabilities: NDArray[np.floating],
        classes: Sequence[str],
    ) -> Predictions:
        """Return the answers to photos of a manifest; one without a group is its own."""
        paths = [row.path for row in rows]
        groups = [row.group or row.path for row in rows]
        return cls(paths, labels, np.asarray(probabilities, np.float64), classes, groups)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        object.__setattr__(self, "probabilities", _without_rounding(self.probabilities))
        self._check_lengths()
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise PegboardError(
                f"expected labels 0 … {len(self.classes) - 1}, "
                f"found {self.labels.min()} … {self.labels.max()}"
            )
        wrong = ~((self.probabilities >= 0) & (self.probabilities <= 1)).all(axis=1)
        if wrong.any():
            raise PegboardError(
                f"expected probabilities between 0 and 1 for {self.paths[int(wrong.argmax())]}, "
                f"found {self.probabilities[wrong.argmax()].tolist()}; the model has diverged: "
                "train it with a lower learning rate"
            )

    def _check_lengths(self) -> None:
        number = len(self.paths)
        shape = (number, len(self.classes))
        fits = len(self.labels) == len(self.groups) == number
        if not fits or self.probabilities.shape != shape:
            raise PegboardError(
                f"expected labels, groups and probabilities {shape} of {number} photos, found "
                f"{len(self.labels)}, {len(self.groups)} and {self.probabilities.shape}"
            )
        if number == 0:
            raise PegboardError("expected predictions of at least one photo, found none")

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def predicted(self) -> IntArray:
        """``(N,)`` index of the most probable class (the first, if several are)."""
        predicted: IntArray = self.probabilities.argmax(axis=1)
        return predicted

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(N,)`` whether the answer is right."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right


@dataclass(frozen=True)
class Confusion:
    """How many photos of one class were taken for another."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True)
class ClassFigures:
    """One class's figures; a run of an earlier version has no intervals."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    precision_ci: Interval | None = None
    recall_ci: Interval | None = None
    f1_ci: Interval | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClassFigures:
        """Rebuild from plain JSON values."""
        intervals = {key: tuple(data[key]) for key in _CLASS_INTERVALS if data.get(key)}
        return cls(**{**data, **intervals})


_CLASS_INTERVALS = ("precision_ci", "recall_ci", "f1_ci")


@dataclass(frozen=True)
class Evaluation:
    """What can be said of one model's answers; the names are those of leaderboard.json.

    ``roc_auc`` and ``average_precision`` are macro averages of each class against the others,
    over the classes that have photos; None with fewer than two of them, and in a run of an
    earlier version.
    ``confusion`` is the ``(C, C)`` matrix, rows the true class; it is left out of the JSON
    (it can be counted from predictions.csv) and None in an evaluation read from there.
    """

    n: int
    accuracy: float
    accuracy_ci: Interval
    macro_f1: float
    macro_f1_ci: Interval
    macro_precision: float
    macro_recall: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    loss: float
    ece: float
    top_confusions: tuple[Confusion, ...]
    per_class: tuple[ClassFigures, ...]
    roc_auc: float | None = None
    average_precision: float | None = None
    confusion: IntArray | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        data = asdict(self)
        del data["confusion"]
        for name in ("accuracy_ci", "macro_f1_ci", "top_confusions", "per_class"):
            data[name] = list(data[name])
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Rebuild from :meth:`to_json`; keys of other things are passed over."""
        later = {name: data.get(name) for name in ("roc_auc", "average_precision")}
        named = cls.__dataclass_fields__.keys() - later.keys() - {"confusion"}
        plain = {name: data[name] for name in named} | later
        plain["accuracy_ci"] = tuple(plain["accuracy_ci"])
        plain["macro_f1_ci"] = tuple(plain["macro_f1_ci"])
        plain["top_confusions"] = tuple(Confusion(**row) for row in plain["top_confusions"])
        plain["per_class"] = tuple(ClassFigures.from_json(row) for row in plain["per_class"])
        return cls(**plain)


def evaluate(predictions: Predictions, *, draws: int = DRAWS, seed: int = 0) -> Evaluation:
    """Compute every figure of one model on one split.

    Parameters
    ----------
    predictions
        The saved answers.
    draws, seed
        Of the bootstrap over groups.
    """
    labels, predicted = predictions.labels, predictions.predicted
    number_of_classes = len(predictions.classes)
    confusion = confusion_matrix(labels, predicted, number_of_classes)
    scores = class_scores(confusion)
    macro, weighted = macro_average(scores), weighted_average(scores)
    accuracies = resampled_accuracy(
        predictions.right[:, None], predictions.groups, draws=draws, seed=seed
    )
    resampled = resampled_class_scores(
        labels, predicted, predictions.groups, number_of_classes, draws=draws, seed=seed
    )
    f1s = resampled.macro_f1(scores.support > 0)
    roc_auc, average_precision = macro_areas(labels, predictions.probabilities)
    return Evaluation(
        n=len(predictions),
        accuracy=accuracy(confusion),
        accuracy_ci=accuracy_interval(accuracies[:, 0], predictions.right, predictions.groups),
        macro_f1=macro.f1,
        macro_f1_ci=macro_f1_interval(
            f1s, macro.f1, labels, predicted, predictions.groups, number_of_classes
        ),
        macro_precision=macro.precision,
        macro_recall=macro.recall,
        weighted_precision=weighted.precision,
        weighted_recall=weighted.recall,
        weighted_f1=weighted.f1,
        loss=log_loss(labels, predictions.probabilities),
        ece=expected_calibration_error(labels, predictions.probabilities),
        top_confusions=_top_confusions(confusion, predictions.classes),
        per_class=_class_figures(
            predictions.classes,
            scores,
            class_intervals(resampled, scores, labels, predicted, predictions.groups),
        ),
        roc_auc=roc_auc,
        average_precision=average_precision,
        confusion=confusion,
    )


def occurring_macro_f1(
    predictions: Predictions, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, Interval]:
    """Return macro-F1 over the classes that have photos, with its 95 % interval.

    :func:`evaluate` counts a class without photos as 0, which is right where a model had to name
    it, and wrong where no photo of it could be among those asked about.

    Parameters
    ----------
    predictions
        The answers.
    draws, seed
        Of the bootstrap over groups.
    """
    classes, groups = len(predictions.classes), predictions.groups
    occurring = np.bincount(predictions.labels, minlength=classes) > 0
    number = np.where(occurring, np.cumsum(occurring) - 1, occurring.sum())
    labels, predicted = number[predictions.labels], number[predictions.predicted]
    # The last column is for answers of all other classes.
    within = np.append(np.ones(occurring.sum(), dtype=bool), False)
    scores = class_scores(confusion_matrix(labels, predicted, len(within)))
    resampled = resampled_class_scores(
        labels, predicted, groups, len(within), draws=draws, seed=seed
    ).of_classes(within)
    figure = float(scores.f1[within].mean())
    f1s = resampled.macro_f1(within[within])
    return figure, macro_f1_interval(f1s, figure, labels, predicted, groups, int(within.sum()))


def _class_figures(
    classes: Sequence[str], scores: ClassScores, intervals: ScoreIntervals
) -> tuple[ClassFigures, ...]:
    return tuple(
        ClassFigures(
            label,
            precision=float(scores.precision[index]),
            recall=float(scores.recall[index]),
            f1=float(scores.f1[index]),
            support=int(scores.support[index]),
            precision_ci=intervals.precision[index],
            recall_ci=intervals.recall[index],
            f1_ci=intervals.f1[index],
        )
        for index, label in enumerate(classes)
    )


def majority_predictions(train_labels: IntArray, template: Predictions) -> Predictions:
    """Answer every photo with the share of each class in training: the least a model must beat.

    Parameters
    ----------
    train_labels
        Class indices of the training photos, at least one.
    template
        Any model's predictions: its photos, labels and classes are kept.
    """
    counts = np.bincount(train_labels, minlength=len(template.classes))
    shares = counts / counts.sum()
    return Predictions(
        paths=template.paths,
        labels=template.labels,
        probabilities=np.tile(shares, (len(template), 1)),
        classes=template.classes,
        groups=template.groups,
    )


def is_collapsed(evaluation: Evaluation, majority: Evaluation) -> tuple[bool, str | None]:
    """Tell whether a model predicts few of the classes or hardly beats the majority class.

    Collapsed: fewer than half of the classes among the evaluated photos are ever predicted,
    or macro-F1 is under 1.5 times the majority row's.

    Parameters
    ----------
    evaluation
        Of the model, as :func:`evaluate` returns it.
    majority
        Of the majority row on the same photos.

    Returns
    -------
    Whether it has collapsed, and the reason in words if so.
    """
    if evaluation.confusion is None:
        raise ValueError("expected an evaluation with its confusion matrix, found none")
    predicted = int((evaluation.confusion.sum(axis=0) > 0).sum())
    occurring = int((evaluation.confusion.sum(axis=1) > 0).sum())
    if 2 * predicted < occurring:
        return True, f"predicts only {predicted} of {occurring} classes"
    if evaluation.macro_f1 < COLLAPSED_FACTOR * majority.macro_f1:
        return True, (
            f"macro-F1 {evaluation.macro_f1:.3f} is less than {COLLAPSED_FACTOR} times "
            f"that of always answering the commonest class ({majority.macro_f1:.3f})"
        )
    return False, None


def write_predictions(file: Path, splits: Mapping[SplitName, Predictions]) -> None:
    """Write ``predictions.csv``: path, split, label, predicted and one column per class.

    Probabilities are written with as many digits as it takes to read the same number back.
    All splits must have the same classes. The file is whole or not there.
    """
    classes = list(next(iter(splits.values())).classes)
    with (
        atomic_path(file) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out,
    ):
        writer = csv.writer(out, lineterminator="\n", quoting=_quoting(classes, splits.values()))
        writer.writerow(_FIXED_COLUMNS + [f"p_{name}" for name in classes])
        for split, predictions in splits.items():
            if list(predictions.classes) != classes:
                raise ValueError(f"expected the classes {classes} in {split}")
            writer.writerows(_rows(split, predictions))


def read_predictions(file: Path, groups: Mapping[str, str]) -> dict[SplitName, Predictions]:
    """Read ``predictions.csv`` back.

    Parameters
    ----------
    file
        As written by :func:`write_predictions`.
    groups
        Group of each path, from the manifest; a path that is not in it is its own group.

    Raises
    ------
    RunFolderError
        When the file is missing or not such a file.
    """
    try:
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            header, *rows = csv.reader(lines)
        return _parse(header, rows, groups)
    except (OSError, ValueError, KeyError, IndexError, csv.Error, PegboardError) as error:
        raise RunFolderError(
            f"expected predictions written by pegboard in {file}, found something else "
            f"({error}); train that model again"
        ) from error


def _without_rounding(probabilities: NDArray[np.floating]) -> FloatArray:
    """Return float64 probabilities, without the last bit by which a float32 softmax exceeds 1."""
    values = np.asarray(probabilities, dtype=np.float64)
    return np.where((values > 1) & (values < 1 + 1e-5), 1.0, values)


def _top_confusions(confusion: IntArray, classes: Sequence[str]) -> tuple[Confusion, ...]:
    mistakes = confusion - np.diag(np.diag(confusion))
    cells = np.argsort(-mistakes, axis=None, kind="stable")[:TOP_CONFUSIONS]
    pairs = (divmod(int(cell), len(classes)) for cell in cells)
    return tuple(
        Confusion(classes[true], classes[predicted], int(mistakes[true, predicted]))
        for true, predicted in pairs
        if mistakes[true, predicted] > 0
    )


def _quoting(classes: Sequence[str], every: Iterable[Predictions]) -> Literal[0, 2]:
    """Quote all text if a name holds a carriage return: csv forgets to, and cannot read it back."""
    names = chain(classes, *(predictions.paths for predictions in every))
    return csv.QUOTE_NONNUMERIC if any("\r" in name for name in names) else csv.QUOTE_MINIMAL


def _rows(split: SplitName, predictions: Predictions) -> list[list[str | float]]:
    names = predictions.classes
    return [
        [path, split, names[label], names[predicted], *probabilities]
        for path, label, predicted, probabilities in zip(
            predictions.paths,
            predictions.labels.tolist(),
            predictions.predicted.tolist(),
            predictions.probabilities.tolist(),
            strict=True,
        )
    ]


def _parse(
    header: list[str], rows: list[list[str]], groups: Mapping[str, str]
) -> dict[SplitName, Predictions]:
    fixed = len(_FIXED_COLUMNS)
    if header[:fixed] != _FIXED_COLUMNS or not all(name[:2] == "p_" for name in header[fixed:]):
        raise ValueError(f"columns {header[:fixed]}")
    classes = tuple(name[2:] for name in header[fixed:])
    number = {name: index for index, name in enumerate(classes)}
    found: dict[SplitName, Predictions] = {}
    by_split = _by_split(rows)
    for split in SPLITS:
        of_split = by_split.pop(split, [])
        if not of_split:
            continue
        paths = tuple(row[0] for row in of_split)
        found[split] = Predictions(
            paths=paths,
            labels=np.array([number[row[2]] for row in of_split], dtype=np.int64),
            probabilities=np.array([[float(x) for x in row[fixed:]] for row in of_split]),
            classes=classes,
            groups=tuple(groups.get(path, path) for path in paths),
        )
    if by_split:
        raise ValueError(f"split {next(iter(by_split))!r}")
    return found


_Row = TypeVar("_Row", bound=Sequence[str])


def _by_split(rows: Sequence[_Row]) -> dict[str, list[_Row]]:
    sorted_rows: dict[str, list[_Row]] = {}
    for row in rows:
        sorted_rows.setdefault(row[1], []).append(row)
    return sorted_rows
