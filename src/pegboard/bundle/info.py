"""What a bundle says about its model: ``model.json``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pegboard import __version__
from pegboard.bundle.parity import Parity
from pegboard.calibrate import SET_COVERAGES, UNKNOWN_SHARE
from pegboard.errors import BundleError
from pegboard.inputs import InputSpec
from pegboard.manifest import ManifestRow
from pegboard.runs import slug_of

FORMAT = 4
"""Of the bundles that are written."""
READABLE = (1, 2, 3, FORMAT)
"""The first had no ``data`` and no card.html; the second neither ``graph`` nor ``unknown``, and no
likeness.npz and answers.npz; the third told what is unknown by features alone."""
SUFFIX = ".pegboard"

_LARGEST_SIDE = 8192


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
        ``precision``: share of right answers at or above it that was asked for;
        ``confidence``: with which it holds on new photos (:mod:`pegboard.calibrate`; not stated
        by earlier bundles, whose threshold had that share on validation).
    figures
        The model's row of the leaderboard.
    data
        What it learned from and was tested on (:func:`data_facts`), and in ``baseline`` what
        validation photos are like to it, as counts; empty if not stored.
    parity
        Comparison with the trained model; None when there was none to compare with.
    graph
        ``ir_version`` and ``opset`` of model.onnx; empty in a bundle of an earlier format.
    unknown
        How photos unlike all training photos are told (:mod:`pegboard.bundle.likeness`); empty
        where the model does not tell them. ``above``: a photo that is stranger is unknown;
        ``share``: of validation photos that are.
    sets
        ``n`` validation photos, and ``least``: how probable a class must be to be left open
        (:func:`pegboard.calibrate.set_limits`); empty in a bundle of an earlier format.
    abstention
        Coverage and risk on test photos (:func:`pegboard.bundle.deciding.coverage_and_risk`).
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
    graph: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    abstention: Mapping[str, Any] = field(default_factory=dict)
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

    @property
    def unknown_above(self) -> float | None:
        """Strangeness above which a photo is unknown; None where the model does not tell it."""
        above = self.unknown.get("above")
        return float(above) if isinstance(above, int | float) else None

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
            "parity": None if self.parity is None else self.parity.to_json(),
            "graph": dict(self.graph),
            "unknown": dict(self.unknown),
            "sets": dict(self.sets),
            "abstention": dict(self.abstention),
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
                parity=None if parity is None else Parity.from_json(parity),
                graph={key: int(value) for key, value in (data.get("graph") or {}).items()},
                unknown=dict(data.get("unknown") or {}),
                sets=_sets(data.get("sets") or {}),
                abstention=dict(data.get("abstention") or {}),
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
    ``folds`` and ``allow_leaks``. With folds, ``counts`` and ``train`` are those of a split that
    was not used.
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


def unknown_facts(above: float) -> dict[str, Any]:
    """Return what a bundle says of how it tells what is unknown, for a limit of strangeness."""
    return {"above": above, "share": UNKNOWN_SHARE, "by": ["features", "probabilities", "pixels"]}


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


def _sets(value: Mapping[str, Any]) -> dict[str, Any]:
    if not value:
        return {}
    least = [None if number is None else float(number) for number in value["least"]]
    if len(least) != len(SET_COVERAGES):
        raise ValueError(f"sets are of {len(least)} coverages instead of {len(SET_COVERAGES)}")
    return {"n": int(value["n"]), "least": least}


def _thresholds(value: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: None if number is None else float(number) for key, number in value.items()}
