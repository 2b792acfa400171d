"""What a bundle says about its model: ``model.json``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pegboard import __version__
from pegboard.errors import BundleError
from pegboard.inputs import InputSpec
from pegboard.manifest import ManifestRow
from pegboard.runs import slug_of

FORMAT = 2
"""Of the bundles that are written."""
READABLE = (1, FORMAT)
"""The first had no ``data`` and no card.html."""
SUFFIX = ".pegboard"

MAX_DIFFERENCE = 1e-3
"""Largest difference of a probability between the trained and the exported model."""
MIN_AGREEMENT = 0.999
"""Least share of photos on which both name the same class."""

_LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Parity:
    """How the exported model compares with the trained one on the same photos.

    Attributes
    ----------
    n
        Photos compared.
    max_difference
        Largest absolute difference of any probability.
    agreement
        Share of photos on which both name the same class, 0 to 1.
    """

    n: int
    max_difference: float
    agreement: float

    def check(self) -> None:
        """Raise BundleError unless the two are equal within the stated limits."""
        # Written so that NaN fails too.
        if self.max_difference <= MAX_DIFFERENCE and self.agreement >= MIN_AGREEMENT:
            return
        raise BundleError(
            "the exported model does not answer like the trained one: "
            f"probabilities differ by up to {self.max_difference:.2g} "
            f"(at most {MAX_DIFFERENCE:g} is accepted) and {self.agreement:.2%} of {self.n} "
            f"photos get the same class (at least {MIN_AGREEMENT:.1%} is expected); "
            "no bundle was written"
        )


@dataclass(frozen=True)
class BundleInfo:
    """What ``model.json`` says about the model.

    Attributes
    ----------
    name
        The model's name as typed, such as ``probe`` or ``mobilenetv2:frozen``.
    input
        What the network sees and how a photo is fitted to it.
    classes
        Names in the order of the probabilities.
    temperature
        The logits were divided by it (inside the network); fitted on validation.
    thresholds
        ``sure``: least probability of a sure answer, None or above 1 when none is high enough;
        ``precision``: share of right answers at or above it on validation that was asked for.
    figures
        The model's row of the leaderboard.
    data
        What it learned from and was tested on (:func:`data_facts`), and in ``baseline`` what
        validation photos are like to it, as counts; empty if not stored.
    parity
        Comparison with the trained model; None when there was none to compare with.
    fingerprint
        Of the data it learned from.
    versions
        Of the packages it was trained with.
    weights
        Where pretrained weights came from: ``source`` and ``licence``.
    recipe
        How it was trained.
    created_by
        The pegboard that wrote the file.
    """

    name: str
    input: InputSpec
    classes: tuple[str, ...]
    temperature: float = 1.0
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    parity: Parity | None = None
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = f"pegboard {__version__}"

    @property
    def slug(self) -> str:
        """The name fit for a file: ``mobilenetv2-frozen``."""
        return slug_of(self.name)

    @property
    def sure(self) -> float | None:
        """Least probability of a sure answer; None when no probability is high enough."""
        sure = self.thresholds.get("sure")
        return sure if sure is not None and sure <= 1 else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, ``format`` first; figures that are not finite become null."""
        plain = {
            "format": FORMAT,
            "name": self.name,
            "input": self.input.to_json(),
            "classes": list(self.classes),
            "temperature": self.temperature,
            "thresholds": dict(self.thresholds),
            "figures": dict(self.figures),
            "data": dict(self.data),
            "parity": None if self.parity is None else vars(self.parity).copy(),
            "fingerprint": self.fingerprint,
            "versions": dict(self.versions),
            "weights": dict(self.weights),
            "recipe": dict(self.recipe),
            "created_by": self.created_by,
        }
        return {key: _plain(value) for key, value in plain.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BundleInfo:
        """Rebuild from :meth:`to_json`.

        Raises
        ------
        BundleError
            When a key is missing or holds a value of the wrong kind.
        """
        try:
            parity = data["parity"]
            info = cls(
                name=_text(data["name"]),
                input=InputSpec.from_json(data["input"]),
                classes=tuple(_text(name) for name in data["classes"]),
                temperature=float(data["temperature"]),
                thresholds=_thresholds(data["thresholds"]),
                figures=dict(data["figures"]),
                data=dict(data.get("data") or {}),
                parity=None if parity is None else Parity(**parity),
                fingerprint=_text(data["fingerprint"]),
                versions=dict(data["versions"]),
                weights=dict(data["weights"]),
                recipe=dict(data["recipe"]),
                created_by=_text(data["created_by"]),
            )
            info.check()
        except KeyError as error:
            raise BundleError(f"model.json has no {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"model.json is not valid: {error}") from error
        return info

    def check(self) -> None:
        """Raise BundleError when the values cannot belong to a working model."""
        spec = self.input
        problems = {
            "it names fewer than two classes": len(self.classes) < 2,
            "it names a class twice": len(set(self.classes)) != len(self.classes),
            "the temperature is not a positive number": not 0 < self.temperature < math.inf,
            f"the input is larger than {_LARGEST_SIDE} pixels": max(spec.height, spec.width)
            > _LARGEST_SIDE,
            f"the interpolation {spec.interpolation!r} is unknown": spec.interpolation
            not in ("area", "bilinear", "bicubic"),
        }
        for problem, found in problems.items():
            if found:
                raise BundleError(f"model.json is not valid: {problem}")


def data_facts(
    dataset: Mapping[str, Any], settings: Mapping[str, Any], rows: Iterable[ManifestRow]
) -> dict[str, Any]:
    """Return what a bundle says of its data.

    Parameters
    ----------
    dataset, settings
        As in ``leaderboard.json`` and ``run.json``.
    rows
        The manifest.

    Returns
    -------
    ``name``, ``counts`` by split, ``left_out`` by reason, ``train`` (training photos by class),
    ``folds`` and ``allow_leaks``.
    """
    train = Counter(row.label for row in rows if row.split == "train")
    return {
        "name": dataset["name"],
        "counts": dict(dataset["counts"]),
        "left_out": dict(dataset.get("left_out_reasons") or {}),
        "train": {name: train[name] for name in dataset["classes"]},
        "folds": settings.get("folds") or 0,
        "allow_leaks": bool(settings.get("allow_leaks")),
    }


def _plain(value: Any) -> Any:
    """Return JSON values: NumPy numbers as Python's, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r}")
    return value


def _thresholds(value: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: None if number is None else float(number) for key, number in value.items()}
