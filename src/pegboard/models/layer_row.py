"""One row of a layer table; free of torch, so that a report can be made without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer.

    Attributes
    ----------
    name
        Within the network.
    kind
        What it is, with its kernel and stride: ``Conv2d 3x3 /2``.
    output_shape
        For one photo: ``(height, width, channels)``, or ``(features,)``.
    parameters
        Trainable or not; buffers such as batch norm statistics are not counted.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
