"""From a trained network to a bundle that answers the same.

The exported graph takes fitted uint8 pixels and returns probabilities: normalisation,
temperature and softmax are inside, so no user of the file can get them wrong. Before a bundle
is written, its graph is run on the user's own photos and compared with the trained network.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pegboard.bundle import (
    BundleInfo,
    Network,
    Parity,
    Reference,
    blow_up,
    reference_grids,
    write_bundle,
)
from pegboard.errors import BundleError
from pegboard.inputs import LETTERBOX_GREY, InputSpec
from pegboard.models.onnx_export import export_onnx
from pegboard.photos import Pixels

TIE = 1e-4
"""Probabilities closer than this tie: either class is the same answer."""

FIT_MEANING = {
    "crop": "resize so that the shorter side fits, then cut out the centre",
    "letterbox": "resize so that the longer side fits, centre, fill the rest with the fill colour",
    "squash": "resize both sides, whatever the aspect ratio",
}


class DeployedModel(nn.Module):
    """A trained network from fitted pixels to calibrated probabilities.

    ``forward`` takes ``(N, height, width, channels)`` uint8 and returns ``(N, classes)``
    float32 probabilities; for a network with a backbone and a head also its features,
    ``(N, D)`` float32.

    Parameters
    ----------
    net
        Takes normalised float ``(N, channels, height, width)``, returns logits ``(N, classes)``.
    spec
        Its input specification.
    temperature
        The logits are divided by it before the softmax (Guo et al. 2017, "On Calibration of
        Modern Neural Networks").
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, spec: InputSpec, temperature: float = 1.0) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature
        mean = _per_channel(spec.mean, spec.channels)
        std = _per_channel(spec.std, spec.channels)
        # (x / 255 - mean) / std as one multiplication and one addition per pixel.
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())
        self.to(next(net.parameters()).device)

    @property
    def has_features(self) -> bool:
        """Whether the network is a backbone with a head."""
        return hasattr(self.net, "backbone") and hasattr(self.net, "head")

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return probabilities, and features where the network has them."""
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        if not self.has_features:
            return self._probabilities(self.net(pixels))
        backbone: Any = self.net.backbone
        head: Any = self.net.head
        features = backbone(pixels)
        return self._probabilities(head(features)), features

    def _probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits / self.temperature, dim=1)


def _per_channel(values: Sequence[float], channels: int) -> Tensor:
    # One value stands for all channels. Double precision until the two are combined.
    tensor = torch.tensor(values, dtype=torch.float64)
    return tensor.expand(channels).reshape(1, channels, 1, 1)


def to_onnx(model: DeployedModel, info: BundleInfo) -> bytes:
    """Return ``model`` as a checked ONNX file that describes itself.

    Input ``images``, outputs ``probabilities`` and, for a backbone with a head, ``features``;
    the batch size is open. Its metadata holds the classes, the input specification and how to
    fit a photo, as JSON. The same model gives the same bytes.

    Raises
    ------
    BundleError
        When the network has an operation that ONNX lacks.
    """
    example = torch.from_numpy(blow_up(reference_grids(info.input.channels, 2), info.input))
    outputs = ["probabilities", "features"] if model.has_features else ["probabilities"]
    with tempfile.TemporaryDirectory(prefix="pegboard-") as folder:
        path = Path(folder) / "model.onnx"
        try:
            export_onnx(model, example.to(model.scale.device), path, ["images"], outputs)
        except (RuntimeError, TypeError, ValueError) as error:  # what torch.onnx raises
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BundleError(
                f"{info.name} cannot be written as ONNX: {first_line[:200]}; no bundle was written"
            ) from error
        proto = onnx.load(path)
    _forget_the_exporter(proto)
    onnx.helper.set_model_props(proto, _metadata(info))
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _forget_the_exporter(proto: Any) -> None:
    """Drop comments on how the graph came about: they name folders of this machine."""
    proto.doc_string = proto.graph.doc_string = ""
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def _metadata(info: BundleInfo) -> dict[str, str]:
    spec = info.input
    fit = {
        "orientation": "apply the EXIF orientation, flatten transparency on white",
        "layout": "NHWC",
        "dtype": "uint8",
        "height": spec.height,
        "width": spec.width,
        "channels": "grey" if spec.channels == 1 else "RGB",
        "fit": spec.fit,
        "fit_meaning": FIT_MEANING[spec.fit],
        "fill": LETTERBOX_GREY,
        "interpolation": spec.interpolation,
    }
    return {
        "classes": json.dumps(info.classes, ensure_ascii=False),
        "fit": json.dumps(fit),
        "input": json.dumps(spec.to_json()),
        "name": info.name,
        "thresholds": json.dumps(dict(info.thresholds)),
    }


def check_parity(
    model: DeployedModel,
    onnx_bytes: bytes,
    info: BundleInfo,
    batches: Iterable[Pixels],
    trained: NDArray[np.floating[Any]] | None = None,
) -> Parity:
    """Compare the trained with the exported model on photos.

    Parameters
    ----------
    model
        The trained network as deployed; on any device.
    onnx_bytes
        The exported one.
    info
        Its input and classes.
    batches
        Fitted photos, each ``(n, height, width, channels)`` uint8; at least one photo.
    trained
        The trained network's probabilities for these photos, ``(N, classes)`` in their order,
        where they are known already; else they are computed.

    Raises
    ------
    BundleError
        When they differ by more than ``bundle.MAX_DIFFERENCE`` or agree on less than
        ``bundle.MIN_AGREEMENT`` of the photos.
    """
    network = Network(onnx_bytes, info.input, len(info.classes))
    n, same, largest = 0, 0, 0.0
    for batch in batches:
        known = answers(model, batch) if trained is None else trained[n : n + len(batch)]
        exported = network.probabilities(batch)
        n += len(batch)
        if trained is not None and len(trained) < n:
            raise ValueError(f"expected an answer to each photo, got only {len(trained)}")
        # A class that ties with the winner to within rounding is no other answer.
        named = np.take_along_axis(exported, known.argmax(axis=1)[:, None], axis=1)[:, 0]
        same += int((exported.max(axis=1) - named <= TIE).sum())
        # np.maximum hands NaN on, max() might not.
        largest = float(np.maximum(largest, np.abs(known - exported).max(initial=0.0)))
    if n == 0:
        raise ValueError("parity needs at least one photo")
    if trained is not None and len(trained) != n:
        raise ValueError(f"expected answers to {n} photos, got {len(trained)}")
    parity = Parity(n, largest, same / n)
    parity.check()
    return parity


@torch.no_grad()
def answers(model: DeployedModel, images: Pixels) -> NDArray[np.float32]:
    """Return the trained model's probabilities, ``(n, classes)`` float32.

    Run in full precision on the device the model is on, which is left in evaluation mode.
    """
    model.eval()
    result = model(torch.from_numpy(np.ascontiguousarray(images)).to(model.scale.device))
    probabilities = result[0] if isinstance(result, tuple) else result
    values: NDArray[np.float32] = probabilities.cpu().numpy()
    return values


def make_bundle(
    path: str | Path,
    net: nn.Module,
    info: BundleInfo,
    batches: Iterable[Pixels],
    trained: NDArray[np.floating[Any]] | None = None,
) -> BundleInfo:
    """Export ``net``, prove the export on photos, and write the bundle.

    Parameters
    ----------
    path
        The ``.pegboard`` file.
    net
        The trained network (see :class:`DeployedModel`); left in evaluation mode.
    info
        What to say about it; ``temperature`` goes into the graph.
    batches
        Fitted test photos to compare on, each ``(n, height, width, channels)`` uint8.
    trained
        As for :func:`check_parity`.

    Returns
    -------
    ``info`` with the parity found.

    Raises
    ------
    BundleError
        When the exported model does not answer like the trained one; nothing is written.
    """
    model = DeployedModel(net, info.input, info.temperature)
    data = to_onnx(model, info)
    info = replace(info, parity=check_parity(model, data, info, batches, trained))
    grids = reference_grids(info.input.channels)
    reference = Reference(grids, answers(model, blow_up(grids, info.input)))
    write_bundle(path, onnx=data, info=info, reference=reference)
    return info
