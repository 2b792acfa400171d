"""How many near duplicates are found: a ladder of made copies, people's pairs, tools as they are.

- *ladder*: of 250 photos of tools15, one copy each, changed in one way; they lie among 1,200 other
  photos of tools15. One folder per rung. A pair that holds a copy is right when the copy was made
  of the other photo. Only one photo of every group that pegboard finds in tools15 takes part, so
  that no copy has a second true partner.
- *cifar10*: cifar10_duplicates, whose pairs people judged 1 (near duplicate) or 2 (very similar).
  Pairs that nobody judged are counted as wrong, so that precision is a lower bound.
- *tools15*: what is found in the photos as they are, and which pairs are in two classes.

Beside pegboard: CleanVision's exact and near duplicates, and imagededup's hashes at its default
distance of 10 and, on the ladder, at the largest distance of a precision of .98. They take part
when installed (``pip install cleanvision==0.3.7 imagededup``; pegboard does not depend on them).

    PEGBOARD_DATA=… python benchmarks/duplicates.py [--only PART] [--rungs RUNG …] [--out FILE]

Features of some 9,900 pictures are computed at first (minutes) and kept in the cache.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from pegboard.audit import copies, similar
from pegboard.audit.subject import Subject
from pegboard.checking import CheckSettings, intake_to_check, open_to_check
from pegboard.duplicates import connect, shared
from pegboard.progress import Progress

DATA = Path(os.environ.get("PEGBOARD_DATA", "../shared/data"))
COPIED, OTHERS = 250, 1200
DISTANCE = 10
"""Default of imagededup."""
PRECISION = 0.98

Pair = tuple[str, str]
"""Two paths, the smaller first."""

Found = Mapping[Pair, float]
"""Pairs with how unlike they are; 0 where nothing is said."""

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
TURN = Image.Transpose


def main() -> None:
    """Measure and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--rungs", nargs="+", choices=RUNGS, default=list(RUNGS))
    parser.add_argument("--seed", type=int, default=0, help="which photos are copied")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="write the result here too")
    options = parser.parse_args()
    logging.getLogger("imagededup").setLevel(logging.WARNING)
    rows = []
    for part in [options.only] if options.only else PARTS:
        for row in PARTS[part](options):
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


# --- The ladder --------------------------------------------------------------------------


def resized(share: float) -> Change:
    """Resize both sides."""
    return lambda photo, _: photo.resize(
        (round(photo.width * share), round(photo.height * share)), Image.Resampling.BICUBIC
    )


def brightened(factor: float) -> Change:
    """Multiply all grey levels."""
    return lambda photo, _: ImageEnhance.Brightness(photo).enhance(factor)


def turned(pose: Image.Transpose) -> Change:
    """Mirror or turn."""
    return lambda photo, _: photo.transpose(pose)


