"""Whether a bundle is whole, answers as it did when it was made, and how good it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from pegboard.bundle import (
    MAX_DIFFERENCE,
    BundleInfo,
    DamagedBundleError,
    Parity,
    read_bundle,
)
from pegboard.errors import GateFound, PegboardError
from pegboard.metrics import accuracy, class_scores, confusion_matrix
from pegboard.photos import Source
from pegboard.predict import Predictor, Read

_Z_95 = 1.959964


@dataclass(frozen=True)
class OnPhotos:
    """How a bundle did on photos with known classes.

    Attributes
    ----------
    location
        Where they are.
    n
        Photos that were classified and whose class the model knows.
    accuracy, accuracy_ci, macro_f1
        On these; the interval is Wilson's 95 % (1927), which takes photos as independent;
        macro-F1 is the mean over the classes that are there.
    unusable
        Photos that could not be used, with the reason.
    unknown_classes
        Photos per class the model does not know; they are not counted.
    """

    location: str
    n: int
    accuracy: float
    accuracy_ci: tuple[float, float]
    macro_f1: float
    unusable: Mapping[str, str] = field(default_factory=dict)
    unknown_classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """What was checked and found.

    Attributes
    ----------
    path, name
        The bundle and its model.
    reference_n, max_difference
        Reference inputs, and the largest difference of a probability between the answers here
        and the stored answers of the trained model.
    parity
        The comparison made on photos when the bundle was written.
    stored_accuracy
        Test accuracy stored with the model, if any.
    on
        How it does on photos the user named, if any.
    """

    path: str
    name: str
    reference_n: int
    max_difference: float
    parity: Parity | None
    stored_accuracy: float | None
    on: OnPhotos | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Say it in words, one statement a line."""
        yield f"{self.path}: {self.name}, whole; all checksums match"
        yield (
            f"answers to {self.reference_n} stored inputs differ from the trained model's "
            f"by at most {self.max_difference:.1e}"
        )
        if self.parity is not None:
            yield (
                f"when it was made: same class as the trained model for "
                f"{self.parity.agreement:.2%} of {self.parity.n} photos"
            )
        if self.on is not None:
            yield from self._lines_on(self.on)

    def _lines_on(self, on: OnPhotos) -> Iterator[str]:
        low, high = on.accuracy_ci
        yield (
            f"accuracy on {on.location}: {on.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}, "
            f"n = {on.n}), macro-F1 {on.macro_f1:.3f}"
        )
        if self.stored_accuracy is not None:
            yield f"accuracy stored with the model: {self.stored_accuracy:.3f}"
        if on.unknown_classes:
            classes = ", ".join(f"{name} ({n})" for name, n in on.unknown_classes.items())
            yield f"not counted, classes the model does not know: {classes}"
        if on.unusable:
            path, reason = next(iter(on.unusable.items()))
            yield f"not counted, unusable: {len(on.unusable)}, such as {path} ({reason})"


def verify_bundle(
    path: str | Path, on: str | Path | None = None, *, threads: int | None = None
) -> Verification:
    """Check a bundle, and measure it on labelled photos if there are any.

    Parameters
    ----------
    path
        The ``.pegboard`` file.
    on
        Class folders, or any other source of labelled photos.
    threads
        CPU threads.

    Raises
    ------
    GateFound
        When the file was damaged or altered, or the model answers otherwise than it did.
    BundleError
        When it is no bundle at all, or too new.
    PegboardError
        When no photo of ``on`` can be used.
    """
    try:
        bundle = read_bundle(path)
    except DamagedBundleError as error:
        raise GateFound(str(error)) from error
    predictor = Predictor(bundle, threads)
    answers = predictor.probabilities(bundle.reference.inputs(bundle.info.input))
    difference = float(np.abs(answers - bundle.reference.probabilities).max(initial=0.0))
    if not difference <= MAX_DIFFERENCE:  # NaN is a mismatch too
        raise GateFound(
            f"{path} does not answer as the trained model did: probabilities differ by up to "
            f"{difference:.2g}, at most {MAX_DIFFERENCE:g} is accepted; export it again, and "
            "compare the versions of onnxruntime"
        )
    return Verification(
        path=str(path),
        name=bundle.info.name,
        reference_n=len(answers),
        max_difference=difference,
        parity=bundle.info.parity,
        stored_accuracy=_number(bundle.info.figures.get("accuracy")),
        on=None if on is None else measure_on(predictor, on),
    )


def measure_on(predictor: Predictor, location: str | Path) -> OnPhotos:
    """Classify labelled photos and compare.

    Raises
    ------
    PegboardError
        When no photo there has a class of the model and can be decoded.
    """
    from pegboard.sources import open_source  # noqa: PLC0415  (only --on needs it)

    source = open_source(str(location))
    index = {name: number for number, name in enumerate(predictor.info.classes)}
    labels, unknown = _labels(source, predictor.info)
    items: Iterator[tuple[str, Read]] = ((path, partial(source.read, path)) for path in labels)
    unusable: dict[str, str] = {}
    true, predicted = [], []
    for row in predictor.predict_items(items, top=1):
        path = row.path or ""
        if row.label is None:
            unusable[path] = row.error or ""
        else:
            true.append(index[labels[path]])
            predicted.append(index[row.label])
    if not true:
        raise PegboardError(
            f"--on {location}: expected photos in folders named like the model's classes "
            f"({', '.join(predictor.info.classes[:5])} …), found {len(unusable)} unusable and "
            f"{sum(unknown.values())} of other classes"
        )
    confusion = confusion_matrix(np.array(true), np.array(predicted), len(index))
    scores, right = class_scores(confusion), int(np.trace(confusion))
    return OnPhotos(
        location=str(location),
        n=len(true),
        accuracy=accuracy(confusion),
        accuracy_ci=wilson(right, len(true)),
        macro_f1=float(scores.f1[scores.support > 0].mean()),
        unusable=unusable,
        unknown_classes=unknown,
    )


def _labels(source: Source, info: BundleInfo) -> tuple[dict[str, str], dict[str, int]]:
    """Return path → label of photos whose class is known, and counts of other classes."""
    labels: dict[str, str] = {}
    unknown: Counter[str] = Counter()
    for entry in source.listing().entries:
        if entry.label in info.classes:
            labels[entry.path] = entry.label
        elif entry.label is not None:
            unknown[entry.label] += 1
    return labels, dict(unknown)


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval (1927) of a share of ``right`` out of ``n`` ≥ 1."""
    share = right / n
    shrink = 1 + _Z_95**2 / n
    centre = (share + _Z_95**2 / (2 * n)) / shrink
    half = _Z_95 * sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n * n)) / shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
