"""A torch module as one self-contained ONNX file, quietly and repeatably."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from pegboard.files import atomic_path

OPSET = 18
"""Widely served, and the newest operators our networks need are older."""


def export_onnx(
    module: nn.Module,
    example: torch.Tensor,
    path: Path,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("output",),
) -> None:
    """Write ``module`` as ONNX with its weights inside; only the batch size stays open.

    The module is exported in evaluation mode and left in the mode it was in. Every input and
    output has its first dimension named ``N``; all others are fixed at the example's. The same
    module and example give the same bytes.

    Parameters
    ----------
    module
        Takes ``example``, returns one tensor or several.
    example
        ``(n, …)`` on the module's device, of the dtype the file shall take; n of 2 is safe, as 1
        may be taken for a constant.
    path
        Where the file goes; it appears whole or not at all.
    input_names, output_names
        Names in the graph.

    Notes
    -----
    Exported by tracing (``dynamo=False``): EfficientNet-Lite0 took 1 s on two cores, and 7 to 10 s
    with the exporter that builds on ``torch.export``. Nothing in these networks depends on the
    data, so a trace is exact.
    """
    names = [*input_names, *output_names]
    with atomic_path(path) as temporary, _quiet():
        torch.onnx.export(
            module,
            (example,),
            str(temporary),
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_axes={name: {0: "N"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )


class FromPixels(nn.Module):
    """Put a network behind its normalisation: uint8 ``(N, H, W, C)`` in, the network's output out.

    Parameters
    ----------
    network
        Takes normalised float ``(N, C, H, W)``.
    mean, std
        One value per channel, of pixels scaled to [0, 1].
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        deviation = torch.tensor(std, dtype=torch.float64)[:, None, None]
        centre = torch.tensor(mean, dtype=torch.float64)[:, None, None]
        self.register_buffer("scale", (1 / (255 * deviation)).float())
        self.register_buffer("shift", (-centre / deviation).float())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the network's output for fitted pixels."""
        photos = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
        output: torch.Tensor = self.network(photos)
        return output


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks (about itself, not about the model) off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
