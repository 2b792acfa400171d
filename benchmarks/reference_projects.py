"""Both reference projects, start to finish, with the figures of docs/benchmarks.md.

    PEGBOARD_DATA=… python benchmarks/reference_projects.py [OUT]

Takes about an hour on 2 cores. Run folders are written below OUT (default: benchmark-runs) and a
run that is there already is not made again.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

DATA = Path(os.environ.get("PEGBOARD_DATA", "../shared/data"))
WEIGHTS = DATA.parent / "weights"

DIGITS = ["--models", "lm,nn,dnn,dnnd,cnn,dcnn,fastcnn"]
TOOLS = [
    *("--models", "cnn4,probe,mobilenetv2:frozen,xception:frozen,efficientnet_lite0"),
    *("--weights", f"mobilenetv2={WEIGHTS / 'mobilenetv2_100.safetensors'},pad=same"),
    *("--weights", f"xception={WEIGHTS / 'legacy_xception.safetensors'}"),
]
FINETUNE = ["--models", "efficientnet_lite0"]


def run(out: Path, source: Path, options: list[str]) -> dict[str, object]:
    """Make a run unless it is there; return its leaderboard."""
    file = out / "leaderboard.json"
    if not file.exists():
        command = ["pegboard", "compare", str(source), "--out", str(out), "--previous", "none"]
        subprocess.run([*command, *options], check=True)
    return json.loads(file.read_text("utf-8"))


def show(title: str, board: dict[str, object]) -> None:
    """Print one line per model."""
    print(f"\n{title}: test n = {board['dataset']['counts']['test']}")
    for row in board["models"]:
        low, high = row["accuracy_ci"]
        print(
            f"  {row['name']:<20} accuracy {row['accuracy']:.4f} [{low:.4f}, {high:.4f}]  "
            f"macro-F1 {row['macro_f1']:.4f}  training {row['train_seconds'] or 0:.0f} s  "
            f"{row['latency_ms_p50'] or 0:.2f} ms/photo"
        )


def main(out: Path) -> None:
    """Run everything."""
    show("Digits", run(out / "digits", DATA / "mnist.npz", DIGITS))
    tools = DATA / "tools15"
    boards = [run(out / "tools-0", tools, TOOLS)]
    boards += [
        run(out / f"tools-{seed}", tools, [*FINETUNE, "--split-seed", str(seed)]) for seed in (1, 2)
    ]
    show("Tools", boards[0])
    figures = [
        row["macro_f1"]
        for board in boards
        for row in board["models"]
        if row["name"] == "efficientnet_lite0"
    ]
    print(
        f"\nefficientnet_lite0 over {len(figures)} split seeds: macro-F1 "
        f"{statistics.mean(figures):.4f} ± {statistics.stdev(figures):.4f} "
        f"({', '.join(f'{figure:.4f}' for figure in figures)})"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "benchmark-runs"))
