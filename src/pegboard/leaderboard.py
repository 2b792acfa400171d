"""``leaderboard.json``: every figure of a run, as data.

The terminal's table, the summary in words and the report are views of this; nothing is
computed in them. Fractions lie between 0 and 1; what is not known is null.
"""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from pegboard.errors import RunFolderError
from pegboard.evaluate import Evaluation
from pegboard.significance import Comparison
from pegboard.threads import cores

SCHEMA = 1

MAJORITY = "majority"
"""Name of the row every model must beat."""

_PACKAGES = (
    "pegboard", "numpy", "onnxruntime", "pillow", "scikit-learn", "torch", "torchvision", "timm",
)  # fmt: skip


@dataclass(frozen=True)
class SeedFigures:
    """One seed's figures on the same test photos."""

    seed: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Spread:
    """A mean, or a standard deviation, over seeds."""

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class NotTrained:
    """A model that was asked for and is not in the table, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class ModelRow:
    """One model: its figures on the test photos, and what it costs on this machine.

    Attributes
    ----------
    name
        As typed by the user.
    test
        The first seed's evaluation.
    params
        Number of parameters; None for the majority row.
    validation_accuracy, validation_macro_f1
        What the best model is chosen by.
    train_seconds, epochs
        Wall time and number of passes over the training photos.
    latency_ms_p50, latency_ms_p95
        Milliseconds for one photo, bytes in memory to label, exported model.
    images_per_second
        Throughput in batches of 32.
    size_bytes, peak_memory_bytes
        Of the exported model's file, and of a process that uses it.
    pareto
        Whether it lies on the front of accuracy and latency (:func:`pareto_front`); set by
        :func:`assemble`.
    seeds
        Every seed's figures, the first one's included.
    """

    name: str
    test: Evaluation
    baseline: bool = False
    params: int | None = None
    validation_accuracy: float | None = None
    validation_macro_f1: float | None = None
    train_seconds: float | None = None
    epochs: int | None = None
    latency_ms_p50: float | None = None
    latency_ms_p95: float | None = None
    images_per_second: float | None = None
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    pareto: bool = False
    collapsed: bool = False
    collapsed_reason: str | None = None
    seeds: tuple[SeedFigures, ...] = ()

    @property
    def mean(self) -> Spread | None:
        """Mean over seeds; None without any."""
        return seed_mean(self.seeds)

    @property
    def sd(self) -> Spread | None:
        """Standard deviation over seeds (n - 1 in the denominator); None for a single seed."""
        return seed_sd(self.seeds)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, flat and in the order of the contract."""
        figures = self.test.to_json()
        last = ("top_confusions", "per_class")
        return {
            "name": self.name,
            "baseline": self.baseline,
            "params": self.params,
            **{key: value for key, value in figures.items() if key not in last},
            "validation_accuracy": self.validation_accuracy,
            "validation_macro_f1": self.validation_macro_f1,
            **{key: figures[key] for key in last},
            **{name: getattr(self, name) for name in _COSTS},
            "seeds": [asdict(seed) for seed in self.seeds],
            "mean": asdict(self.mean) if self.mean else None,
            "sd": asdict(self.sd) if self.sd else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelRow:
        """Rebuild from :meth:`to_json`; mean and deviation are computed again."""
        plain = ("name", "baseline", "params", "validation_accuracy", "validation_macro_f1")
        return cls(
            test=Evaluation.from_json(data),
            seeds=tuple(SeedFigures(**seed) for seed in data["seeds"]),
            **{name: data[name] for name in (*plain, *_COSTS)},
        )


_COSTS = (
    "train_seconds",
    "epochs",
    "latency_ms_p50",
    "latency_ms_p95",
    "images_per_second",
    "size_bytes",
    "peak_memory_bytes",
    "pareto",
    "collapsed",
    "collapsed_reason",
)


@dataclass(frozen=True)
class DatasetInfo:
    """The data a run was made with.

    Attributes
    ----------
    name
        The source's.
    classes
        Names, in the order of the models' outputs.
    counts
        Photos per split: ``train``, ``validation``, ``test``.
    left_out
        Number of files left out, by reason; empty if none.
    fingerprint
        Of the manifest.
    folds
        Of a cross-validation, which does not use the split that ``counts`` tells; 0 for none.
    """

    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int]
    fingerprint: str
    folds: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "counts": dict(self.counts),
            "left_out": sum(self.left_out.values()),
            "left_out_reasons": dict(self.left_out),
            "fingerprint": self.fingerprint,
            **({"folds": self.folds} if self.folds else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DatasetInfo:
        """Rebuild from :meth:`to_json`."""
        return cls(
            name=data["name"],
            classes=tuple(data["classes"]),
            counts=data["counts"],
            left_out=data["left_out_reasons"],
            fingerprint=data["fingerprint"],
            folds=data.get("folds") or 0,
        )


@dataclass(frozen=True)
class MachineInfo:
    """The machine the figures were measured on; None where it does not tell."""

    cpu: str | None
    cores: int
    memory_bytes: int | None
    gpu: str | None
    os: str
    python: str
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MachineInfo:
        """Rebuild from :meth:`to_json`."""
        return cls(**data)


@dataclass(frozen=True)
class Leaderboard:
    """All of ``leaderboard.json``. Make one with :func:`assemble`.

    ``corrections`` says what corrections of labels changed, as
    :func:`pegboard.history.effect.effect_json` makes it; None for a run without. ``grown`` says
    what going on from a trained model changed; None for a run that began anew.
    """

    dataset: DatasetInfo
    machine: MachineInfo
    best: str | None
    models: tuple[ModelRow, ...]
    comparisons: tuple[Comparison, ...] = ()
    not_trained: tuple[NotTrained, ...] = ()
    corrections: Mapping[str, Any] | None = None
    grown: Mapping[str, Any] | None = None
    schema: int = field(default=SCHEMA)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that strict JSON can hold: NaN and infinity become null."""
        data = {
            "schema": self.schema,
            "dataset": self.dataset.to_json(),
            "machine": self.machine.to_json(),
            "best": self.best,
            "models": [row.to_json() for row in self.models],
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "not_trained": [asdict(model) for model in self.not_trained],
            **({"corrections": self.corrections} if self.corrections else {}),
            **({"grown": self.grown} if self.grown else {}),
        }
        strict: dict[str, Any] = _strict(data)
        return strict

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Leaderboard:
        """Rebuild from :meth:`to_json`; unknown keys on top are passed over.

        Raises
        ------
        RunFolderError
            When it is no leaderboard, or one of a newer pegboard.
        """
        try:
            if data["schema"] != SCHEMA:
                raise RunFolderError(
                    f"expected a leaderboard of schema {SCHEMA}, found {data['schema']}; "
                    "it was written by another version of pegboard: update pegboard"
                )
            return cls(
                dataset=DatasetInfo.from_json(data["dataset"]),
                machine=MachineInfo.from_json(data["machine"]),
                best=data["best"],
                models=tuple(ModelRow.from_json(row) for row in data["models"]),
                comparisons=tuple(Comparison.from_json(row) for row in data["comparisons"]),
                not_trained=tuple(NotTrained(**row) for row in data["not_trained"]),
                corrections=data.get("corrections"),
                grown=data.get("grown"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"expected a leaderboard written by pegboard, found something else "
                f"({type(error).__name__}: {error}); run pegboard compare again"
            ) from error


def assemble(
    dataset: DatasetInfo,
    machine: MachineInfo,
    rows: Sequence[ModelRow],
    comparisons: Sequence[Comparison] = (),
    not_trained: Sequence[NotTrained] = (),
) -> Leaderboard:
    """Choose the best model, mark the Pareto front, and put everything together."""
    front = pareto_front(rows)
    return Leaderboard(
        dataset=dataset,
        machine=machine,
        best=choose_best(rows),
        models=tuple(replace(row, pareto=row.name in front) for row in rows),
        comparisons=tuple(comparisons),
        not_trained=tuple(not_trained),
    )


def choose_best(rows: Sequence[ModelRow]) -> str | None:
    """Return the name of the model with the highest macro-F1 on **validation**.

    Never chosen on test: the best of many would look better there than it is. Among equals
    the faster one (median latency) is taken, then the first. None without any model but
    baselines, or if none has a validation figure.
    """
    candidates = [row for row in rows if not row.baseline and _known(row.validation_macro_f1)]
    if not candidates:
        return None
    return min(
        candidates,
        key=lambda row: (-_number(row.validation_macro_f1), _number(row.latency_ms_p50)),
    ).name


def pareto_front(rows: Sequence[ModelRow]) -> set[str]:
    """Return the names of the models on the Pareto front of test accuracy and median latency.

    A model is on it unless another one is at least as accurate and at least as fast, and
    better in one of the two. Baselines, collapsed models and models without a measured
    latency are left aside: to be fast and useless is no merit.
    """
    points = {
        row.name: (row.test.accuracy, -_number(row.latency_ms_p50))
        for row in rows
        if not (row.baseline or row.collapsed) and _known(row.latency_ms_p50)
    }
    return {
        name
        for name, point in points.items()
        if not any(
            other != point and other[0] >= point[0] and other[1] >= point[1]
            for other in points.values()
        )
    }


def seed_mean(seeds: Sequence[SeedFigures]) -> Spread | None:
    """Return the mean over seeds; None without any."""
    if not seeds:
        return None
    return Spread(*(float(np.mean(column)) for column in _columns(seeds)))


def seed_sd(seeds: Sequence[SeedFigures]) -> Spread | None:
    """Return the standard deviation over seeds, n - 1 in the denominator; None under two."""
    if len(seeds) < 2:
        return None
    return Spread(*(float(np.std(column, ddof=1)) for column in _columns(seeds)))


def machine_info() -> MachineInfo:
    """Describe this machine. The GPU is told only if PyTorch is already loaded."""
    return MachineInfo(
        cpu=_cpu(),
        cores=cores(),
        memory_bytes=_memory(),
        gpu=_gpu(),
        os=platform.platform(terse=True),
        python=platform.python_version(),
        versions=_versions(_PACKAGES),
    )


def _columns(seeds: Sequence[SeedFigures]) -> tuple[list[float], list[float]]:
    return [seed.accuracy for seed in seeds], [seed.macro_f1 for seed in seeds]


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> float:
    """Sort what is not known behind everything else."""
    return value if value is not None and math.isfinite(value) else math.inf


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cpu() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None  # Windows has no sysconf


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
