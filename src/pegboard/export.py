"""From a trained network to a bundle that answers the same.

The exported graph takes fitted uint8 pixels and returns probabilities: normalisation,
temperature and softmax are inside, so no user of the file can get them wrong. Before a bundle
is written, its graph is run on the user's own photos and compared with the trained network.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    Sight,
    blow_up,
    compare_answers,
    reference_grids,
    write_bundle,
)
from pegboard.errors import BundleError
from pegboard.inputs import LETTERBOX_GREY, InputSpec
from pegboard.models.onnx_export import export_onnx
from pegboard.photos import Pixels

FIT_MEANING = {
    "crop": "resize so that the shorter side fits, then cut out the centre",
    "letterbox": "resize so that the longer side fits, centre, fill the rest with the fill colour",
    "squash": "resize both sides, whatever the aspect ratio",
}


class DeployedModel(nn.Module):
    """A trained network from fitted pixels to calibrated probabilities.

    ``forward`` takes ``(N, height, width, channels)`` uint8 and returns ``(N, classes)``
    float32 probabilities and the features they come from, ``(N, D)`` float32: what the last
    linear layer is given.

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
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        self._last = layers[-1] if layers else None
        mean = _per_channel(spec.mean, spec.channels)
        std = _per_channel(spec.std, spec.channels)
        # (x / 255 - mean) / std as one multiplication and one addition per pixel.
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())
        self.to(next(net.parameters()).device)

    @property
    def has_features(self) -> bool:
        """Whether the network has a linear layer, whose input its features are."""
        return self._last is not None

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return probabilities, and features where the network has them."""
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        if self._last is None:
            return self._probabilities(self.net(pixels))
        seen: list[Tensor] = []
        with _watched(self._last, seen):
            probabilities = self._probabilities(self.net(pixels))
        return probabilities, seen[-1].flatten(1)

    def _probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits / self.temperature, dim=1)


@contextmanager
def _watched(layer: nn.Module, seen: list[Tensor]) -> Iterator[None]:
    """Collect what a layer is given."""
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield
    finally:
        hook.remove()


def _per_channel(values: Sequence[float], channels: int) -> Tensor:
    # One value stands for all channels. Double precision until the two are combined.
    tensor = torch.tensor(values, dtype=torch.float64)
    return tensor.expand(channels).reshape(1, channels, 1, 1)


def to_onnx(model: DeployedModel, info: BundleInfo) -> bytes:
    """Return ``model`` as a checked ONNX file that describes itself.

    Input ``images``, outputs ``probabilities`` and, where there is a linear layer, ``features``;
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


@dataclass(frozen=True)
class Exported:
    """A model's ONNX graph, and what it answers to the test photos.

    Attributes
    ----------
    network
        The graph, running.
    sight
        What it makes of them.
    trained
        The trained model's probabilities of them, which it was compared with.
    parity
        The comparison with the trained model on these photos.
    """

    network: Network
    sight: Sight
    trained: NDArray[np.floating[Any]]
    parity: Parity


def check_parity(
    model: DeployedModel,
    onnx_bytes: bytes,
    info: BundleInfo,
    batches: Iterable[Pixels],
    trained: NDArray[np.floating[Any]] | None = None,
    labels: NDArray[np.int64] | None = None,
) -> Exported:
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
    labels
        ``(N,)`` class indices of the photos, for the macro-F1 of both.

    Raises
    ------
    BundleError
        When they differ by more than ``bundle.MAX_DIFFERENCE`` or agree on less than
        ``bundle.MIN_AGREEMENT`` of the photos.
    """
    network = Network(onnx_bytes, info.input, len(info.classes))
    known: list[NDArray[np.float32]] = [np.empty((0, len(info.classes)), np.float32)]
    sights: list[Sight] = []
    for batch in batches:
        if trained is None:
            known.append(answers(model, batch))
        sights.append(Sight.of(network, batch))
    sight = Sight.joined(sights)
    reference = np.concatenate(known) if trained is None else trained
    parity = compare_answers(reference, sight.probabilities, labels)
    parity.check()
    return Exported(network, sight, reference, parity)


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


Complete = Callable[[BundleInfo, Exported], tuple[BundleInfo, dict[str, Any]]]
"""Adds what can be said only of the exported model: ``info``, and further parts for
:func:`pegboard.bundle.write_bundle`."""


def make_bundle(
    path: str | Path,
    net: nn.Module,
    info: BundleInfo,
    batches: Iterable[Pixels],
    trained: NDArray[np.floating[Any]] | None = None,
    labels: NDArray[np.int64] | None = None,
    complete: Complete = lambda info, exported: (info, {}),
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
    trained, labels
        As for :func:`check_parity`.
    complete
        Called when the export is proved, before anything is written.

    Returns
    -------
    ``info`` as it was written.

    Raises
    ------
    BundleError
        When the exported model does not answer like the trained one; nothing is written.
    """
    model = DeployedModel(net, info.input, info.temperature)
    data = to_onnx(model, info)
    exported = check_parity(model, data, info, batches, trained, labels)
    info, further = complete(replace(info, parity=exported.parity), exported)
    grids = reference_grids(info.input.channels)
    reference = Reference(grids, answers(model, blow_up(grids, info.input)))
    return write_bundle(path, onnx=data, info=info, reference=reference, **further)
