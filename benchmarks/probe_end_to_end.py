"""What ``pegboard compare --models probe`` takes, beside the backbone alone on ready tensors.

``compare`` reads and checks 4,800 photos, splits them without leaks, computes features, fits and
evaluates the probe, exports and times it and writes the report: as a process of its own, with an
empty cache but for the backbone as an ONNX file. The other side has nothing to do but run that
very file with ONNX Runtime over the same photos, decoded, fitted and in memory before the clock
starts; of two sizes of batch the faster one counts. Both take turns.

    PEGBOARD_DATA=… python benchmarks/probe_end_to_end.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness import (
    DATA,
    cpu_of_children,
    options,
    ratio,
    run_pegboard,
    some_of,
    summary,
    take_turns,
    write_result,
)
from pegboard.inputs import InputSpec, fitted

BATCHES = (8, 32)
SIDE = 224


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "probe_end_to_end")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        print(json.dumps(bare(given.bare, given.batch)))
        return
    source = DATA / "tools15"
    if not source.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        if given.quick:
            source = some_of(source, folder / "photos", per_class=20)
        files = prepare(source, folder)
        compared: list[dict[str, Any]] = []
        runs: dict[str, Callable[[], float | None]] = {
            f"bare, batches of {batch}": lambda batch=batch: in_child(folder, batch)  # type: ignore[misc]
            for batch in BATCHES
        }
        runs["pegboard compare"] = lambda: compare(source, folder, compared)
        computed: dict[str, list[float]] = {what: [] for what in runs}
        seconds = take_turns(
            {what: noting_cpu(run, computed[what]) for what, run in runs.items()},
            1 if given.quick else given.turns,
        )
    fastest = min(list(runs)[:-1], key=lambda what: sum(seconds[what]))
    write_result(
        "probe_end_to_end",
        given,
        {
            "photos": files,
            "seconds": {what: summary(taken) for what, taken in seconds.items()},
            "cpu_seconds": {what: summary(taken[1:]) for what, taken in computed.items()},
            "compared_with": fastest,
            "ratio": ratio(seconds["pegboard compare"], seconds[fastest]),
            "results": compared,
        },
    )


def noting_cpu(
    run: Callable[[], float | None], computed: list[float]
) -> Callable[[], float | None]:
    """Return a run that also notes the seconds that its processes computed."""

    def noted() -> float | None:
        before = cpu_of_children()
        seconds = run()
        computed.append(cpu_of_children() - before)
        return seconds

    return noted


def prepare(source: Path, folder: Path) -> int:
    """Write the fitted photos, and the backbone as ``compare`` makes it once; return how many."""
    spec = InputSpec(SIDE, SIDE, 3, fit="letterbox")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(lambda file: fitted(file.read_bytes(), spec), files))
    np.save(folder / "pixels.npy", np.stack(pixels))
    few = some_of(source, folder / "few", per_class=5)
    run_compare(few, folder / "run", folder / "cache")
    return len(files)


def run_compare(source: Path, out: Path, cache: Path) -> None:
    """Compare with nothing kept of an earlier run."""
    options = ("--models", "probe", "--out", str(out), "--previous", "none", "--overwrite")
    run_pegboard("compare", str(source), *options, "--json", cache=cache)


def compare(source: Path, folder: Path, results: list[dict[str, Any]]) -> float:
    """Return the seconds of a comparison with nothing in the cache but the backbone."""
    shutil.rmtree(folder / "cache" / "features", ignore_errors=True)
    started = time.perf_counter()
    run_compare(source, folder / "run", folder / "cache")
    seconds = time.perf_counter() - started
    board = json.loads((folder / "run" / "leaderboard.json").read_text("utf-8"))
    (row,) = (row for row in board["models"] if row["name"] == "probe")
    results.append({key: row[key] for key in ("n", "accuracy", "macro_f1", "loss", "ece")})
    return seconds


def in_child(folder: Path, batch: int) -> float:
    """Return the seconds of ONNX Runtime alone, in a process of its own."""
    command = [sys.executable, __file__, "--bare", str(folder), "--batch", str(batch)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout))


def bare(folder: Path, batch: int) -> float:
    """Run the backbone over all photos; only that is timed."""
    import onnxruntime

    (file,) = (folder / "cache" / "backbones").glob("*.onnx")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    pixels = np.load(folder / "pixels.npy")
    for _ in range(3):
        session.run(None, {"pixels": pixels[:batch]})
    started = time.perf_counter()
    for start in range(0, len(pixels), batch):
        session.run(None, {"pixels": pixels[start : start + batch]})
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
