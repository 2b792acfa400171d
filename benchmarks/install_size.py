"""How much disk the base install takes: without PyTorch, enough for ``pegboard predict``.

A new virtual environment gets this checkout with its base dependencies, as ``pip install`` brings
them; then a model predicts in it. The target is at most 400 MB.

    python benchmarks/install_size.py [--quick] [--json FILE]
"""

from __future__ import annotations

import subprocess
import venv
from collections import Counter
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import options, run_pegboard, write_result
from pegboard.examples import write_tool_photos

CHECKOUT = Path(__file__).resolve().parent.parent
TARGET = 400
LARGEST = 8
ABSENT = ("torch", "torchvision", "timm")


def main() -> None:
    """Measure and write the result."""
    given = options(__doc__ or "", "install_size").parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        python = installed(folder / "environment")
        packages = sizes(python)
        rows = predicted(python, folder)
    total = sum(packages.values())
    assert total <= TARGET, f"the base install takes {total:.0f} MB, at most {TARGET} are meant"
    write_result(
        "install_size",
        given,
        {
            "megabytes": total,
            "target": TARGET,
            "packages": len(packages),
            "largest": dict(packages.most_common(LARGEST)),
            "absent": list(ABSENT),
            "predicted": rows,
        },
    )


def installed(folder: Path) -> Path:
    """Make an environment with the base install; return its interpreter."""
    venv.create(folder, with_pip=True)
    python = next(
        path
        for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe")
        if path.exists()
    )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(CHECKOUT)], check=True)
    subprocess.run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "pip"], check=True)
    return python


def sizes(python: Path) -> Counter[str]:
    """Return the megabytes of every package, compiled files included, and of other files."""
    script = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    done = subprocess.run(
        [str(python), "-I", "-c", script], capture_output=True, text=True, check=True
    )
    place = Path(done.stdout.strip())
    found: Counter[str] = Counter()
    for package in metadata.distributions(path=[str(place)]):
        for file in package.files or ():
            path = Path(str(file.locate()))
            if path.is_file() and place in path.resolve().parents:
                found[package.name] += path.stat().st_size / 1e6
    whole = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
    found["other files"] = max(0.0, whole - sum(found.values()))
    return found


def predicted(python: Path, folder: Path) -> int:
    """Answer some photos in that environment, where there is no PyTorch; return how many."""
    for name in ABSENT:
        script = (
            f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{name}') is not None)"
        )
        subprocess.run([str(python), "-I", "-c", script], check=True)
    photos = write_tool_photos(folder / "photos", per_class=4, untidy=False)
    run_pegboard(
        "compare", str(photos), "--models", "lm", "--epochs", "1", "--fit", "letterbox",
        "--out", str(folder / "run"),
    )  # fmt: skip
    bundle = folder / "run" / "models" / "lm" / "lm.pegboard"
    command = [
        str(python),
        "-I",
        "-m",
        "pegboard.cli",
        "predict",
        str(bundle),
        str(photos),
        "--format",
        "jsonl",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return len(done.stdout.splitlines())


if __name__ == "__main__":
    main()
