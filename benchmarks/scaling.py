"""How the time of a comparison grows: with photos, with classes, and with cores.

``pegboard compare --models probe`` from the folder to the written report, with nothing in the cache
but the backbone as an ONNX file. Photos of tools15, drawn at random; beyond the 4,800 that there
are, they come again with other light and another crop. Time over photos is a line when nothing
grows faster than the photos do: what each further photo costs is told beside the whole.

    PEGBOARD_DATA=… python benchmarks/scaling.py [--quick] [--turns 3] [--json FILE]
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness import (
    DATA,
    options,
    repeated,
    run_pegboard,
    some_of,
    summary,
    take_turns,
    write_result,
)

PHOTOS = (1000, 2000, 4000, 8000)
CLASSES = (2, 4, 8, 15)
OF_CLASSES = 600
"""Photos in all, whatever the number of classes."""
ON_CORES = 2000


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "scaling")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    source = DATA / "tools15"
    if not source.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        timed = prepared_runs(source, folder, part=20 if given.quick else 1)
        fill_cache(source, folder)
        seconds = take_turns(timed, 1 if given.quick else given.turns, warm_up=0)
    write_result("scaling", given, curves(seconds))


def prepared_runs(
    source: Path, folder: Path, *, part: int
) -> dict[str, Callable[[], float | None]]:
    """Write the photos; return a comparison for each point of each curve."""
    runs: dict[str, Callable[[], float | None]] = {}
    for count in PHOTOS:
        photos = repeated(source, folder / f"{count} photos", count // part)
        runs[f"photos {count}"] = partial(compare, photos, folder)
        if count == ON_CORES:
            for cores in range(1, (os.cpu_count() or 1) + 1):
                own = ("--threads", str(cores))
                runs[f"cores {cores}"] = partial(compare, photos, folder, *own)
    for count in CLASSES:
        photos = of_classes(source, folder / f"{count} classes", count, OF_CLASSES // part)
        runs[f"classes {count}"] = partial(compare, photos, folder)
    return runs


def of_classes(source: Path, folder: Path, classes: int, photos: int) -> Path:
    """Copy as many photos of the first classes, the same number of each."""
    for label in sorted(path for path in source.iterdir() if path.is_dir())[:classes]:
        (folder / label.name).mkdir(parents=True)
        for file in sorted(label.iterdir())[: photos // classes]:
            shutil.copyfile(file, folder / label.name / file.name)
    return folder


def fill_cache(source: Path, folder: Path) -> None:
    """Let the backbone become an ONNX file, as it does once on every machine."""
    compare(some_of(source, folder / "few", per_class=5), folder)


def compare(photos: Path, folder: Path, *own: str) -> None:
    """Compare with nothing kept of an earlier run but the backbone."""
    cache = folder / "cache"
    shutil.rmtree(cache / "features", ignore_errors=True)
    run_pegboard(
        "compare", str(photos), "--models", "probe", "--fit", "letterbox", "--previous", "none",
        "--out", str(folder / "run"), "--overwrite", *own, cache=cache,
    )  # fmt: skip


def curves(seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return each curve's points, and the line through the times over photos."""
    found: dict[str, Any] = {"photos": [], "classes": [], "cores": []}
    for what, taken in seconds.items():
        curve, count = what.split()
        found[curve].append({"count": int(count), "seconds": summary(taken)})
    slope, start = np.polyfit(
        [point["count"] for point in found["photos"]],
        [point["seconds"]["median"] for point in found["photos"]],
        1,
    )
    return {**found, "seconds_per_photo": float(slope), "seconds_at_none": float(start)}


if __name__ == "__main__":
    main()
