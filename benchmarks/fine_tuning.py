"""How well a fine-tuned backbone tells the tools apart, over several leak-free splits.

``pegboard compare`` with its defaults, a run of its own for every split seed: one test set of 720
photos says no more than ± .016. The seconds are those of the whole run, from reading the photos to
the report; features and photos that an earlier run left in the cache are not used again. With
``--keep`` the runs stay in a folder, and a run that is there is not made again.

    PEGBOARD_DATA=… python benchmarks/fine_tuning.py [--quick] [--seeds 5] [--keep FOLDER]
        [--model efficientnet_lite0]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import DATA, compare_once, options, some_of, summary, write_result

TOOLS = DATA / "tools15"
QUICK = ("--epochs", "1", "--image-size", "64")


def main() -> None:
    """Measure and write the result."""
    given = asked(__doc__ or "", "fine_tuning", seeds=5)
    if not TOOLS.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    runs = [told(run, given.model) | {"split_seed": seed} for seed, _, run in runs_of_splits(given)]
    write_result("fine_tuning", given, summarised(given.model, runs))


def asked(about: str, name: str, *, seeds: int) -> argparse.Namespace:
    """Return the options of a benchmark of fine-tuned models over split seeds."""
    parser = options(about, name)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"split seeds (default: {seeds})")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the runs stay")
    return parser.parse_args()


def runs_of_splits(given: argparse.Namespace) -> Iterator[tuple[int, Path, Path]]:
    """Yield each split seed, the photos and the finished run; those kept are not made again."""
    source, seeds = TOOLS, given.seeds
    own: tuple[str, ...] = ("--models", given.model)
    with TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        if given.quick:
            source = some_of(source, Path(name) / "some", 20)
            own, seeds = (*own, *QUICK), min(seeds, 2)
        for seed in range(seeds):
            run, cache = folder / f"{seed}", Path(name) / f"cache-{seed}"
            compare_once(source, run, *own, f"--split-seed={seed}", cache=cache)
            yield seed, source, run


def told(run: Path, model: str) -> dict[str, Any]:
    """Return what a finished run says of its model."""
    board = json.loads((run / "leaderboard.json").read_text("utf-8"))
    (row,) = (row for row in board["models"] if row["name"] == model)
    kept = (
        *("n", "macro_f1", "macro_f1_ci", "accuracy", "validation_macro_f1", "epochs"),
        *("train_seconds", "top_confusions"),
    )
    seconds = json.loads((run / "run.json").read_text("utf-8"))["seconds"]
    return {what: row[what] for what in kept} | {"seconds": seconds}


def summarised(model: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the runs, and their figures together."""
    figures = [run["macro_f1"] for run in runs]
    return {
        "model": model,
        "runs": runs,
        "mean_macro_f1": statistics.mean(figures),
        "sd_macro_f1": statistics.stdev(figures) if len(figures) > 1 else 0.0,
        "seconds": summary([run["seconds"] for run in runs]),
    }


if __name__ == "__main__":
    main()
