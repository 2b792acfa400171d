"""A network's layers as a table: what each gives and how many parameters it has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pegboard.inputs import InputSpec
from pegboard.models.backbones import Backbone, BackboneClassifier
from pegboard.models.build import build_model
from pegboard.models.layer_row import LayerRow
from pegboard.models.registry import ModelName, check_architecture


def layer_table(module: nn.Module, spec: InputSpec, *, every: bool = False) -> list[LayerRow]:
    """Return a network's layers in the order they run.

    Parameters
    ----------
    module
        On any device, ``meta`` included; runs once in evaluation mode on one grey photo.
    every
        Each layer of a backbone; by default one row per block.

    Returns
    -------
    Rows whose parameters add up to those of the module.
    """
    chosen = dict(_rows(module, "", every))
    shapes = _output_shapes(module, chosen, spec)
    rows = [
        LayerRow(name, _kind(chosen[name]), shapes[name], _count(chosen[name])) for name in shapes
    ]
    rest = _count(module) - sum(row.parameters for row in rows)
    # Parameters outside any layer, such as a transformer's position embedding.
    return [*rows, LayerRow("(other)", "Parameter", (), rest)] if rest else rows


def describe_model(
    name: ModelName,
    classes: int,
    spec: InputSpec,
    *,
    recipe: str = "default",
    every: bool = False,
) -> list[LayerRow]:
    """Return the layer table of a name; allocates and loads no weights.

    Raises
    ------
    ModelError
        When the input is too small for the network.
    """
    check_architecture(name.base)
    unloaded = ModelName(name.typed, name.base, "scratch", name.slug) if name.is_backbone else name
    with torch.device("meta"):
        module = build_model(unloaded, classes, spec, recipe=recipe)
    if name.mode == "probe" and isinstance(module, BackboneClassifier):
        with torch.device("meta"):
            module.head = nn.Linear(module.backbone.dimension, classes)
    return layer_table(module, spec, every=every)


def multiply_adds(module: nn.Module, spec: InputSpec) -> int:
    """Return about how many pairs of multiplication and addition one photo takes, forward."""
    rows = layer_table(module, spec, every=True)
    return sum(row.parameters * math.prod(row.output_shape[:-1]) for row in rows)


def _rows(module: nn.Module, prefix: str, every: bool) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that become rows: leaves, and within backbones the blocks."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(module, Backbone):
            yield from _rows(child, "", every) if every else _blocks(child)
        elif any(True for _ in child.children()):
            yield from _rows(child, f"{path}.", every)
        else:
            yield path, child


def _blocks(trunk: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in trunk.named_children():
        if isinstance(child, nn.Sequential):
            yield from ((f"{name}.{inner}", block) for inner, block in child.named_children())
        else:
            yield name, child


def _output_shapes(
    module: nn.Module, chosen: dict[str, nn.Module], spec: InputSpec
) -> dict[str, tuple[int, ...]]:
    """Run the network once and note what each chosen layer returned, in running order."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        def hook(layer: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                shapes[name] = _photo_shape(output)

        return hook

    handles = [
        layer.register_forward_hook(note(name))
        for name, layer in chosen.items()
        if not isinstance(layer, nn.Identity)
    ]
    training = module.training
    device = next(module.parameters()).device
    try:
        with torch.no_grad():
            module.eval()
            module(torch.zeros(1, spec.channels, spec.height, spec.width, device=device))
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return shapes


def _photo_shape(output: torch.Tensor) -> tuple[int, ...]:
    shape = tuple(output.shape[1:])
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _kind(layer: nn.Module) -> str:
    kind = type(layer).__name__
    if isinstance(layer, nn.Conv2d):
        stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
        return f"{kind} {layer.kernel_size[0]}x{layer.kernel_size[1]}{stride}"
    if isinstance(layer, nn.MaxPool2d):
        return f"{kind} {layer.kernel_size}x{layer.kernel_size}"
    return f"{kind} {layer.p:g}" if isinstance(layer, nn.Dropout) else kind
