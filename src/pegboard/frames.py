"""The files of a run as pandas data frames.

Every number is the one that stands in the file: nothing is computed here but the counts of a
confusion matrix. Intervals become two columns, ``accuracy_low`` and ``accuracy_high``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pegboard.errors import PegboardError, require_extra
from pegboard.metrics import confusion_matrix
from pegboard.photos import SPLITS, SplitName
from pegboard.report.run import Json, Run
from pegboard.runs import HISTORY_COLUMNS, read_history

_WHOLE = ("params", "epochs", "size_bytes", "peak_memory_bytes")
"""Whole numbers that a baseline lacks; without a word they would become fractions."""

_NESTED = ("top_confusions", "per_class", "seeds")


def _pandas() -> Any:
    return require_extra("pandas", "notebook")


def leaderboard(run: Run) -> Any:
    """Return one row per model, the best on validation first, baselines last."""
    rows = [_flat(model) for model in run.models]
    frame = _pandas().DataFrame(rows).set_index("name").rename_axis("model")
    return frame.astype(dict.fromkeys(_WHOLE, "Int64"))


def comparisons(run: Run) -> Any:
    """Return one row per pair of models: difference in accuracy, interval, p, verdict."""
    columns = ("a", "b", "difference", "low", "high", "p_mcnemar", "p_adjusted", "verdict")
    rows = [
        {**row, "low": row["ci"][0], "high": row["ci"][1]} for row in run.leaderboard["comparisons"]
    ]
    return _frame(rows, columns)


def per_class(run: Run, model: str) -> Any:
    """Return one row per class: precision, recall, F1 (with intervals if kept) and support."""
    rows = [_flat(row) for row in run.model(model)["per_class"]]
    return _pandas().DataFrame(rows).set_index("label")


def history(run: Run, model: str) -> Any:
    """Return one row per epoch; none for a model that was not trained."""
    file = run.model_folder(model).history
    rows = read_history(file) if run.model(model) and file.exists() else []
    return _frame(rows, HISTORY_COLUMNS).astype({"epoch": "int64"}).set_index("epoch")


def predictions(run: Run, model: str) -> Any:
    """Return one row per validation and test photo, a column ``p_CLASS`` for each class."""
    pandas = _pandas()
    parts = []
    for split, answers in _answers(run, model).items():
        names = answers.classes
        fixed = {
            "path": list(answers.paths),
            "split": split,
            "label": [names[index] for index in answers.labels],
            "predicted": [names[index] for index in answers.predicted],
        }
        columns = [f"p_{name}" for name in names]
        values = pandas.DataFrame(answers.probabilities, columns=columns)
        parts.append(pandas.concat([pandas.DataFrame(fixed), values], axis=1))
    return pandas.concat(parts, ignore_index=True)


def confusion(run: Run, model: str, split: SplitName = "test") -> Any:
    """Return counts of photos, rows the true class, columns the predicted one."""
    if split not in SPLITS[1:]:
        raise PegboardError(f"expected the split 'validation' or 'test', got {split!r}")
    answers = _answers(run, model)[split]
    names = list(answers.classes)
    pandas = _pandas()
    return pandas.DataFrame(
        confusion_matrix(answers.labels, answers.predicted, len(names)),
        index=pandas.Index(names, name="label"),
        columns=pandas.Index(names, name="predicted"),
    )


def photos(run: Run) -> Any:
    """Return the manifest: one row per photo used."""
    columns = ("path", "label", "split", "group", "sha256")
    return _frame((asdict(row) for row in run.manifest), columns)


def left_out(run: Run) -> Any:
    """Return one row per file that was met and not used, with the reason."""
    return _frame(run.intake["left_out"], ("path", "reason", "detail"))


def _answers(run: Run, model: str) -> Mapping[SplitName, Any]:
    if run.model(model).get("baseline"):
        raise PegboardError(f"{model} is a baseline, whose answers are not kept")
    return run.predictions(model)


def _frame(rows: Iterable[Json], columns: Iterable[str]) -> Any:
    """Return a frame with these columns, also where there are no rows."""
    return _pandas().DataFrame(list(rows), columns=list(columns))


def _flat(row: Json) -> dict[str, Any]:
    """Put intervals and figures over seeds into columns of their own; leave lists out."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("_ci"):
            name = key.removesuffix("_ci")
            flat[f"{name}_low"], flat[f"{name}_high"] = value or (None, None)
        elif key in ("mean", "sd"):
            flat |= {f"{figure}_{key}": number for figure, number in (value or {}).items()}
        elif key not in _NESTED:
            flat[key] = value
    return flat


def chosen(run: Run, model: str | None) -> str:
    """Return the name of the model meant: the one named, else the best.

    Raises
    ------
    PegboardError
        When the run has no such model.
    """
    if model is None:
        model = run.best
    if model is None:
        raise PegboardError(f"{run.folder.path} has no trained model; name a baseline")
    name: str = run.model(model)["name"]
    return name
