"""A run in Python: its tables as data frames, its figures, its models."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

from pegboard import frames, loaded
from pegboard.errors import PegboardError, RunFolderError
from pegboard.notebook import html_table
from pegboard.photos import SplitName
from pegboard.plots import Plots
from pegboard.report.numbers import percentage, share, three_digits, time_of
from pegboard.report.run import Json
from pegboard.report.run import Run as RunFiles
from pegboard.runs import RunFolder
from pegboard.words import percent, summary


class Run:
    """A run of ``compare``: what was trained, how good it is, and on which photos.

    Made by :func:`pegboard.compare` and :func:`pegboard.open_run`. Tables are pandas data
    frames (extra ``notebook``), made anew each time, so changing one changes nothing else.
    Wherever ``model`` can be left out, the best model is meant.

    Parameters
    ----------
    path
        The run folder.

    Raises
    ------
    RunFolderError
        When the folder holds no finished run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._files = RunFiles.read(RunFolder(self.path))
        self.plots = Plots(self._files)

    @property
    def best(self) -> str | None:
        """Name of the model with the highest macro-F1 on validation; None if none was trained."""
        return self._files.best

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the trained models, the best first."""
        return tuple(row["name"] for row in self._files.models if not row["baseline"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._files.classes

    @property
    def summary(self) -> str:
        """What the figures allow one to say, a sentence per line."""
        return "\n".join(summary(self._files.leaderboard))

    @property
    def report(self) -> Path:
        """The page to hand in."""
        return self._files.folder.report

    @property
    def leaderboard(self) -> Any:
        """One row per model, the best first, baselines last; intervals in ``…_low``, ``…_high``.

        Fractions lie between 0 and 1. Every figure is explained in the class
        :class:`~pegboard.leaderboard.ModelRow`.
        """
        return frames.leaderboard(self._files)

    @property
    def comparisons(self) -> Any:
        """One row per pair of models: ``a b difference low high p_mcnemar p_adjusted verdict``.

        ``difference`` is accuracy of ``a`` minus accuracy of ``b``; ``verdict`` is one of
        ``a_better b_better not_shown``.
        """
        return frames.comparisons(self._files)

    @property
    def photos(self) -> Any:
        """One row per photo used: ``path label split group sha256``."""
        return frames.photos(self._files)

    @property
    def left_out(self) -> Any:
        """One row per file that was met and not used: ``path reason detail``."""
        return frames.left_out(self._files)

    def per_class(self, model: str | None = None) -> Any:
        """Return precision, recall, F1 and support of every class, on the test photos."""
        return frames.per_class(self._files, self._chosen(model))

    def history(self, model: str | None = None) -> Any:
        """Return loss, accuracy and macro-F1 after each epoch; ``val_…`` on validation."""
        return frames.history(self._files, self._chosen(model))

    def predictions(self, model: str | None = None) -> Any:
        """Return the answers to validation and test photos: ``path split label predicted p_…``."""
        return frames.predictions(self._files, self._chosen(model))

    def confusion(self, model: str | None = None, split: SplitName = "test") -> Any:
        """Return how many photos of each class (rows) were taken for each class (columns)."""
        return frames.confusion(self._files, self._chosen(model), split)

    def load(self, model: str | None = None, *, threads: int | None = None) -> loaded.Model:
        """Load a trained model to ask it about photos.

        Raises
        ------
        PegboardError
            When the run has no such model.
        BundleError
            When its file is missing or damaged.
        """
        name = self._chosen(model)
        if name not in self.models:
            raise PegboardError(f"{name} is a baseline and cannot be loaded")
        return loaded.load(self._files.model_folder(name).bundle, threads=threads)

    def _chosen(self, model: str | None) -> str:
        return frames.chosen(self._files, model)

    def __repr__(self) -> str:
        trained = f"{len(self.models)} model{'s' if len(self.models) != 1 else ''}"
        if self.best is None:
            return f"<pegboard run {str(self.path)!r}: no model was trained>"
        row = self._files.model(self.best)
        return (
            f"<pegboard run {str(self.path)!r}: {trained}, best {self.best} with "
            f"{percent(row['accuracy'], row['n'])} of {row['n']:,} test photos right>"
        )

    def _repr_html_(self) -> str:
        board = self._files.leaderboard
        rows = [_html_row(row) for row in self._files.models]
        header = ("model", "accuracy [95 %]", "macro-F1 [95 %]", "ms/photo", "training")
        sentences = " ".join(escape(sentence) for sentence in summary(board))
        strong = 0 if self.best is not None else -1
        return (
            f"<p><b>{escape(board['dataset']['name'])}</b>: {escape(str(self.path))}</p>"
            f"{html_table(header, rows, strong=strong)}<p>{sentences}</p>"
        )


def _html_row(row: Json) -> tuple[str, ...]:
    n = row["n"]
    accuracy = percentage(row["accuracy"], n, row["accuracy_ci"])
    macro_f1 = share(row["macro_f1"], n, row["macro_f1_ci"])
    return (
        row["name"],
        f"{accuracy.shown} [{accuracy.interval}]",
        f"{macro_f1.shown} [{macro_f1.interval}]",
        three_digits(row["latency_ms_p50"]).shown,
        time_of(row["train_seconds"]).shown,
    )


def open_run(path: str | os.PathLike[str]) -> Run:
    """Open the folder of an earlier run.

    Parameters
    ----------
    path
        What ``compare`` wrote, such as ``pegboard-runs/photos-20260101-120000``.

    Raises
    ------
    RunFolderError
        When it is not the folder of a finished run.
    """
    if not Path(path).is_dir():
        raise RunFolderError(f"there is no folder {path}; expected one that pegboard compare wrote")
    return Run(path)
