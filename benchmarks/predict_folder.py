"""How fast ``pegboard predict`` goes through a large folder, and how its memory grows.

Folders of 1,000, 10,000 and 100,000 photos: the same few under other names, as hard links where
the disk has them. The model is a small net, so that reading, decoding and writing rows are what
takes time and memory. Each format goes into a file.

    python benchmarks/predict_folder.py [--quick] [--json FILE]
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import PROGRAM, options, run_pegboard, watch, write_result
from pegboard.examples import write_tool_photos

COUNTS = (1_000, 10_000, 100_000)
QUICK_COUNTS = (100, 500)
FORMATS = ("jsonl", "csv", "parquet")
PER_FOLDER = 1_000


def main() -> None:
    """Measure and write the result."""
    given = options(__doc__ or "", "predict_folder").parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        drawn = write_tool_photos(folder / "drawn", per_class=8, untidy=False)
        bundle = small_model(drawn, folder / "run")
        rows = []
        for count in QUICK_COUNTS if given.quick else COUNTS:
            photos = many(sorted(drawn.rglob("*.jpg")), folder / f"photos-{count}", count)
            rows += [
                measured(bundle, photos, folder / f"{count}.{kind}", count) for kind in FORMATS
            ]
            shutil.rmtree(photos)
    write_result(
        "predict_folder",
        given,
        {"model": "cnn4 at 150 px", "photo": "JPEG files of 240 px", "rows": rows},
    )


def small_model(photos: Path, run: Path) -> Path:
    """Return the file of a small net."""
    run_pegboard(
        "compare", str(photos), "--models", "cnn4", "--epochs", "1", "--fit", "letterbox",
        "--out", str(run),
    )  # fmt: skip
    return run / "models" / "cnn4" / "cnn4.pegboard"


def many(files: list[Path], folder: Path, count: int) -> Path:
    """Fill a folder with so many photos, in folders of a thousand."""
    for number in range(count):
        target = folder / f"{number // PER_FOLDER:04}" / f"IMG_{number:06}.jpg"
        if number % PER_FOLDER == 0:
            target.parent.mkdir(parents=True)
        source = files[number % len(files)]
        try:
            os.link(source, target)
        except OSError:  # no hard links here, or too many to one file
            shutil.copyfile(source, target)
    return folder


def measured(bundle: Path, photos: Path, out: Path, count: int) -> dict[str, Any]:
    """Predict once; return rate and memory."""
    watched = watch([PROGRAM, "predict", str(bundle), str(photos), "--out", str(out)])
    if f" {count} classified, 0 could not be used" not in watched.output:
        raise RuntimeError(f"expected {count} rows, found: {watched.output[-300:]}")
    return {
        "photos": count,
        "format": out.suffix.removeprefix("."),
        "seconds": watched.seconds,
        "photos_per_second": count / watched.seconds,
        "peak_megabytes": watched.own_bytes / 1e6,
    }


if __name__ == "__main__":
    main()
