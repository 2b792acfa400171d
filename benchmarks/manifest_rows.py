"""How long a table of a million photos takes to be read, split and written, and how much memory.

The table tells path, label, group and sha256 of every photo, so no file is opened, and none of
them is there. ``pegboard split`` runs as a process of its own.

    python benchmarks/manifest_rows.py [--quick] [--rows 1000000] [--json FILE]
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harness import PROGRAM, options, summary, watch, write_result

CLASSES = 100
PER_GROUP = 1.25
"""Photos of one object, on average."""


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "manifest_rows")
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    rows = 20_000 if given.quick else given.rows
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "table.csv", rows)
        megabytes = (folder / "table.csv").stat().st_size / 1e6
        command = [PROGRAM, "split", str(folder / "table.csv"), "--out", str(folder / "out.csv")]
        command += ["--previous", "none"]
        runs = [watch(command) for _ in range(2 if given.quick else 5)]
        digest = hashlib.sha256((folder / "out.csv").read_bytes()).hexdigest()
    write_result(
        "manifest_rows",
        given,
        {
            "rows": rows,
            "classes": CLASSES,
            "megabytes": megabytes,
            "seconds": summary([run.seconds for run in runs]),
            "cpu_seconds": summary([run.cpu_seconds for run in runs]),
            "peak_gib": summary([run.peak_bytes / 2**30 for run in runs]),
            "sha256_of_output": digest,
        },
    )


def write_table(path: Path, rows: int) -> None:
    """Write the table: classes of uneven size, groups within a class."""
    rng = np.random.default_rng(0)
    labels = np.sort(np.minimum(CLASSES - 1, rng.geometric(0.03, rows) - 1))
    groups = rng.integers(0, max(1, int(rows / PER_GROUP)), rows)
    order = rng.permutation(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "sha256"))
        for number, index in enumerate(order.tolist()):
            label = f"class-{labels[index]:02d}"
            digest = hashlib.sha256(str(index).encode()).hexdigest()
            group = f"{label}/{groups[index]}"
            writer.writerow((f"{label}/{number:07d}.jpg", label, group, digest))


if __name__ == "__main__":
    main()
