"""How well photos of something else are told from photos of the classes a model knows.

Near: three of the fifteen classes of tools15 are left out of training and are what is unknown;
five times, so that every class is left out once. Far: handwritten digits shown to a model of tools,
and tools shown to a model of digits. AUROC of known test photos against unknown ones, for the
score that bundles use and for the largest probability; what the decisions come to with the limits
that the bundles hold; and coverage and risk on the known test photos.

    PEGBOARD_DATA=… python benchmarks/unknown.py [--quick] [--models probe,efficientnet_lite0]
        [--turns 5] [--without-digits] [--keep FOLDER]

Every figure comes from ``.pegboard`` files that ``pegboard compare`` wrote. ``--quick`` takes 60
photos of each class and one turn. With ``--keep`` the runs of tools stay in a folder, and one that
was stopped goes on there.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from harness import (
    DATA,
    compare_once,
    options,
    run_pegboard,
    some_of,
    summary,
    write_result,
)
from pegboard.bundle.deciding import SURE, UNKNOWN, judged
from pegboard.photo_files import read_photo
from pegboard.predict import Predictor, Seen
from pegboard.runs import slug_of

LEFT_OUT, TURNS = 3, 5
DIGITS_MODELS = "lm,cnn,fastcnn"
MOST = 400
"""Photos of each unknown class, or of what is far, that are shown."""


def main() -> int:
    """Measure, print and keep the result."""
    parser = options(__doc__ or "", "unknown")
    parser.add_argument("--models", default="probe", help="for tools (default: probe)")
    parser.add_argument("--turns", type=int, default=TURNS, help="of tools (default: all, 5)")
    parser.add_argument("--without-digits", action="store_true", help="models of tools alone")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the runs stay")
    given = parser.parse_args()
    if not (DATA / "tools15").exists() or not (DATA / "mnist.npz").exists():
        print("skipped: PEGBOARD_DATA has no tools15 or no mnist.npz")
        return 0
    names = sorted(path.name for path in (DATA / "tools15").iterdir() if path.is_dir())
    order = np.random.default_rng(1).permutation(names).tolist()
    turns = 1 if given.quick else given.turns
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="pegboard-unknown-") as name:
        for turn in range(turns):
            unknown = sorted(order[turn * LEFT_OUT : (turn + 1) * LEFT_OUT])
            folder = (given.keep or Path(name)) / str(turn)
            rows += tools(folder, given.models, unknown, quick=given.quick)
            if not given.keep:
                shutil.rmtree(folder)
        if not given.without_digits:
            rows += digits(Path(name) / "digits", quick=given.quick)
    write_result("unknown", given, {"rows": rows, "over turns": over_turns(rows)})
    return 0


def tools(
    folder: Path, models: str, unknown: Sequence[str], *, quick: bool
) -> Iterator[dict[str, Any]]:
    """Train on twelve classes; show the other three, and digits."""
    known, run = folder / "known", folder / "run"
    if not known.exists():
        some_of(DATA / "tools15", known, 60 if quick else None, without=unknown)
    compare_once(known, run, "--models", models)
    near = {
        name: [
            file.read_bytes()
            for file in sorted((DATA / "tools15" / name).iterdir())[: 60 if quick else MOST]
        ]
        for name in unknown
    }
    far = mnist("x_test")[:MOST]
    for model in models.split(","):
        ask = asker(run, model)
        tested = test_photos(run, known)
        labels, photos = zip(*tested, strict=True)
        seen = ask(photos)
        strange = {name: ask(own) for name, own in near.items()}
        yield figures(run, model, f"tools without {', '.join(unknown)}", seen, labels) | {
            "near": told_apart(ask, seen, [one for own in strange.values() for one in own]),
            "near_by_class": {
                name: told_apart(ask, seen, own)["auroc"] for name, own in strange.items()
            },
            "far": told_apart(ask, seen, ask(far)),
        }


def digits(folder: Path, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Train on MNIST; show tools."""
    folder.mkdir()
    source = folder / "mnist.npz"
    with np.load(DATA / "mnist.npz") as arrays:
        some = {key: values[: 2000 if quick else 20_000] for key, values in arrays.items()}
    np.savez(source, **some)
    run = folder / "run"
    limits = ["--epochs", "1"] if quick else ["--epochs", "4"]
    run_pegboard(
        "compare", str(source), "--models", DIGITS_MODELS, "--out", str(run), "--previous", "none",
        *limits,
    )  # fmt: skip
    files = sorted((DATA / "tools15").glob("*/*"))
    far = [file.read_bytes() for file in files[:: max(1, len(files) // MOST)]]
    rows = [row for row in manifest(run) if row["split"] == "test"][:2000]
    labels = [row["label"] for row in rows]
    known = [some["x_test"][int(row["path"].rpartition("/")[2])] for row in rows]
    for model in DIGITS_MODELS.split(","):
        ask = asker(run, model)
        seen = ask(known)
        yield figures(run, model, "digits", seen, labels) | {"far": told_apart(ask, seen, ask(far))}


class asker:  # noqa: N801
    """A run's model, asked about photos."""

    def __init__(self, run: Path, model: str) -> None:
        slug = slug_of(model)
        self.predictor = Predictor.load(run / "models" / slug / f"{slug}.pegboard")

    def __call__(self, photos: Sequence[Any]) -> list[Seen]:
        """Return what it made of those that can be used."""
        items = ((None, lambda photo=photo: photo) for photo in photos)
        return [seen for seen in self.predictor.seen(items) if seen.error is None]


def figures(
    run: Path, model: str, data: str, seen: Sequence[Seen], labels: Sequence[str]
) -> dict[str, Any]:
    """Return coverage and risk on known test photos, as the bundle's limits have it."""
    info = Predictor.load(run / "models" / slug_of(model) / f"{slug_of(model)}.pegboard").info
    answers = np.stack([one.probabilities for one in seen])
    kinds = judged(info, answers, strangeness(seen))
    right = answers.argmax(axis=1) == [info.classes.index(label) for label in labels]
    sure = kinds == SURE
    return {
        "model": model,
        "data": data,
        "n": len(seen),
        "accuracy": float(right.mean()),
        "coverage": float(sure.mean()),
        "risk": float((~right[sure]).mean()) if sure.any() else None,
        "called_unknown": float((kinds == UNKNOWN).mean()),
    }


def told_apart(ask: asker, known: Sequence[Seen], unknown: Sequence[Seen]) -> dict[str, Any]:
    """Return how well unknown photos are told from known ones."""
    kinds = judged(
        ask.predictor.info,
        np.stack([one.probabilities for one in unknown]),
        strangeness(unknown),
    )
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    both = [*known, *unknown]
    return {
        "n": len(unknown),
        "auroc": float(roc_auc_score(truth, strangeness(both))),
        "auroc_probability": float(
            roc_auc_score(truth, [-one.probabilities.max() for one in both])
        ),
        "called_unknown": float((kinds == UNKNOWN).mean()),
        "called_sure": float((kinds == SURE).mean()),
    }


def strangeness(seen: Sequence[Seen]) -> NDArray[np.float64]:
    """Return ``(N,)``; every model here tells it."""
    return np.array([one.strangeness for one in seen], np.float64)


def test_photos(run: Path, source: Path) -> list[tuple[str, bytes]]:
    """Return class and contents of the photos that were kept for the test."""
    rows = (row for row in manifest(run) if row["split"] == "test")
    return [(row["label"], read_photo(str(source / row["path"]))) for row in rows]


def manifest(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's manifest."""
    with (run / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def mnist(name: str) -> NDArray[np.uint8]:
    """Return pictures of MNIST."""
    with np.load(DATA / "mnist.npz") as arrays:
        pictures: NDArray[np.uint8] = arrays[name]
    return pictures


def over_turns(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, for each model of tools, the figures of all turns put together."""
    found: dict[str, dict[str, Any]] = {}
    for model in dict.fromkeys(row["model"] for row in rows if "near" in row):
        mine = [row for row in rows if row["model"] == model and "near" in row]
        found[model] = {
            "near": summary([row["near"]["auroc"] for row in mine]),
            "near_probability": summary([row["near"]["auroc_probability"] for row in mine]),
            "far": summary([row["far"]["auroc"] for row in mine]),
            "far_probability": summary([row["far"]["auroc_probability"] for row in mine]),
            "near_called_unknown": summary([row["near"]["called_unknown"] for row in mine]),
            "far_called_unknown": summary([row["far"]["called_unknown"] for row in mine]),
            "called_unknown": summary([row["called_unknown"] for row in mine]),
            "coverage": summary([row["coverage"] for row in mine]),
            "risk": summary([row["risk"] or 0.0 for row in mine]),
        }
    return found


if __name__ == "__main__":
    sys.exit(main())
