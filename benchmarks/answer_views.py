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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.metrics import f1_score
from torch import nn

from fine_tuning import TOOLS, asked, runs_of_splits
from harness import summary, write_result
from pegboard.answer_views import answer_from_views, seen
from pegboard.bundle import BundleInfo, Network
from pegboard.export import DeployedModel, to_onnx
from pegboard.images import decode
from pegboard.inputs import InputSpec, fit_image
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.models.build import build_model
from pegboard.models.registry import parse_model_name
from pegboard.recipes import PHOTO_NEARER, AnswerView

VIEWS = {
    "alone": AnswerView(),
    "mirrored": AnswerView(mirror=True),
    "nearer": AnswerView(zoom=PHOTO_NEARER),
    "both": AnswerView(mirror=True, zoom=PHOTO_NEARER),
}
CHOICES = {
    "the photo alone": ("alone",),
    "and mirrored": ("alone", "mirrored"),
    "and nearer": ("alone", "nearer"),
    "and nearer, mirrored": ("alone", "both"),
    "all four": ("alone", "mirrored", "nearer", "both"),
}
PARTS = ("validation", "test")
BATCH = 16


def main() -> None:
    """Measure and write the result."""
    given = asked(__doc__ or "", "answer_views", seeds=3)
    if not TOOLS.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    rows = [
        {"split_seed": seed} | answered(source, run, given.model)
        for seed, source, run in runs_of_splits(given)
    ]
    write_result("answer_views", given, {"model": given.model, "runs": rows} | gains(rows))


def answered(source: Path, run: Path, model: str) -> dict[str, Any]:
    """Return macro-F1 for every choice of views, and seconds for a photo, of one run."""
    rows = read_manifest(run / "manifest.csv")
    classes = sorted({row.label for row in rows})
    network, spec = trained(run / "models" / model, model, len(classes))
    parts: dict[str, Any] = {}
    for part in PARTS:
        photos = [row for row in rows if row.split == part]
        truth = [classes.index(row.label) for row in photos]
        given = {
            name: logits(network, spec, view, source, photos, len(classes))
            for name, view in VIEWS.items()
        }
        parts[part] = {"n": len(photos)} | {
            choice: f1_score(truth, sum(given[name] for name in names).argmax(1), average="macro")
            for choice, names in CHOICES.items()
        }
    return {**parts, "seconds": seconds(network, spec, len(classes))}


def trained(folder: Path, model: str, classes: int) -> tuple[nn.Module, InputSpec]:
    """Return the trained network of a run, and its input."""
    told = json.loads((folder / "training.json").read_text("utf-8"))
    spec = InputSpec.from_json(told["input"])
    network = build_model(parse_model_name(f"{model}:scratch"), classes, spec)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval(), spec


class Through(nn.Module):
    """A network that sees one view of a photo."""

    def __init__(self, network: nn.Module, view: AnswerView) -> None:
        super().__init__()
        self.network, self.view = network, view

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.network(seen(photos, self.view))
        return logits


def exported(network: nn.Module, spec: InputSpec, classes: int) -> Network:
    """Return a network as a bundle has it."""
    info = BundleInfo("views", spec, tuple(map(str, range(classes))), 1.0)
    return Network(to_onnx(DeployedModel(network, spec), info), spec, classes)


def logits(
    network: nn.Module,
    spec: InputSpec,
    view: AnswerView,
    source: Path,
    photos: Sequence[ManifestRow],
    classes: int,
) -> NDArray[np.float64]:
    """Return the logits of one view of each photo, but for a constant that no class notices."""
    model = exported(Through(network, view), spec, classes)
    parts = [model.probabilities(batch) for batch in batches(source, spec, photos)]
    return np.log(np.maximum(np.concatenate(parts).astype(np.float64), 1e-30))


def batches(source: Path, spec: InputSpec, photos: Sequence[ManifestRow]) -> Iterator[Any]:
    """Yield fitted photos."""
    for start in range(0, len(photos), BATCH):
        some = photos[start : start + BATCH]
        fitted = [fit_image(decode((source / row.path).read_bytes()), spec) for row in some]
        yield np.stack(fitted)


def seconds(network: nn.Module, spec: InputSpec, classes: int, turns: int = 7) -> dict[str, Any]:
    """Return seconds for one photo, the choices in turn."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *spec.shape), dtype=np.uint8)
    models = {
        choice: exported(
            answer_from_views(copy.deepcopy(network), [VIEWS[name] for name in further]),
            spec,
            classes,
        )
        for choice, (_, *further) in CHOICES.items()
    }
    taken: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    for turn in range(turns + 1):
        for choice, model in models.items():
            started = time.perf_counter()
            model.probabilities(pixels)
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


def mean_of(values: Sequence[float]) -> dict[str, float]:
    """Return mean and standard deviation."""
    return {
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
    }


if __name__ == "__main__":
    main()
