"""Depthwise convolutions that train in float32 where bfloat16 has no fast path.

oneDNN has no fast bfloat16 kernel for the gradients of depthwise convolutions larger than 3x3
or with a stride: on a CPU with AVX-512 BF16 they took four times as long as in float32, and
two thirds of a training step of EfficientNet-Lite0 (benchmarks/depthwise.py measures both).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import torch
from torch import Tensor, nn


@contextmanager
def float32_depthwise(module: nn.Module) -> Iterator[None]:
    """Compute slow depthwise convolutions of a module in float32 while it trains on a CPU.

    Only layers that are trained, and only under bfloat16 autocast: evaluation, frozen layers
    and other devices are as they were. Afterwards the module is as before.
    """
    layers = [layer for layer in module.modules() if is_slow_in_bfloat16(layer)]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def is_slow_in_bfloat16(layer: nn.Module) -> bool:
    """Whether the layer is a depthwise convolution larger than 3x3 or with a stride."""
    if not isinstance(layer, nn.Conv2d):
        return False
    depthwise = layer.groups == layer.in_channels > 1
    return depthwise and (max(layer.kernel_size) > 3 or max(layer.stride) > 1)


def _forward(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    compute = type(layer).forward
    trains = torch.is_grad_enabled() and layer.weight.requires_grad
    if not (trains and inputs.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        return compute(layer, inputs)
    with torch.autocast("cpu", enabled=False):
        return compute(layer, inputs.float()).to(torch.get_autocast_dtype("cpu"))
