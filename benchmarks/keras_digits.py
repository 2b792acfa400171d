"""Seconds per epoch of the reference nets ``cnn`` and ``dcnn``, in pegboard and in Keras.

The same layers, batches of 32, Adam at 0.001, pixels / 255, 50,000 photos of MNIST to train and
10,000 to validate after the epoch. Keras runs in its own environment on as many threads, with its
defaults (compiled by XLA, ``cnn`` took longer still); its clock begins when all is traced.
pegboard trains by ``--recipe notebook``, which is float32 as Keras is, and in bfloat16, its
default where the processor has it. Turns are of a tenth of an epoch; one of four tenths each
shows that the time per photo does not depend on that.

    PEGBOARD_DATA=… python benchmarks/keras_digits.py [--quick] [--nets cnn,dcnn]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import DATA, Environment, options, ratio, summary, take_turns, write_result
from pegboard.learn import Job, step_threads
from pegboard.memory import keep_freed_memory
from pegboard.models.build import build_model
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.recipes import recipe_for
from pegboard.train import (
    EpochRecord,
    Trainer,
    TrainingData,
    choose_device,
    photo_preparation,
)

KERAS = Environment("keras", ("tensorflow-cpu==2.21.0", "keras==3.15.1"))
SCRIPT = Path(__file__).parent / "competitors" / "keras_digits.py"
MNIST = DATA / "mnist.npz"
TRAIN, VALIDATION = 50_000, 10_000
BATCH = 32
WARM_UP = 20 * BATCH
PART, LONGER_PART = 0.1, 0.4
TARGET = 1.5

Runs = dict[str, Callable[[float], dict[str, Any]]]
"""By name, what trains a share of an epoch."""


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__, "keras_digits")
    parser.add_argument("--nets", default="cnn,dcnn", help="which nets (default: cnn,dcnn)")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if not MNIST.exists():
        print("skipped: PEGBOARD_DATA has no mnist.npz")
        return
    keep_freed_memory()
    rows = [measured(net, given) for net in given.nets.split(",")]
    result = {"what": "seconds per epoch, with validation", "threads": given.threads}
    write_result("keras_digits", given, result | {"target": TARGET, "nets": rows})


def measured(net: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return both sides' seconds for one net, from turns and from a longer part."""
    part, turns = (0.02, 1) if given.quick else (PART, 3)
    runs: Runs = {
        "keras": lambda share: in_keras(net, share, given.threads),
        "float32": lambda share: in_pegboard(net, share, given.threads, low_precision=False),
        "bfloat16": lambda share: in_pegboard(net, share, given.threads, low_precision=True),
    }
    told = turns_of(runs, part, turns)
    row = {"net": net, "part_of_epoch": part} | compared(told, part)
    if not given.quick:
        told = turns_of(runs, LONGER_PART, 1)
        row["longer"] = {"part_of_epoch": LONGER_PART} | compared(told, LONGER_PART)
    if len({one["parameters"] for many in told.values() for one in many}) != 1:
        raise SystemExit(f"{net} is not the same net in both: {told}")
    return row | {"last": {name: many[-1] for name, many in told.items()}}


def turns_of(runs: Runs, share: float, turns: int) -> dict[str, list[dict[str, Any]]]:
    """Return what every run told in each of its turns."""
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}

    def turn(name: str) -> float:
        told[name].append(runs[name](share))
        return float(told[name][-1]["seconds"])

    take_turns({name: partial(turn, name) for name in runs}, turns, warm_up=0)
    return told


def compared(told: dict[str, list[dict[str, Any]]], part: float) -> dict[str, Any]:
    """Return seconds per whole epoch, and how many times faster than Keras.

    Seconds of the processor are those of all threads: they depend less on what else runs.
    """
    row: dict[str, Any] = {}
    for what, faster in (("seconds", "times_faster"), ("cpu_seconds", "times_less_cpu")):
        epochs = {name: [one[what] / part for one in many] for name, many in told.items()}
        row[f"{what}_per_epoch"] = {name: summary(values) for name, values in epochs.items()}
        row[faster] = {
            name: ratio(epochs["keras"], epochs[name]) for name in epochs if name != "keras"
        }
    return row


def in_keras(net: str, share: float, threads: int) -> dict[str, Any]:
    """Return what a part of an epoch took in Keras."""
    task = {"net": net, "data": str(MNIST), "batch": BATCH, "threads": threads, "seed": 0}
    sizes = {"train": int(TRAIN * share), "validation": int(VALIDATION * share)}
    told: dict[str, Any] = KERAS.run(SCRIPT, json.dumps(task | sizes), threads=threads)
    return told


def in_pegboard(net: str, share: float, threads: int, *, low_precision: bool) -> dict[str, Any]:
    """Return what a part of an epoch took in pegboard."""
    job = notebook_job(net, threads, low_precision)
    train = np.arange(int(TRAIN * share))
    validation = TRAIN + np.arange(int(VALIDATION * share))
    trained(job, train[:WARM_UP], validation[:WARM_UP])
    started = time.process_time()
    module, epoch = trained(job, train, validation)
    return {
        "seconds": epoch.seconds,
        "cpu_seconds": time.process_time() - started,
        "validation_accuracy": epoch.val_accuracy,
        "parameters": sum(value.numel() for value in module.parameters()),
        "threads": torch.get_num_threads(),
    }


def notebook_job(net: str, threads: int, low_precision: bool) -> Job:
    """Return what ``pegboard compare --recipe notebook --epochs 1`` trains."""
    name = parse_model_name(net)
    spec = input_spec(name, native_shape=(28, 28, 1), recipe="notebook")
    digits = [str(digit) for digit in range(10)]
    recipe = recipe_for(name, spec, classes=digits, training_photos=TRAIN, recipe="notebook")
    phases = (replace(recipe.phases[0], epochs=1),)
    recipe = replace(recipe, phases=phases, low_precision=low_precision)
    return Job(name, spec, recipe, None, seed=0, device="cpu", threads=threads)


def trained(
    job: Job, train: np.ndarray, validation: np.ndarray
) -> tuple[torch.nn.Module, EpochRecord]:
    """Train a fresh net for one epoch; return it and the epoch's figures."""
    torch.manual_seed(job.seed)
    module = build_model(job.name, 10, job.spec, None, recipe=job.recipe.name)
    torch.set_num_threads(step_threads(job, module))
    with np.load(MNIST) as arrays:
        pixels, labels = arrays["x_train"][..., None], arrays["y_train"].astype(np.int64)
    data = TrainingData(pixels, labels, train, validation, 10)
    device = choose_device(job.device)
    prepare = photo_preparation(job.spec, job.recipe.augmentation, device)
    state = Trainer(module, data, job.recipe, prepare, seed=job.seed, device=device).fit()
    return module, state.history[-1]


if __name__ == "__main__":
    main()
