"""How long the gradients of depthwise convolutions take in bfloat16 and in float32.

Every shape is one of EfficientNet-Lite0's at 192 px, batch 64. The two precisions take turns,
so that a busy machine slows both; the figure to read is the ratio of the medians.

    python benchmarks/depthwise.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

# channels, side of the input, kernel, stride, padding
SHAPES = ((672, 12, 5, 1, 2), (1152, 6, 5, 1, 2), (480, 12, 5, 1, 2), (672, 15, 5, 2, 0),
          (240, 25, 3, 2, 0), (480, 12, 3, 1, 1))  # fmt: skip
BATCH = 64


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three turns instead of eleven")
    turns = 3 if parser.parse_args().quick else 11
    rows = [measure(*shape, turns=turns) for shape in SHAPES]
    machine = {"cpus": os.cpu_count(), "threads": torch.get_num_threads()}
    print(json.dumps({"torch": torch.__version__, "machine": machine, "rows": rows}, indent=2))


def measure(
    channels: int, side: int, kernel: int, stride: int, padding: int, *, turns: int
) -> dict[str, object]:
    """Return seconds of one forward and backward pass in both precisions."""
    layer = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)
    photos = torch.randn(BATCH, channels, side, side).to(memory_format=torch.channels_last)
    seconds: dict[str, list[float]] = {"bfloat16": [], "float32": []}
    for _ in range(turns + 1):
        for name, taken in seconds.items():
            taken.append(timed(step(layer, photos, getattr(torch, name))))
    medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    return {
        "shape": f"{channels} channels, {side} px, {kernel}x{kernel}, stride {stride}",
        "milliseconds": {name: round(1e3 * value, 2) for name, value in medians.items()},
        "raw": {name: [round(1e3 * value, 2) for value in taken[1:]]
                for name, taken in seconds.items()},
        "ratio": round(medians["bfloat16"] / medians["float32"], 2),
    }  # fmt: skip


def step(layer: nn.Conv2d, photos: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """Return one training step of the layer alone, casts from and to bfloat16 included."""

    def run() -> None:
        inputs = photos.to(torch.bfloat16).requires_grad_(True)
        outputs = nn.functional.conv2d(
            inputs.to(dtype), layer.weight.to(dtype), None, layer.stride, layer.padding, 1,
            layer.groups,
        ).to(torch.bfloat16)  # fmt: skip
        torch.autograd.backward(outputs, torch.ones_like(outputs))

    return run


def timed(run: Callable[[], None]) -> float:
    """Return the seconds it takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
