"""How near pegboard's training and answering come to what the machine can do.

The machine's own figures first, on all cores: multiplications and additions a second of a large
matrix product in float32 and in bfloat16, as PyTorch computes it, and bytes a second of a copy.
Then what a training step of each network does of that, and what ONNX Runtime does with
EfficientNet-Lite0. Work is counted from the layers: the forward pass's multiplications with
weights, twice as many again for the gradients; activations, norms and the optimizer are time
without work that counts. Photos are noise: nothing depends on them.

    python benchmarks/limits.py [--quick] [--turns 7] [--json FILE]
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from harness import options, summary, write_result
from pegboard.export import DeployedModel
from pegboard.inputs import InputSpec
from pegboard.learn import set_trainable
from pegboard.memory import give_back_freed_memory
from pegboard.models.build import build_model
from pegboard.models.layers import multiply_adds
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.recipes import recipe_for
from pegboard.train import Trainer, TrainingData, low_precision_dtype, photo_preparation

CPU = torch.device("cpu")
STEPS = (("cnn", 28, 10), ("dcnn", 28, 10), ("fastcnn", 28, 10), ("efficientnet_lite0", 288, 15))
"""Network, side of a photo and number of classes of each training that is timed."""
ANSWERED = 224
COPIED = 1 << 28


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "limits")
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    turns = 1 if given.quick else given.turns
    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    peaks = {
        "float32": products(torch.float32, turns),
        "bfloat16": products(torch.bfloat16, turns) if low_precision_dtype(CPU) else None,
        "copy": copies(turns),
    }
    training = [step(*row, turns) for row in STEPS]
    write_result(
        "limits", given, {"peaks": peaks, "training": training, "answering": answering(turns)}
    )


def timed(work: Callable[[], Any], turns: int) -> list[float]:
    """Return the seconds of each turn, after one that does not count."""
    work()
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def products(dtype: torch.dtype, turns: int, side: int = 2048) -> dict[str, Any]:
    """Return operations a second of a matrix product: one multiplication and addition are two."""
    first, second = (torch.randn(side, side).to(dtype) for _ in range(2))
    return summary([2 * side**3 / taken for taken in timed(lambda: first @ second, turns)])


def copies(turns: int) -> dict[str, Any]:
    """Return bytes a second that are read and written again."""
    source, target = torch.zeros(COPIED, dtype=torch.uint8), torch.empty(COPIED, dtype=torch.uint8)
    return summary([COPIED / taken for taken in timed(lambda: target.copy_(source), turns)])


def step(name: str, side: int, classes: int, turns: int) -> dict[str, Any]:
    """Time training steps of the default recipe."""
    own = parse_model_name(name)
    shape = (side, side, 3 if own.is_backbone else 1)
    spec = input_spec(own, native_shape=shape, image_size=side)
    recipe = recipe_for(
        own, spec, classes=[f"class {n}" for n in range(classes)], training_photos=50_000
    )
    network = build_model(
        parse_model_name(f"{name}:scratch") if own.is_backbone else own, classes, spec
    )
    size = recipe.batch_size
    pixels = np.random.default_rng(0).integers(0, 256, (2 * size, *spec.shape), dtype=np.uint8)
    everything = np.arange(len(pixels))
    data = TrainingData(pixels, everything % classes, everything, everything[:classes], classes)
    trainer = Trainer(
        network, data, recipe, photo_preparation(spec, recipe.augmentation, CPU),
        seed=0, device=CPU, freeze=set_trainable,
    )  # fmt: skip
    taken: list[float] = []

    def timer(work: Callable[[], Any]) -> float:
        taken[:] = timed(work, turns)
        return 0.0

    trainer.time_step(timer)
    operations = 3 * 2 * multiply_adds(network, spec) * size
    give_back_freed_memory()
    return {
        "model": name,
        "side": side,
        "batch": size,
        "precision": "bfloat16" if trainer.dtype is torch.bfloat16 else "float32",
        "operations_per_photo": operations // size,
        "photos_per_second": summary([size / seconds for seconds in taken]),
        "operations_per_second": summary([operations / seconds for seconds in taken]),
    }


def answering(turns: int, photos: int = 64) -> dict[str, Any]:
    """Time ONNX Runtime with EfficientNet-Lite0: a photo on each core, and batches of 32."""
    network = build_model(parse_model_name("efficientnet_lite0:scratch"), 15, spec := _spec())
    data = exported(network, spec)
    pixels = np.random.default_rng(0).integers(0, 256, (photos, *spec.shape), dtype=np.uint8)
    cores = os.cpu_count() or 1
    alone, together = session(data, 1), session(data, cores)

    def apart() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda photo: alone.run(None, {"images": photo[None]}), pixels))

    def batches() -> None:
        for start in range(0, photos, 32):
            together.run(None, {"images": pixels[start : start + 32]})

    operations = 2 * multiply_adds(network, spec)
    found: dict[str, Any] = {"model": "efficientnet_lite0", "side": ANSWERED}
    found["operations_per_photo"] = operations
    for what, work in (("apart", apart), ("batches", batches)):
        rates = [photos / seconds for seconds in timed(work, turns)]
        found[what] = {
            "photos_per_second": summary(rates),
            "operations_per_second": summary([operations * rate for rate in rates]),
        }
    return found


def _spec() -> InputSpec:
    return input_spec(parse_model_name("efficientnet_lite0"), image_size=ANSWERED)


def exported(network: torch.nn.Module, spec: InputSpec) -> bytes:
    """Return the network as pegboard ships it."""
    from pegboard.bundle import BundleInfo
    from pegboard.export import to_onnx

    info = BundleInfo(
        name="efficientnet_lite0", input=spec, classes=tuple(f"class {n}" for n in range(15))
    )
    return to_onnx(DeployedModel(network.eval(), spec), info)


def session(data: bytes, threads: int) -> Any:
    """Open a graph in ONNX Runtime."""
    import onnxruntime

    own = onnxruntime.SessionOptions()
    own.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(data, own, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
