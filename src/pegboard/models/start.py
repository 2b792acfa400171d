"""Trained weights as the start of another training, on other photos or classes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pegboard.errors import ModelError
from pegboard.models.backbones import BackboneClassifier
from pegboard.models.registry import ModelName


@dataclass(frozen=True)
class Start:
    """A trained model that another training begins with.

    Attributes
    ----------
    name
        The model's.
    file
        ``weights.safetensors`` of its run; or the bundle, read and found whole, where there is no
        run.
    sha256
        Of that file.
    classes
        In the order of its logits.
    """

    name: ModelName
    file: Path
    sha256: str
    classes: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all weights are there, not only those that an export leaves their names."""
        return self.file.suffix == ".safetensors"

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights that are there, by their names in the trained module."""
        if self.is_whole:
            from safetensors.torch import load_file  # noqa: PLC0415

            return dict(load_file(self.file))
        return _exported(self.file)


def _exported(bundle: Path) -> dict[str, Tensor]:
    """Return the weights that kept their names in a bundle's graph."""
    import onnx  # noqa: PLC0415
    from onnx import numpy_helper  # noqa: PLC0415

    with zipfile.ZipFile(bundle) as file:
        graph = onnx.load_model_from_string(file.read("model.onnx")).graph
    return {
        value.name.removeprefix("net."): torch.from_numpy(numpy_helper.to_array(value).copy())
        for value in graph.initializer
        if value.name.startswith("net.")
    }


def begin_with(module: nn.Module, start: Start, classes: Sequence[str]) -> None:
    """Put a trained model's weights into a network for perhaps other classes.

    All layers are taken over as they are. Of the last one, a class that is in both gets its old
    row; a new one keeps the row it was made with.

    Raises
    ------
    ModelError
        When the weights are not those of this network.
    """
    given, own = start.tensors(), module.state_dict()
    last = _name_of_last(module)
    if not start.is_whole and isinstance(module, BackboneClassifier) and _is_frozen(module):
        own = {key: value for key, value in own.items() if key.startswith("head.")}
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    if missing:
        raise ModelError(
            f"--from: {start.file} does not hold the weights of {start.name.typed} as they were "
            f"trained ({missing[0]} and {len(missing) - 1} more are missing: an exported network "
            "has them folded together); name the file in the folder of its run, "
            "RUN/models/NAME/NAME.pegboard, beside weights.safetensors"
        )
    taken = {key: given[key] for key in own if key in given}
    for part in ("weight", "bias"):
        key = f"{last}.{part}"
        taken[key] = _rows(own[key], taken[key], start.classes, classes)
    other = [key for key, value in taken.items() if value.shape != own[key].shape]
    if other:
        raise ModelError(
            f"--from: {start.file} is of another network than {start.name.typed}: {other[0]} is "
            f"{tuple(taken[other[0]].shape)}, expected {tuple(own[other[0]].shape)}"
        )
    module.load_state_dict(taken, strict=False)


def _is_frozen(module: BackboneClassifier) -> bool:
    """Whether the backbone is as its published weights made it."""
    return not any(parameter.requires_grad for parameter in module.backbone.parameters())


def _name_of_last(module: nn.Module) -> str:
    names = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    return str(names[-1])


def _rows(new: Tensor, old: Tensor, before: Sequence[str], after: Sequence[str]) -> Tensor:
    if len(old) != len(before) or new.shape[1:] != old.shape[1:]:
        return old  # of another network: told by the shapes
    places: Mapping[str, int] = {name: number for number, name in enumerate(before)}
    rows = new.clone()
    for number, name in enumerate(after):
        if name in places:
            rows[number] = old[places[name]]
    return rows
