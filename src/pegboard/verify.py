"""Whether a bundle is whole, answers as it did when it was made, and how good it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import (
    MAX_DIFFERENCE,
    Bundle,
    BundleInfo,
    DamagedBundleError,
    Parity,
    compare_answers,
    read_bundle,
)
from pegboard.bundle.deciding import coverage_and_risk
from pegboard.bundle.tested import key_of
from pegboard.errors import GateFound, PegboardError
from pegboard.intake import payload_sha256
from pegboard.metrics import accuracy, class_scores, confusion_matrix
from pegboard.photos import Source
from pegboard.predict import Predictor, Read, Seen

_Z_95 = 1.959964

INT8_ELSEWHERE = 0.05
"""Largest difference of a probability of a model in INT8 between two machines: a value that lies on
the edge between two steps may fall to either side."""


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
    parity: Parity | None = None
    """The comparison made again, on those of the photos that the trained model was tested on."""
    abstention: Mapping[str, Any] = field(default_factory=dict)
    """Coverage and risk (:func:`pegboard.bundle.deciding.coverage_and_risk`)."""


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
                f"when it was made, exported ({self.parity.precision}) against trained: "
                f"{self.parity.words()}"
            )
        if self.on is not None:
            yield from self._lines_on(self.on)

    def _lines_on(self, on: OnPhotos) -> Iterator[str]:
        low, high = on.accuracy_ci
        yield (
            f"accuracy on {on.location}: {on.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}, "
            f"n = {on.n}), macro-F1 {on.macro_f1:.3f}"
        )
        if on.parity is not None:
            yield f"here, exported against trained: {on.parity.words()}"
            if on.parity.n < on.n:
                yield (
                    f"{on.parity.n} of these {on.n} are known to be its test photos; where others "
                    "are photos that it learned from, this accuracy is too good"
                )
        if on.abstention:
            yield _answered_words(on.abstention)
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
    _check_difference(path, bundle.info, difference)
    measured = None if on is None else measure_on(predictor, on, bundle)
    if measured is not None and measured.parity is not None:
        complaint = _complaint(bundle, measured.parity)
        if complaint:
            raise GateFound(f"{path} on {on}: {complaint.partition('; no')[0]}")
    return Verification(
        path=str(path),
        name=bundle.info.name,
        reference_n=len(answers),
        max_difference=difference,
        parity=bundle.info.parity,
        stored_accuracy=_number(bundle.info.figures.get("accuracy")),
        on=measured,
    )


def _complaint(bundle: Bundle, here: Parity) -> str | None:
    """Return what is wrong with the answers to the photos that are here, if anything is."""
    if bundle.info.parity is not None and bundle.info.parity.forced:
        return None
    asked = 0 if bundle.answers is None else len(bundle.answers.labels)
    if here.precision == "int8" and here.n < asked:
        return None  # of a few photos one that is answered otherwise is points of macro-F1
    return here.complaint()


def _check_difference(path: str | Path, info: BundleInfo, difference: float) -> None:
    is_int8 = info.parity is not None and info.parity.precision == "int8"
    limit = INT8_ELSEWHERE if is_int8 else MAX_DIFFERENCE
    if difference <= limit:
        return
    # NaN comes here too.
    raise GateFound(
        f"{path} does not answer as the trained model did: probabilities differ by up to "
        f"{difference:.2g}, at most {limit:g} is accepted; export it again, and "
        "compare the versions of onnxruntime"
    )


def _answered_words(told: Mapping[str, Any]) -> str:
    text = (
        f"answers: {told['sure']:.1%} sure, {told['unsure']:.1%} unsure, "
        f"{told['unknown']:.1%} unknown"
    )
    if told["risk"] is None:
        return text
    return f"{text}; {told['risk']:.1%} of the sure ones wrong"


def measure_on(
    predictor: Predictor, location: str | Path, bundle: Bundle | None = None
) -> OnPhotos:
    """Classify labelled photos and compare.

    Parameters
    ----------
    predictor
        The model.
    location
        Class folders, or any other source of labelled photos.
    bundle
        What the model was read from: with the trained model's answers in it, those of the photos
        that it was tested on are compared again.

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
    true: list[int] = []
    seen: list[Seen] = []
    for one in predictor.seen(items):
        path = one.path or ""
        if one.error is not None:
            unusable[path] = one.error
        else:
            true.append(index[labels[path]])
            seen.append(one)
    if not true:
        named = predictor.info.classes[:5]
        alone = sum(entry.label is None for entry in source.listing().entries)
        more = " …" * (len(predictor.info.classes) > len(named))
        raise PegboardError(
            f"--on {location}: expected photos in folders named like the model's classes "
            f"({', '.join(named)}{more}), found {len(unusable)} unusable, {sum(unknown.values())} "
            f"of other classes and {alone} files without a class; give the folder that holds the "
            "class folders"
        )
    answers, known = np.stack([one.probabilities for one in seen]), np.array(true)
    confusion = confusion_matrix(known, answers.argmax(axis=1), len(index))
    scores, right = class_scores(confusion), int(np.trace(confusion))
    return OnPhotos(
        location=str(location),
        n=len(true),
        accuracy=accuracy(confusion),
        accuracy_ci=wilson(right, len(true)),
        macro_f1=float(scores.f1[scores.support > 0].mean()),
        unusable=unusable,
        unknown_classes=unknown,
        parity=None if bundle is None else _again(bundle, source, seen),
        abstention=coverage_and_risk(predictor.info, answers, _strangeness(seen), known),
    )


def _strangeness(seen: Sequence[Seen]) -> NDArray[np.float64] | None:
    values = [one.strangeness for one in seen if one.strangeness is not None]
    return np.array(values) if len(values) == len(seen) else None


def _again(bundle: Bundle, source: Source, seen: Sequence[Seen]) -> Parity | None:
    """Compare with the trained model on the photos that it answered; None if none is there."""
    if bundle.answers is None:
        return None
    places = bundle.answers.places()
    found = []
    for one in seen:
        place = places.get(key_of(payload_sha256(source.read(one.path or ""))))
        if place is not None:
            found.append((place, one.probabilities))
    if not found:
        return None
    rows = [place for place, _ in found]
    made = bundle.info.parity
    return compare_answers(
        bundle.answers.probabilities[rows],
        np.stack([probabilities for _, probabilities in found]),
        bundle.answers.labels[rows],
        precision=made.precision if made else "float32",
        kept_in_float=made.kept_in_float if made else (),
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
