"""Layers that give the same in less time while a network trains.

Beside the convolutions, two things took time in the small nets (MNIST, batches of 32, one core
of an AMD EPYC): ReLU on maps that are pooled right after, and dropout, whose chance torch draws
number by number on such a CPU (3.5 of 47 ms of a step of ``dcnn``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from pegboard.models.depthwise import float32_depthwise

_CHANCES = 1 << 16


@contextmanager
def quick_layers(module: nn.Module) -> Iterator[None]:
    """Let the layers of a module compute in the quicker way for a while.

    Weights, their names and the layers stay as they are, and so does what is learnt:

    * depthwise convolutions, see :func:`~pegboard.models.depthwise.float32_depthwise`;
    * ReLU before max-pooling becomes ReLU after it, on a quarter of the values. Outputs and
      gradients are equal to the last bit: the greatest value is the same one before and after
      ReLU, and where ReLU makes it 0, no gradient passes either way;
    * dropout on a CPU draws 16 random bits per value, four values from one number of torch's
      generator.
    """
    with ExitStack() as stack:
        stack.enter_context(float32_depthwise(module))
        for layer in module.modules():
            if type(layer) is nn.Dropout:
                stack.enter_context(_computing(layer, _dropout))
            if type(layer) is nn.Sequential:
                for relu, pool in pairwise(layer):
                    if type(relu) is nn.ReLU and type(pool) is nn.MaxPool2d:
                        stack.enter_context(_computing(relu, _unchanged))
                        stack.enter_context(_computing(pool, _pool_then_relu))
        yield


@contextmanager
def _computing(layer: nn.Module, forward: Callable[[Any, Tensor], Tensor]) -> Iterator[None]:
    layer.forward = MethodType(forward, layer)
    try:
        yield
    finally:
        del layer.forward


def _unchanged(layer: nn.ReLU, inputs: Tensor) -> Tensor:
    return inputs


def _pool_then_relu(layer: nn.MaxPool2d, inputs: Tensor) -> Tensor:
    return torch.relu(type(layer).forward(layer, inputs))


def _dropout(layer: nn.Dropout, inputs: Tensor) -> Tensor:
    if not layer.training or inputs.device.type != "cpu" or not _is_dense(inputs):
        return type(layer).forward(layer, inputs)
    dropped = round(layer.p * _CHANCES)
    if not 0 < dropped < _CHANCES:
        return type(layer).forward(layer, inputs)
    count = inputs.numel()
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    kept = numbers.view(torch.int16)[:count] >= dropped - _CHANCES // 2
    factors = kept.to(inputs.dtype).mul_(_CHANCES / (_CHANCES - dropped))
    # In the order in which the inputs lie in memory, whatever their layout.
    return inputs * factors.as_strided(inputs.shape, inputs.stride())


def _is_dense(inputs: Tensor) -> bool:
    return inputs.is_contiguous() or inputs.is_contiguous(memory_format=torch.channels_last)
