"""What it brings to answer from several views of a photo, and what it costs.

Fine-tuned backbones of several split seeds answer validation and test photos of tools15 from the
photo alone, as the default recipe has it, and from further views besides, as the thorough one has
it; and from other choices of views. The same weights throughout, so a difference is one of views.

    PEGBOARD_DATA=… python benchmarks/answer_views.py [--quick] [--seeds 3]
        [--keep FOLDER] [--model efficientnet_lite0]

Runs in the folder of ``--keep``, which may be that of ``fine_tuning.py --keep``, are not made
again: one takes twenty minutes.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.metrics import f1_score
from torch import nn

from harness import DATA, compare_once, options, some_of, summary, write_result
from pegboard.answer_views import answer_from_views
from pegboard.export import DeployedModel
from pegboard.images import decode
from pegboard.inputs import InputSpec, fit_image
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.models.build import build_model
from pegboard.models.registry import parse_model_name
from pegboard.recipes import PHOTO_NEARER, AnswerView

MIRRORED, NEARER = AnswerView(mirror=True), AnswerView(zoom=PHOTO_NEARER)
BOTH = AnswerView(mirror=True, zoom=PHOTO_NEARER)
CHOICES: dict[str, tuple[AnswerView, ...]] = {
    "the photo alone": (),
    "and mirrored": (MIRRORED,),
    "and nearer": (NEARER,),
    "and nearer, mirrored": (BOTH,),
    "all four": (MIRRORED, NEARER, BOTH),
}
BATCH = 16
QUICK = ("--epochs", "1", "--image-size", "64")


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "answer_views")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--seeds", type=int, default=3, help="split seeds (default: 3)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the runs stay")
    given = parser.parse_args()
    source = DATA / "tools15"
    if not source.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    with TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        own: tuple[str, ...] = ("--models", given.model)
        if given.quick:
            source = some_of(source, Path(name) / "some", 20)
            own, given.seeds = (*own, *QUICK), 1
        rows = []
        for seed in range(given.seeds):
            run = folder / f"{seed}"
            if not run.exists():
                compare_once(source, run, *own, f"--split-seed={seed}")
            rows.append({"split_seed": seed} | answered(source, run, given.model))
    write_result("answer_views", given, {"model": given.model, "runs": rows} | gains(rows))


def answered(source: Path, run: Path, model: str) -> dict[str, Any]:
    """Return macro-F1 for every choice of views, and seconds for a photo, of one run."""
    rows = read_manifest(run / "manifest.csv")
    classes = sorted({row.label for row in rows})
    network, spec = trained(run / "models" / model, model, len(classes))
    parts: dict[str, Any] = {}
    for part in ("validation", "test"):
        photos = [row for row in rows if row.split == part]
        truth = [classes.index(row.label) for row in photos]
        parts[part] = {"n": len(photos)} | {
            choice: f1_score(truth, labels(network, spec, views, source, photos), average="macro")
            for choice, views in CHOICES.items()
        }
    return {**parts, "seconds": seconds(network, spec)}


def trained(folder: Path, model: str, classes: int) -> tuple[nn.Module, InputSpec]:
    """Return the trained network of a run, and its input."""
    told = json.loads((folder / "training.json").read_text("utf-8"))
    spec = InputSpec.from_json(told["input"])
    network = build_model(parse_model_name(f"{model}:scratch"), classes, spec)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval(), spec


def labels(
    network: nn.Module,
    spec: InputSpec,
    views: Sequence[AnswerView],
    source: Path,
    photos: Sequence[ManifestRow],
) -> NDArray[np.int64]:
    """Return the index of the class that is answered, for each photo."""
    model = DeployedModel(answer_from_views(copy.deepcopy(network), views), spec).eval()
    with torch.inference_mode():
        parts = [model(batch)[0].argmax(1).numpy() for batch in batches(source, spec, photos)]
    return np.concatenate(parts)


def batches(source: Path, spec: InputSpec, photos: Sequence[ManifestRow]) -> Iterator[Any]:
    """Yield fitted photos."""
    for start in range(0, len(photos), BATCH):
        some = photos[start : start + BATCH]
        fitted = [fit_image(decode((source / row.path).read_bytes()), spec) for row in some]
        yield torch.from_numpy(np.stack(fitted))


def seconds(network: nn.Module, spec: InputSpec, turns: int = 5) -> dict[str, Any]:
    """Return seconds for one photo in float32, the choices in turn."""
    pixels = torch.randint(0, 256, (1, *spec.shape), dtype=torch.uint8)
    models = {
        choice: DeployedModel(answer_from_views(copy.deepcopy(network), views), spec).eval()
        for choice, views in CHOICES.items()
    }
    taken: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    with torch.inference_mode():
        for turn in range(turns + 1):
            for choice, model in models.items():
                started = time.perf_counter()
                model(pixels)
                if turn:  # the first one warms up
                    taken[choice].append(time.perf_counter() - started)
    return {choice: summary(values) for choice, values in taken.items()}


def gains(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what each choice has more than the photo alone, and its mean on test photos."""
    alone, *others = CHOICES

    def more(choice: str) -> list[float]:
        return [row[part][choice] - row[part][alone] for row in rows for part in PARTS]

    return {
        "gains": {choice: summary(more(choice)) | mean_of(more(choice)) for choice in others},
        "test": {choice: mean_of([row["test"][choice] for row in rows]) for choice in CHOICES},
    }


PARTS = ("validation", "test")


def mean_of(values: Sequence[float]) -> dict[str, float]:
    """Return mean and standard deviation."""
    return {
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
    }


if __name__ == "__main__":
    main()
