"""What a comparison would do and take, without doing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from pegboard.learn import set_trainable
from pegboard.models.build import build_model
from pegboard.photos import SPLITS
from pegboard.prepare import ModelPlan, Prepared, plan_models, prepare, threads_of
from pegboard.progress import Progress
from pegboard.runs import check_usable
from pegboard.settings import CompareSettings
from pegboard.train import (
    Trainer,
    TrainingData,
    choose_device,
    low_precision_dtype,
    photo_preparation,
)

BASE_MEMORY = 900 << 20
"""Resident bytes of the interpreter with PyTorch and ONNX Runtime loaded."""

FINISH_SECONDS = 8.0
"""Export, parity, timing and the model's part of the report."""

_TRAINED_TWICE = ("--before train: time and disk are those of both runs, before and after",)

_PROBE_SECONDS_PER_PHOTO = 0.002


@dataclass(frozen=True)
class ModelEstimate:
    """One model's part; ``seconds`` for all its seeds or folds, if training runs to the end."""

    name: str
    params: int
    input: tuple[int, int, int]
    epochs: int
    seconds: float
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Estimate:
    """A rehearsal: counts are exact; time, memory and disk are estimates."""

    source: str
    found: int
    used: int
    left_out: dict[str, int]
    classes: dict[str, int]
    split: dict[str, int]
    models: Sequence[ModelEstimate]
    seconds: float
    memory_bytes: int
    disk_bytes: int
    warnings: Sequence[str]
    folds: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"dry_run": True}

    def text(self) -> str:
        """Say it in lines."""
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        lines = [
            f"{self.source}: {self.found} found, {self.used} used, "
            f"{self.found - self.used} left out" + (f" ({left_out})" if left_out else ""),
            f"{len(self.classes)} classes: "
            + ", ".join(f"{name} {count}" for name, count in self.classes.items()),
            f"{self.used} photos, {self.folds} folds"
            if self.folds
            else "split: " + ", ".join(f"{name} {count}" for name, count in self.split.items()),
            *(f"note: {warning}" for warning in self.warnings),
            "",
        ]
        for model in self.models:
            height, width, channels = model.input
            lines.append(
                f"{model.name}: {model.params:,} parameters, input {height}x{width}x{channels}, "
                f"at most {model.epochs} epochs, about {_duration(model.seconds)}"
            )
        lines.append(
            f"\nAltogether about {_duration(self.seconds)}, {_size(self.memory_bytes)} of memory "
            f"and {_size(self.disk_bytes)} of disk. Early stopping may make it shorter. "
            "Nothing was written."
        )
        return "\n".join(lines)


def dry_run(settings: CompareSettings, *, progress: Progress | None = None) -> Estimate:
    """Prepare everything, time a few steps of every model, and write nothing.

    Raises
    ------
    PegboardError
        For everything ``compare`` itself would refuse.
    """
    progress = progress or Progress()
    if settings.out is not None:
        from pegboard.runs import RunFolder  # noqa: PLC0415

        check_usable(RunFolder(settings.out), resume=settings.resume, overwrite=settings.overwrite)
    prepared = prepare(settings, progress=progress)
    fit = "letterbox" if settings.fit == "auto" else settings.fit
    rounds = settings.folds or settings.seeds
    runs = 2 if settings.before == "train" else 1
    torch.set_num_threads(threads_of(settings))
    models = [
        _estimate(plan, prepared, settings, rounds) for plan in plan_models(prepared, settings, fit)
    ]
    rows = prepared.split.rows
    left_out: dict[str, int] = {}
    for item in prepared.split.left_out:
        left_out[item.reason] = left_out.get(item.reason, 0) + 1
    return Estimate(
        source=prepared.source.name,
        found=len(rows) + len(prepared.split.left_out),
        used=len(rows),
        left_out=left_out,
        classes={name: sum(row.label == name for row in rows) for name in prepared.classes},
        split={split: len(prepared.indices(split)) for split in SPLITS},
        models=models,
        seconds=runs * (sum(model.seconds for model in models) + 5),
        memory_bytes=BASE_MEMORY + max(model.memory_bytes for model in models),
        disk_bytes=runs * (sum(model.disk_bytes for model in models) + (2 << 20)),
        warnings=[*prepared.warnings, *(_TRAINED_TWICE if runs == 2 else ())],
        folds=settings.folds,
    )


def _estimate(
    plan: ModelPlan, prepared: Prepared, settings: CompareSettings, rounds: int
) -> ModelEstimate:
    device = choose_device(settings.device)
    module = build_model(
        plan.name, len(prepared.classes), plan.spec, plan.weights, recipe=plan.recipe.name
    )
    params = sum(parameter.numel() for parameter in module.parameters())
    count = {split: len(prepared.indices(split)) for split in SPLITS}
    forward = _forward_seconds(module, plan, device)
    once = forward * (count["validation"] + 4 * count["test"]) + FINISH_SECONDS
    if plan.recipe.method == "gradient":
        seconds = _step_seconds(module, plan, len(prepared.classes), device)
        steps = -(-count["train"] // plan.recipe.batch_size)
        training = plan.recipe.epochs * (steps * seconds + forward * count["validation"])
    else:
        seen = count["train"] * (1 + plan.recipe.views.count) + count["validation"]
        training = seen * (forward + _PROBE_SECONDS_PER_PHOTO)
    pixels = int(np.prod(plan.spec.shape)) * len(prepared.split.rows)
    return ModelEstimate(
        name=plan.name.typed,
        params=params,
        input=plan.spec.shape,
        epochs=plan.recipe.epochs,
        seconds=round(rounds * training + once, 1),
        memory_bytes=pixels + 20 * params,
        disk_bytes=rounds * 4 * params + 4 * params,
    )


def _forward_seconds(module: nn.Module, plan: ModelPlan, device: torch.device) -> float:
    """Return seconds per photo of prediction."""
    height, width, channels = plan.spec.shape
    batch = torch.rand(16, channels, height, width, device=device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    module.to(device).eval()
    dtype = low_precision_dtype(device) if plan.recipe.low_precision else None
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        return _seconds(lambda: module(batch)) / len(batch)


def _step_seconds(module: nn.Module, plan: ModelPlan, classes: int, device: torch.device) -> float:
    """Return seconds per training step, taken from real steps on noise."""
    size = plan.recipe.batch_size
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (size, *plan.spec.shape), dtype=np.uint8)
    labels = chance.integers(0, classes, size).astype(np.int64)
    everything = np.arange(size)
    trainer = Trainer(
        module,
        TrainingData(pixels, labels, everything, everything, classes),
        plan.recipe,
        photo_preparation(plan.spec, plan.recipe.augmentation, device),
        seed=0,
        device=device,
        freeze=set_trainable,
    )
    return trainer.time_step(_seconds)


def _seconds(work: Callable[[], Any], repeats: int = 2) -> float:
    work()
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - started) / repeats


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
