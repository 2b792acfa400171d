"""A trained model in Python: one file, ready to answer. Without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import BundleInfo
from pegboard.errors import InputError, require_extra
from pegboard.notebook import html_table
from pegboard.photo_files import read_photo
from pegboard.predict import Predictor, Read
from pegboard.rows import Prediction
from pegboard.sources.given import Given, listed

SHOWN = 20
"""Answers that a notebook shows of a longer list."""


class PredictionList(list[Prediction]):
    """Answers in the order of the photos: a list, and in a notebook a table."""

    def to_frame(self) -> Any:
        """Return a pandas data frame with one row per photo.

        Columns ``path label probability decision reason error top``; ``top`` holds pairs of
        class and probability, the likeliest first. What is not there is None.

        Raises
        ------
        MissingExtra
            Without pandas.
        """
        pandas: Any = require_extra("pandas", "notebook")
        columns = ("path", "label", "probability", "decision", "reason", "error")
        data: dict[str, list[Any]] = {
            name: [getattr(answer, name) for answer in self] for name in columns
        }
        data["top"] = [
            [(candidate.label, candidate.probability) for candidate in answer.top]
            for answer in self
        ]
        frame = pandas.DataFrame(data)
        return frame.astype({"probability": "float64"})

    @overload
    def __getitem__(self, index: SupportsIndex) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> PredictionList: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Prediction | PredictionList:
        if isinstance(index, slice):
            return PredictionList(super().__getitem__(index))
        return super().__getitem__(index)

    def _repr_html_(self) -> str:
        header = ("photo", "label", "probability", "decision", "why")
        rows = [_html_row(number, answer) for number, answer in enumerate(self[:SHOWN])]
        more = f"<p>… and {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        return html_table(header, rows) + more


def _html_row(number: int, answer: Prediction) -> tuple[str, ...]:
    name = answer.path if answer.path is not None else f"#{number}"
    if answer.error is not None:
        return name, "", "", "error", answer.error
    probability = f"{answer.probability:.3f}"
    return name, answer.label or "", probability, answer.decision or "", answer.reason or ""


class Model:
    """A ``.pegboard`` file, ready to answer; see :func:`pegboard.load`.

    >>> model = pegboard.load("probe.pegboard")               # doctest: +SKIP
    >>> model.predict(["a.jpg", "b.jpg"])[0].label            # doctest: +SKIP
    'hammer'

    Safe to use from several threads.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @property
    def info(self) -> BundleInfo:
        """What the file says about the model: input, figures, thresholds, origin."""
        return self._predictor.info

    @property
    def name(self) -> str:
        """The model's name, such as ``probe``."""
        return self.info.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.info.classes

    def predict(self, photos: Given | Iterable[Given], top: int = 3) -> PredictionList:
        """Name what photos show.

        Parameters
        ----------
        photos
            One photo or several: file names, file contents (bytes), Pillow images, or uint8
            arrays ``(h, w)``, ``(h, w, 1)``, ``(h, w, 3)``; or one array ``(n, h, w)`` or
            ``(n, h, w, 1 or 3)`` of several.
        top
            How many of the likeliest classes to tell.

        Returns
        -------
        One answer per photo, in their order; a photo that cannot be used gets one with
        ``error``.

        Raises
        ------
        PegboardError
            When ``photos`` holds no photos, or ``top`` is below 1.
        """
        return PredictionList(self._predictor.predict_items(_items(photos), top))

    def predict_proba(self, photos: Given | Iterable[Given]) -> NDArray[np.float32]:
        """Return the calibrated probability of every class.

        Parameters
        ----------
        photos
            As for :meth:`predict`.

        Returns
        -------
        ``(n, classes)`` float32, rows summing to 1, columns in the order of ``classes``.

        Raises
        ------
        InputError
            When a photo cannot be used.
        """
        rows = [np.empty((0, len(self.classes)), np.float32)]
        for number, (path, answer) in enumerate(self._predictor.answers(_items(photos))):
            if isinstance(answer, str):
                raise InputError(
                    f"{path or f'photo #{number}'} cannot be used: {answer}; predict() tells such "
                    "photos in their rows"
                )
            rows.append(answer[None])
        return np.concatenate(rows)

    def __repr__(self) -> str:
        spec = self.info.input
        colour = "grey" if spec.channels == 1 else "colour"
        return (
            f"<pegboard model {self.name!r}: {len(self.classes)} classes, "
            f"{spec.width} x {spec.height} px, {colour}>"
        )


def load(path: str | os.PathLike[str], *, threads: int | None = None) -> Model:
    """Load a model from a ``.pegboard`` file.

    Nothing in the file is executed: it holds an ONNX network and JSON, with checksums.

    Parameters
    ----------
    path
        As written by ``compare`` (``RUN/models/NAME/NAME.pegboard``) or ``pegboard export``.
    threads
        CPU threads; None for as many as there are cores.

    Raises
    ------
    BundleError
        When the file is missing, damaged, or not a model of pegboard.

    Examples
    --------
    >>> model = pegboard.load("probe.pegboard")               # doctest: +SKIP
    >>> model.predict("photo.jpg")[0].label                   # doctest: +SKIP
    'hammer'
    """
    return Model(Predictor.load(Path(path), threads))


def _items(photos: Given | Iterable[Given]) -> Iterator[tuple[str | None, Read]]:
    """Return each photo's name, if it has one, and a function that reads it."""
    for photo in listed(photos):
        if isinstance(photo, str | os.PathLike):
            path = os.fspath(photo)
            yield path, lambda path=path: read_photo(path)  # type: ignore[misc]
        else:
            yield None, lambda photo=photo: photo  # type: ignore[misc]
