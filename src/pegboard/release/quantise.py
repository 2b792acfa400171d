"""A network in 8-bit integers: a quarter of the size, and quicker on processors made for it.

Static quantisation by ONNX Runtime: the range of every tensor is taken from training photos,
weights are scaled channel by channel, and the graph stays an ordinary ONNX graph with
QuantizeLinear and DequantizeLinear around its layers. Normalisation before the first layer, and the
last linear layer with the softmax, stay in float32: they are small and decide the answer.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pegboard.errors import require_extra
from pegboard.photos import Pixels

LAYERS = ("Conv", "Gemm", "MatMul")
"""Operators with weights."""

CALIBRATION = 128
"""Training photos that the ranges are taken from."""

RANKED_ON = 4
"""Of them, photos on which the layers are ranked by the error they bring in."""

_AT_ONCE = 8


class _Photos:
    """Hands photos to ONNX Runtime a few at a time, as its calibration wants them."""

    def __init__(self, pixels: Pixels) -> None:
        self._rest = self._batches(pixels)

    @staticmethod
    def _batches(pixels: Pixels) -> Iterator[dict[str, Pixels]]:
        for start in range(0, len(pixels), _AT_ONCE):
            yield {"images": pixels[start : start + _AT_ONCE]}

    def get_next(self) -> dict[str, Pixels] | None:
        """Return the next photos, or None after the last."""
        return next(self._rest, None)

    def __iter__(self) -> Iterator[dict[str, Pixels]]:
        return self._rest

    def set_range(self, start_index: int, end_index: int) -> None:
        """Do nothing: the photos are few enough to be gone through at once."""

    def __len__(self) -> int:
        return 1


def quantise(model: bytes, photos: Pixels, kept: Sequence[str] = ()) -> bytes:
    """Return the network in 8-bit integers.

    Parameters
    ----------
    model
        The ONNX file in float32.
    photos
        ``(n, height, width, channels)`` uint8, fitted training photos.
    kept
        Names of layers that stay in float32.

    Raises
    ------
    MissingExtra
        Without the package ``onnx``.
    """
    onnx: Any = require_extra("onnx", "train")
    from onnxruntime import quantization  # noqa: PLC0415

    proto = onnx.load_from_string(model)
    with tempfile.TemporaryDirectory(prefix="pegboard-int8-") as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model)
        quantization.quantize_static(
            source,
            target,
            _Photos(photos),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            # Seven bits of the eight: products of eight-bit numbers overflow in the instructions
            # of older processors (AVX2), and answers would depend on the machine.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[*_in_float(proto), *kept],
        )
        made = onnx.load(target)
    # What it says of itself is that of the float network; the quantiser adds who made it.
    del made.metadata_props[:]
    made.metadata_props.extend(proto.metadata_props)
    onnx.checker.check_model(made, full_check=True)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def layers_by_error(model: bytes, quantised: bytes, photos: Pixels) -> list[str]:
    """Return the names of the layers in 8 bits, those first whose rounding does most harm.

    Harm is the noise that rounding a layer's output brings in, against the output itself.
    """
    onnx: Any = require_extra("onnx", "train")
    from onnxruntime.quantization import qdq_loss_debug as debug  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="pegboard-int8-") as folder, _quiet():
        seen = []
        for name, data in (("float", model), ("int8", quantised)):
            plain, watched = Path(folder) / f"{name}.onnx", Path(folder) / f"{name}-seen.onnx"
            plain.write_bytes(data)
            debug.modify_model_output_intermediate_tensors(str(plain), str(watched))
            seen.append(debug.collect_activations(str(watched), _Photos(photos[:RANKED_ON])))
        pairs = debug.create_activation_matching(seen[1], seen[0])
        pairs = {name: pair for name, pair in pairs.items() if pair.get("float")}
        noise = debug.compute_activation_error(pairs, _decibels)
    proto = onnx.load_from_string(model)
    left = set(_in_float(proto))
    layers = [node for node in proto.graph.node if node.op_type in LAYERS and node.name not in left]
    # In decibels of signal over noise: low is bad. A layer that was not measured comes last.
    clean = {
        node.name: min(
            (noise[name]["xmodel_err"] for name in (*node.output, *node.input) if name in noise),
            default=float("inf"),
        )
        for node in layers
    }
    return sorted(clean, key=lambda name: clean[name])


def _decibels(plain: Sequence[Any], rounded: Sequence[Any]) -> float:
    """Return signal over noise; without end where the two cannot be compared."""
    if [one.shape for one in plain] != [one.shape for one in rounded]:
        return float("inf")  # the quantiser may name what comes after padding like what is before
    signal = sum(float((one.astype(np.float64) ** 2).sum()) for one in plain)
    pairs = zip(plain, rounded, strict=True)
    noise = sum(float(((one.astype(np.float64) - two) ** 2).sum()) for one, two in pairs)
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else float("inf")


def _in_float(proto: Any) -> list[str]:
    """Return the names of what comes before the first layer, and from the last one on."""
    nodes = list(proto.graph.node)
    layers = [place for place, node in enumerate(nodes) if node.op_type in LAYERS]
    if not layers:
        return [node.name for node in nodes]
    # A network of a single layer would have nothing left to put in 8 bits.
    end = layers[-1] if len(layers) > 1 else layers[-1] + 1
    return [node.name for node in (*nodes[: layers[0]], *nodes[end:])]


class _quiet:  # noqa: N801
    """Keep the quantiser's remarks off the terminal: they are about itself."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._level)