def cropped(share: float) -> Change:
    """Keep a share of both sides, anywhere."""

    def crop(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = round(photo.width * share), round(photo.height * share)
        left = int(rng.integers(0, photo.width - width + 1))
        top = int(rng.integers(0, photo.height - height + 1))
        return photo.crop((left, top, left + width, top + height))

    return crop


def in_turn(*changes: Change) -> Change:
    """Apply one change after the other."""

    def apply(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        for change in changes:
            photo = change(photo, rng)
        return photo

    return apply


@dataclass(frozen=True)
class Rung:
    """One way to change a photo, and the JPEG quality it is saved with."""

    change: Change
    quality: int = 90


RUNGS = {
    "halved": Rung(resized(0.5)),
    "doubled": Rung(resized(2)),
    "JPEG 30": Rung(resized(1), 30),
    "brighter 1.25": Rung(brightened(1.25)),
    "darker 0.75": Rung(brightened(0.75)),
    "cropped 0.9": Rung(cropped(0.9)),
    "mirrored": Rung(turned(TURN.FLIP_LEFT_RIGHT)),
    "turned 90": Rung(turned(TURN.ROTATE_90)),
    "turned 180": Rung(turned(TURN.ROTATE_180)),
    "turned 270": Rung(turned(TURN.ROTATE_270)),
    "mirrored, cropped 0.9": Rung(in_turn(turned(TURN.FLIP_LEFT_RIGHT), cropped(0.9))),
    "cropped 0.8": Rung(cropped(0.8)),
    "brighter, cropped, halved, JPEG 30": Rung(
        in_turn(brightened(1.25), cropped(0.9), resized(0.55)), 30
    ),
}


def ladder(options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Yield one row per rung."""
    if not (DATA / "tools15").exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    tools = taken_in(DATA / "tools15", options.threads)
    _, single = np.unique(tools.related(), return_index=True)
    chosen = np.random.default_rng(options.seed).permutation(single)[: COPIED + OTHERS]
    originals = [DATA / "tools15" / tools.photos[index].path for index in chosen.tolist()]
    for name in options.rungs:
        with TemporaryDirectory() as folder:
            truth = write_rung(originals, RUNGS[name], Path(folder), options.seed)
            row: dict[str, Any] = {"part": "ladder", "rung": name, "n": len(originals) + COPIED}
            for finder, found in searched(Path(folder), options.threads).items():
                # What untouched photos have in common is not the ladder's matter.
                asked = {pair: far for pair, far in found.pairs.items() if "copy" in "".join(pair)}
                row[finder] = agreement(asked, truth) | {"seconds": found.seconds}
                if finder.startswith("imagededup"):
                    row[finder] |= strictest(asked, truth)
            yield row


def write_rung(originals: list[Path], rung: Rung, folder: Path, seed: int) -> set[Pair]:
    """Write originals and copies; return which pairs are true."""
    rng = np.random.default_rng(seed)
    truth = set()
    for number, original in enumerate(originals):
        name = f"{number:04}{original.suffix.lower()}"
        shutil.copyfile(original, folder / name)
        if number < COPIED:
            with Image.open(original) as photo:
                copy = rung.change(photo.convert("RGB"), rng)
            copy.save(folder / f"copy-{number:04}.jpg", quality=rung.quality)
            truth.add((name, f"copy-{number:04}.jpg"))
    return truth


def strictest(found: Found, truth: set[Pair]) -> dict[str, Any]:
    """Return what is found at the largest distance that keeps the precision."""
    for distance in range(DISTANCE, -1, -1):
        kept = {pair: far for pair, far in found.items() if far <= distance}
        figures = agreement(kept, truth)
        if figures["pairs"] and figures["precision"] >= PRECISION:
            return {"distance_of_98": distance, "recall_of_98": figures["recall"]}
    return {"distance_of_98": None, "recall_of_98": 0.0}


# --- Sets as they are --------------------------------------------------------------------


def cifar(options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Yield how people's pairs are found."""
    folder = DATA / "cifar10_duplicates"
    if not folder.exists():
        print("skipped: PEGBOARD_DATA has no cifar10_duplicates")
        return
    with (folder / "pairs.csv").open(newline="", encoding="utf-8") as file:
        grades = {
            in_order(Path(row["path_a"]).name, Path(row["path_b"]).name): row["judgement"][0]
            for row in csv.DictReader(file)
        }
    near = {pair for pair, grade in grades.items() if grade == "1"}
    row: dict[str, Any] = {"part": "cifar10", "listed": len(grades), "near": len(near)}
    for finder, found in searched(folder / "images", options.threads).items():
        figures = agreement(found.pairs, closed(grades))
        row[finder] = {
            "pairs": figures["pairs"],
            "right": figures["right"],
            "precision": figures["precision"],
            "recall": share(pair in found.pairs for pair in grades),
            "recall_near": share(pair in found.pairs for pair in near),
            "seconds": found.seconds,
        }
    yield row


def closed(pairs: Iterable[Pair]) -> set[Pair]:
    """Return the pairs with those that follow: copies of one picture are copies of each other."""
    return {
        in_order(*pair)
        for group in grouped(pairs)
        for pair in combinations(group, 2)
    }  # fmt: skip


def tools_as_they_are(options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Yield what is found in tools15, and the pairs that lie in two classes."""
    folder = DATA / "tools15"
    if not folder.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    row: dict[str, Any] = {"part": "tools15"}
    for finder, found in searched(folder, options.threads).items():
        across = sorted(pair for pair in found.pairs if class_of(pair[0]) != class_of(pair[1]))
        row[finder] = {
            "pairs": len(found.pairs),
            "groups": len(grouped(found.pairs)),
            "in_two_classes": len(across),
            "first_of_them": across[:3],
            "seconds": found.seconds,
        }
    yield row


def class_of(path: str) -> str:
    """Return the folder's name."""
    return path.partition("/")[0]


PARTS: dict[str, Callable[[argparse.Namespace], Iterable[dict[str, Any]]]] = {
    "ladder": ladder,
    "cifar10": cifar,
    "tools15": tools_as_they_are,
}


# --- Finders -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What one finder found, and how long it took."""

    pairs: Found
    seconds: float


def searched(folder: Path, threads: int | None) -> dict[str, Search]:
    """Let every finder that is installed search a folder."""
    finders: dict[str, Callable[[], Found]] = {"pegboard": lambda: by_pegboard(folder, threads)}
    if is_installed("cleanvision"):
        finders["cleanvision"] = lambda: by_cleanvision(folder)
    if is_installed("imagededup"):
        for name in ("PHash", "DHash"):
            finders[f"imagededup {name}"] = lambda name=name: by_imagededup(folder, name)
    done = {}
    for finder, search in finders.items():
        started = time.perf_counter()
        found = search()
        done[finder] = Search(found, round(time.perf_counter() - started, 1))
    return done


def taken_in(folder: Path, threads: int | None) -> Subject:
    """Open a folder as ``pegboard check`` does."""
    settings = CheckSettings(str(folder), threads=threads)
    source, quiet = open_to_check(settings), Progress()
    return Subject(source, intake_to_check(source, settings, quiet), threads=threads)


def by_pegboard(folder: Path, threads: int | None) -> Found:
    """Return the pairs that ``pegboard check`` warns of."""
    subject = taken_in(folder, threads)
    findings = [*copies.check(subject), *similar.check(subject)]
    counted = [finding for finding in findings if finding.counts]
    return {in_order(one.path, one.other_path): 1 - one.score for one in counted}


def by_cleanvision(folder: Path) -> Found:
    """Return the pairs of CleanVision's sets, with its defaults."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder), verbose=False)
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    sets = [one for kind in ("exact", "near") for one in lab.info[f"{kind}_duplicates"]["sets"]]
    return {
        in_order(*(str(Path(path).relative_to(folder.resolve())) for path in pair)): 0.0
        for group in sets
        for pair in combinations(group, 2)
    }


def by_imagededup(folder: Path, name: str) -> Found:
    """Return the pairs within imagededup's default distance."""
    from imagededup import methods

    hasher = getattr(methods, name)(verbose=False)
    hashes = hasher.encode_images(folder, recursive=True, num_enc_workers=0)
    near = hasher.find_duplicates(
        encoding_map=hashes, max_distance_threshold=DISTANCE, scores=True, num_dist_workers=0
    )
    return {
        in_order(path, other): float(distance)
        for path, others in near.items()
        for other, distance in others
    }


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


# --- Figures -----------------------------------------------------------------------------


def agreement(found: Found, truth: set[Pair]) -> dict[str, Any]:
    """Return how many pairs are right, and how many of the true ones are there."""
    right = len(truth & set(found))
    return {
        "pairs": len(found),
        "right": right,
        "precision": round(right / len(found), 4) if found else None,
        "recall": round(right / len(truth), 4),
    }


def grouped(pairs: Iterable[Pair]) -> list[list[str]]:
    """Return the groups that pairs connect."""
    pairs = list(pairs)
    paths = sorted({path for pair in pairs for path in pair})
    at = {path: index for index, path in enumerate(paths)}
    edges = [(at[one], at[other]) for one, other in pairs]
    return [[paths[index] for index in group] for group in shared(connect(len(paths), edges))]


def in_order(one: str, other: str) -> Pair:
    """Return a pair with the smaller path first."""
    return (one, other) if one < other else (other, one)


def share(values: Iterable[bool]) -> float:
    """Return the mean."""
    return round(float(np.mean(list(values))), 4)


if __name__ == "__main__":
    main()
