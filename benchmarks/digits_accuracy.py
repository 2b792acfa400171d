"""Seconds of training until MNIST is learnt, and how well it is learnt within ten minutes.

``pegboard compare mnist.npz --models fastcnn --seeds 5`` with one, two and the recipe's own number
of epochs, and with ``--recipe thorough``: seconds of training (``training.json``) and test accuracy
of every seed. Beside it the reference: ``dcnn`` in Keras, batch 32, 20 epochs, of which a fifth of
an epoch is timed before each of pegboard's runs. Which number of epochs is enough is read off
validation photos; test photos only tell the figure.

    PEGBOARD_DATA=… python benchmarks/digits_accuracy.py [--quick] [--only default,thorough,…]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import DATA, options, run_pegboard, summary, write_result
from keras_digits import in_keras

MNIST = DATA / "mnist.npz"
REFERENCE_EPOCHS, REFERENCE_ACCURACY = 20, 0.9934
KERAS_PART = 0.2
RUNS: dict[str, list[str]] = {
    "one": ["--epochs", "1"],
    "two": ["--epochs", "2"],
    "default": [],
    "thorough": ["--recipe", "thorough"],
}


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__, "digits_accuracy")
    parser.add_argument("--only", default=",".join(RUNS), help="which runs, by name")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if not MNIST.exists():
        print("skipped: PEGBOARD_DATA has no mnist.npz")
        return
    names = ["one"] if given.quick else given.only.split(",")
    keras: list[float] = []
    rows = []
    for name in names:
        keras.append(keras_epoch(given))
        rows.append({"run": name} | measured(RUNS[name], 1 if given.quick else given.seeds))
    reference = REFERENCE_EPOCHS * statistics.median(keras)
    for row in rows:
        row["times_faster"] = reference / row["training_seconds"]["median"]
    write_result(
        "digits_accuracy",
        given,
        {
            "reference": {
                "what": f"dcnn in Keras, {REFERENCE_EPOCHS} epochs of 50,000 photos, batch 32",
                "accuracy": REFERENCE_ACCURACY,
                "seconds_per_epoch": summary(keras),
                "seconds": reference,
            },
            "test_photos": 10_000,
            "runs": rows,
        },
    )


def keras_epoch(given: argparse.Namespace) -> float:
    """Return the seconds of one epoch of the reference, from a part of one."""
    part = 0.02 if given.quick else KERAS_PART
    return float(in_keras("dcnn", part, os.cpu_count() or 1)["seconds"]) / part


def measured(extra: list[str], seeds: int) -> dict[str, Any]:
    """Run the command; return what it took and how well each seed did."""
    with TemporaryDirectory() as name:
        out = Path(name) / "run"
        own = ("--models", "fastcnn", "--seeds", str(seeds), "--previous", "none")
        started = time.perf_counter()
        run_pegboard("compare", str(MNIST), *own, "--out", str(out), *extra)
        whole = time.perf_counter() - started
        files = sorted((out / "models" / "fastcnn").rglob("training.json"))
        trainings = [json.loads(file.read_text("utf-8")) for file in files]
        board = json.loads((out / "leaderboard.json").read_text("utf-8"))
    row = next(row for row in board["models"] if row["name"] == "fastcnn")
    accuracies = [seed["accuracy"] for seed in row["seeds"]] or [row["accuracy"]]
    return {
        "options": extra,
        "epochs": trainings[0]["epochs"],
        "training_seconds": summary([training["seconds"] for training in trainings]),
        "command_seconds": whole,
        "validation_accuracy": row["validation_accuracy"],
        "test_accuracy": {
            "mean": statistics.mean(accuracies),
            "sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
            "raw": accuracies,
        },
    }


if __name__ == "__main__":
    main()
