"""How many photos made worse on purpose are found, and how many good ones are called bad.

400 photos of tools15, all changed in one way, are checked for the one fault; grey ones lie among
4,000 in colour. Of tools15 as it is, what is flagged is counted: nearly all of it is good.
CleanVision takes part, with its defaults, when installed (``pip install cleanvision==0.3.7``).

    PEGBOARD_DATA=… python benchmarks/looks.py [--changed 400] [--out FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from pegboard.audit import looks
from pegboard.audit.findings import NotApplicable
from pegboard.audit.subject import Subject
from pegboard.checking import CheckSettings, intake_to_check, open_to_check
from pegboard.progress import Progress

DATA = Path(os.environ.get("PEGBOARD_DATA", "../shared/data"))
THEIRS = {
    "dark": "dark",
    "bright": "light",
    "blurry": "blurry",
    "low-information": "low_information",
    "grey": "grayscale",
    "odd-size": "odd_size",
    "odd-aspect": "odd_aspect_ratio",
}
"""What CleanVision calls it."""

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    """Measure and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changed", type=int, default=400)
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="write the result here too")
    options = parser.parse_args()
    if not (DATA / "tools15").exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    rows = []
    for row in measured(options):
        rows.append(row)
        print(json.dumps(row), flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row for the photos as they are, and one for each change."""
    yield as_they_are(options)
    for name in options.only:
        yield changed(name, options)


# --- What is done to photos --------------------------------------------------------------


def scaled(factor: float, offset: float = 0) -> Change:
    """Change the light."""
    return lambda photo: photo.point(lambda value: offset + value * factor)


def blurred(deviation: float) -> Change:
    """Put it out of focus, as much as ``deviation`` of 224 px."""
    return lambda photo: photo.filter(
        ImageFilter.GaussianBlur(deviation * min(photo.size) / 224)
    )  # fmt: skip


def shaken(photo: Image.Image) -> Image.Image:
    """Move the camera sideways over 13 px."""
    pixels = np.asarray(photo, np.float32)
    moved = np.mean([np.roll(pixels, shift, axis=1) for shift in range(13)], axis=0)
    return Image.fromarray(moved.astype(np.uint8))


def plain(photo: Image.Image) -> Image.Image:
    """Show a wall: the photo's mean colour with the noise of a camera."""
    pixels = np.asarray(photo)
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return Image.fromarray((pixels.mean(axis=(0, 1)) + noise).clip(0, 255).astype(np.uint8))


CHANGES: dict[str, tuple[str, Change]] = {
    "light x 0.1": ("dark", scaled(0.1)),
    "light x 0.2": ("dark", scaled(0.2)),
    "light x 0.3": ("dark", scaled(0.3)),
    "overexposed: 225 + light x 0.1": ("bright", scaled(0.1, 225)),
    "overexposed: 190 + light x 0.25": ("bright", scaled(0.25, 190)),
    "blurred, 2 px": ("blurry", blurred(2)),
    "blurred, 3 px": ("blurry", blurred(3)),
    "blurred, 5 px": ("blurry", blurred(5)),
    "shaken over 13 px": ("blurry", shaken),
    "a wall": ("low-information", plain),
    "grey, one channel": ("grey", lambda photo: photo.convert("L")),
    "grey, three channels": ("grey", lambda photo: photo.convert("L").convert("RGB")),
}
"""By name, what is to be found and what is done."""


# --- Finders -----------------------------------------------------------------------------


def as_they_are(options: argparse.Namespace) -> dict[str, Any]:
    """Return how many photos of tools15 are flagged with what."""
    folder = DATA / "tools15"
    row: dict[str, Any] = {"photos": "as they are"}
    for finder, flagged in searched(folder, options.threads).items():
        row[finder] = {code: len(paths) for code, paths in flagged.items()}
    return row


def changed(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return how many photos with one fault are found."""
    code, change = CHANGES[name]
    files = sorted(path for path in (DATA / "tools15").rglob("*") if path.is_file())
    files = np.random.default_rng(0).permutation(np.array(files, object)).tolist()
    worse, others = files[: options.changed], files[options.changed : options.changed + 4000]
    with TemporaryDirectory() as folder:
        for number, file in enumerate(worse):
            with Image.open(file) as photo:
                change(photo.convert("RGB")).save(
                    Path(folder) / f"worse-{number:04}.jpg", quality=90
                )
        if code == "grey":
            for number, file in enumerate(others):
                shutil.copyfile(file, Path(folder) / f"other-{number:04}{file.suffix}")
        row: dict[str, Any] = {"photos": name, "n": len(worse), "fault": code}
        for finder, flagged in searched(Path(folder), options.threads).items():
            found = sum(path.startswith("worse") for path in flagged.get(code, ()))
            row[finder] = round(found / len(worse), 4)
    return row


def searched(folder: Path, threads: int | None) -> dict[str, dict[str, set[str]]]:
    """Return by finder and code which photos are flagged."""
    found = {"pegboard": by_pegboard(folder, threads)}
    if importlib.util.find_spec("cleanvision"):
        found["cleanvision"] = by_cleanvision(folder)
    return found


def by_pegboard(folder: Path, threads: int | None) -> dict[str, set[str]]:
    """Return what ``pegboard check`` warns of."""
    settings = CheckSettings(str(folder), threads=threads)
    source = open_to_check(settings)
    intake = intake_to_check(source, settings, Progress())
    result = looks.check(Subject(source, intake, threads=threads))
    flagged: dict[str, set[str]] = {code: set() for code in looks.CODES}
    for finding in () if isinstance(result, NotApplicable) else result:
        if finding.counts:
            flagged[finding.code].add(finding.path)
    return flagged


def by_cleanvision(folder: Path) -> dict[str, set[str]]:
    """Return what CleanVision flags, under our codes."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder), verbose=False)
    lab.find_issues({name: {} for name in THEIRS.values()}, n_jobs=1, verbose=False)
    return {
        code: {Path(path).name for path in lab.issues.index[lab.issues[f"is_{name}_issue"]]}
        for code, name in THEIRS.items()
    }


if __name__ == "__main__":
    main()
