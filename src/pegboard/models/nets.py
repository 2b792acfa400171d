"""The small nets: the references' layers, and ``fastcnn``.

All take normalised float NCHW and return logits ``(N, classes)``. Layer sizes of ``lm`` to
``dcnn`` and of ``cnn4`` are those of the two reference projects; their activations are ReLU,
their 3x3 convolutions ``same`` for digits and ``valid`` for ``cnn4``, every pool is 2x2.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator

from torch import nn

from pegboard.inputs import InputSpec

FAST_WIDTHS = (24, 48, 64, 96, 128, 192)
"""Channels of ``fastcnn``'s convolutions in order; further ones repeat the last."""
FAST_STEM = 16
"""Photos whose shorter side has this many pixels are halved by ``fastcnn``'s first convolution."""
FAST_MAP = 7
"""``fastcnn`` halves its map, once at least, until no side is longer than this."""
FAST_ROOM = 5
"""Maps with a shorter side below this are padded: ``fastcnn`` has nothing left to cut off."""


def build_net(base: str, classes: int, spec: InputSpec) -> nn.Module:
    """Return a small net with torch's initial weights (Kaiming-uniform).

    Parameters
    ----------
    base
        One of ``registry.NETS``.
    classes
        Number of logits.
    spec
        Its height, width and channels fix the first and the dense layers.
    """
    return nn.Sequential(OrderedDict(_LAYERS[base](classes, spec)))


def glorot_(module: nn.Module) -> None:
    """Set Keras' initial weights in place: Glorot-uniform kernels and zero biases.

    Glorot and Bengio 2010: uniform on +-sqrt(6 / (fan in + fan out)).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


Layers = Iterator[tuple[str, nn.Module]]


def _dense(*hidden: int, dropout: float = 0.0) -> Callable[[int, InputSpec], Layers]:
    def layers(classes: int, spec: InputSpec) -> Layers:
        yield "flatten", nn.Flatten()
        width = spec.height * spec.width * spec.channels
        for index, units in enumerate(hidden, 1):
            yield f"dense{index}", nn.Linear(width, units)
            yield f"relu{index}", nn.ReLU()
            if dropout:
                yield f"dropout{index}", nn.Dropout(dropout)
            width = units
        yield "logits", nn.Linear(width, classes)

    return layers


def _cnn(classes: int, spec: InputSpec) -> Layers:
    yield from _convolution("conv1", spec.channels, 64)
    yield "pool1", nn.MaxPool2d(2)
    yield from _convolution("conv2", 64, 32)
    yield "pool2", nn.MaxPool2d(2)
    yield from _digits_head(classes, spec)


def _dcnn(classes: int, spec: InputSpec) -> Layers:
    yield from _convolution("conv1", spec.channels, 64)
    yield from _convolution("conv2", 64, 64)
    yield "pool1", nn.MaxPool2d(2)
    yield "dropout1", nn.Dropout(0.25)
    yield from _convolution("conv3", 64, 32)
    yield from _convolution("conv4", 32, 32)
    yield "pool2", nn.MaxPool2d(2)
    yield from _digits_head(classes, spec)


def _convolution(name: str, channels: int, filters: int, padding: str = "same") -> Layers:
    yield name, nn.Conv2d(channels, filters, 3, padding=padding)
    yield f"{name}_relu", nn.ReLU()


def _digits_head(classes: int, spec: InputSpec) -> Layers:
    yield "flatten", nn.Flatten()
    yield "dense", nn.Linear(32 * (spec.height // 4) * (spec.width // 4), 400)
    yield "dense_relu", nn.ReLU()
    yield "dropout", nn.Dropout(0.25)
    yield "logits", nn.Linear(400, classes)


def _cnn4(classes: int, spec: InputSpec) -> Layers:
    channels, height, width = spec.channels, spec.height, spec.width
    for index, filters in enumerate((32, 64, 128, 128), 1):
        yield from _convolution(f"conv{index}", channels, filters, "valid")
        yield f"pool{index}", nn.MaxPool2d(2)
        channels, height, width = filters, (height - 2) // 2, (width - 2) // 2
    yield "flatten", nn.Flatten()
    yield "dense", nn.Linear(channels * height * width, 64)
    yield "dense_relu", nn.ReLU()
    yield "dropout", nn.Dropout(0.2)
    yield "logits", nn.Linear(64, classes)


def _fastcnn(classes: int, spec: InputSpec) -> Layers:
    """Ours: the first convolution halves the photo, and the others cut off their borders.

    Digits of 28 px see maps of 14, 12, 5 and 3 px: a quarter of the work of a net that pads and
    begins at full size, and more accurate per epoch. On MNIST (50,000 to train for 60 steps of
    256, one seed) .9801 of 10,000 validation photos after 3 s of two cores; such a net, with
    widths of 24 to 128, .9494 after 6 s.
    """
    sides, channels = (spec.height, spec.width), spec.channels
    window = (5, 2, 2) if min(sides) >= FAST_STEM else (3, 1, 1)
    strides = _fast_strides(max(_convolved(sides, *window)))
    for index, filters in enumerate(_fast_widths(1 + len(strides))):
        if index:
            window = (3, strides[index - 1], 0 if min(sides) >= FAST_ROOM else 1)
        yield from _normalised(f"conv{index + 1}", channels, filters, *window)
        sides, channels = _convolved(sides, *window), filters
    yield "flatten", nn.Flatten()
    yield "logits", nn.Linear(channels * sides[0] * sides[1], classes)


def _fast_strides(side: int) -> list[int]:
    """Return the strides after the first convolution: 1, then 2 until the map is small, then 1."""
    # A convolution without padding takes two pixels off; with stride 2, (side - 1) / 2 are left.
    halvings = max(1, math.ceil(math.log2(max(side - 1, 1) / (FAST_MAP + 1))))
    return [1, *[2] * halvings, 1]


def _fast_widths(count: int) -> list[int]:
    return [FAST_WIDTHS[min(index, len(FAST_WIDTHS) - 1)] for index in range(count)]


def _convolved(sides: tuple[int, int], kernel: int, stride: int, padding: int) -> tuple[int, int]:
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in sides)
    return height, width


def _normalised(
    name: str, channels: int, filters: int, kernel: int, stride: int, padding: int
) -> Layers:
    yield name, nn.Conv2d(channels, filters, kernel, stride, padding, bias=False)
    yield f"{name}_norm", nn.BatchNorm2d(filters)
    yield f"{name}_relu", nn.ReLU()


_LAYERS: dict[str, Callable[[int, InputSpec], Layers]] = {
    "lm": _dense(),
    "nn": _dense(400),
    "dnn": _dense(400, 100),
    "dnnd": _dense(400, 100, dropout=0.25),
    "cnn": _cnn,
    "dcnn": _dcnn,
    "cnn4": _cnn4,
    "fastcnn": _fastcnn,
}
