"""How long ``pegboard --help`` and ``pegboard predict`` of one photo take, as a new process.

The files are in the system's memory, as after a first use; nothing is kept from one process to
the next. Beside them stands what Python itself and ONNX Runtime take, without pegboard.

    python benchmarks/cold_start.py [--quick] [--json FILE]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import pegboard
from harness import PROGRAM, options, summary, take_turns, write_result
from pegboard.examples import write_tool_photos
from pegboard.examples.studio import photograph

PHONE = (4000, 3000)
"""Pixels of a phone's photo."""


def main() -> None:
    """Measure and write the result."""
    given = options(__doc__ or "", "cold_start").parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        bundle = probe_bundle(folder)
        small, large = photos(folder)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import onnxruntime'": [sys.executable, "-c", "import onnxruntime"],
            "pegboard --help": [PROGRAM, "--help"],
            "pegboard predict, 240 px": [PROGRAM, "predict", str(bundle), str(small)],
            "pegboard predict, 12 megapixels": [PROGRAM, "predict", str(bundle), str(large)],
        }
        runs: dict[str, Callable[[], float | None]] = {
            what: lambda command=command: ran(command)  # type: ignore[misc]
            for what, command in commands.items()
        }
        seconds = take_turns(runs, 3 if given.quick else 11)
    write_result(
        "cold_start",
        given,
        {
            "model": "probe (EfficientNet-Lite0 at 224 px), one photo",
            "seconds": {what: summary(taken) for what, taken in seconds.items()},
        },
    )


def probe_bundle(folder: Path) -> Path:
    """Return the file of a probe trained on drawn photos."""
    photos = write_tool_photos(folder / "photos", per_class=8, untidy=False)
    run = pegboard.compare(photos, models="probe", fit="letterbox", out=folder / "run")
    (found,) = run.path.glob("models/*/*.pegboard")
    return found


def photos(folder: Path) -> tuple[Path, Path]:
    """Return a small photo and one as large as a phone's, as JPEG files."""
    drawn = photograph("hammer", np.random.default_rng(0), 240)
    small, large = folder / "small.jpg", folder / "large.jpg"
    drawn.save(small, quality=90)
    drawn.resize(PHONE, Image.Resampling.BICUBIC).save(large, quality=90)
    return small, large


def ran(command: list[str]) -> float:
    """Run a command; return its seconds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "NO_COLOR": "1"})
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
