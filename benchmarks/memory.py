"""How much memory ``pegboard compare`` takes, and whether it grows with the number of photos.

Resident memory of the command and of all processes that it starts, looked at twenty times a
second: all of it, and what is no page of a file (such pages go when the system needs the room).
More photos than tools15 has are made by copies with other light and another crop. One epoch of
training takes as much memory as twenty.

    PEGBOARD_DATA=… python benchmarks/memory.py [--quick] [--json FILE]
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import DATA, PROGRAM, options, repeated, watch, write_result

EVERY_METHOD = ("cnn4", "probe", "efficientnet_lite0")
AS_THEY_ARE = 4800
ROWS = (
    (AS_THEY_ARE, EVERY_METHOD),
    (2400, ("probe",)),
    (AS_THEY_ARE, ("probe",)),
    (9600, ("probe",)),
    (2400, ("lm",)),
    (AS_THEY_ARE, ("lm",)),
    (9600, ("lm",)),
    (19_200, ("lm",)),
)
"""Photos and models. ``lm`` keeps the fitted photos, as every net does, and is the quickest;
1 GiB of fitted pixels (what is kept in memory) is 7,133 photos of 224 px."""


def main() -> None:
    """Measure and write the result."""
    given = options(__doc__ or "", "memory").parse_args()
    source = DATA / "tools15"
    if not source.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    with TemporaryDirectory() as name:
        rows = list(measured(source, Path(name), quick=given.quick))
    write_result("memory", given, {"rows": rows})


def measured(source: Path, folder: Path, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield what each comparison takes."""
    for wanted, models in ROWS[1::3] if quick else ROWS:
        count = wanted // 16 if quick else wanted
        photos = folder / f"photos-{count}"
        if not photos.exists():
            repeated(source, photos, count)
        yield taken(photos, count, models, folder)


def taken(photos: Path, count: int, models: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Return memory and time of one comparison with an empty cache."""
    command = [PROGRAM, "compare", str(photos), "--models", ",".join(models), "--epochs", "1"]
    command += ["--fit", "letterbox", "--previous", "none"]
    out, cache = folder / "run", folder / "cache"
    shutil.rmtree(cache / "features", ignore_errors=True)
    watched = watch(
        [*command, "--out", str(out)],
        environment={"PEGBOARD_CACHE": str(cache), "TMPDIR": str(folder)},
    )
    shutil.rmtree(out)
    return {
        "models": list(models),
        "photos": count,
        "fitted_gib": count * 224 * 224 * 3 / 2**30,
        "peak_gib": watched.peak_bytes / 2**30,
        "own_gib": watched.own_bytes / 2**30,
        "seconds": watched.seconds,
    }


if __name__ == "__main__":
    main()
