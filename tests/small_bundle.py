"""A bundle whose answers are known: it names the colour channel with the highest mean.

Built with onnx alone, so that reading and predicting are tested without PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pegboard.bundle import BundleInfo, Likeness, Parity, write_bundle
from pegboard.inputs import InputSpec

COLOURS = ("red", "green", "blue")
SPEC = InputSpec(20, 16, 3, fit="squash")


def colour_onnx(spec: InputSpec = SPEC, classes: int = 3, gain: float = 0.1) -> bytes:
    """Softmax of ``gain`` times each channel's mean of 0 to 255."""
    weights = np.zeros((3, classes), np.float32)
    weights[:, :3] = gain * np.eye(3)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *spec.shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def colour_info(**changes: Any) -> BundleInfo:
    values: dict[str, Any] = {
        "name": "colours:tiny",
        "input": SPEC,
        "classes": COLOURS,
        "thresholds": {"sure": 0.9, "precision": 0.95},
        "figures": {"accuracy": 0.91, "accuracy_ci": [0.88, 0.94], "macro_f1": 0.9, "n": 270},
        "parity": Parity(270, 2e-7, 1.0),
        "fingerprint": "abc123",
        "weights": {"source": "none", "licence": "none"},
    }
    return BundleInfo(**(values | changes))


def colour_bundle(path: Path, **changes: Any) -> Path:
    write_bundle(path, onnx=colour_onnx(), info=colour_info(**changes))
    return path


def with_features() -> bytes:
    """The colour model with its three means as features."""
    proto = onnx.load_from_string(colour_onnx())
    proto.graph.output.append(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])
    )
    for node in proto.graph.node:
        node.input[:] = ["features" if name == "means" else name for name in node.input]
        node.output[:] = ["features" if name == "means" else name for name in node.output]
    return proto.SerializeToString()


def colour_bundle_with_features(path: Path, **changes: Any) -> Path:
    """The same, and it tells how unlike red, green and blue photos another is."""
    chance = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = 20 + 180 * np.eye(3)[labels] + chance.normal(0, 5, (60, 3))
    likeness = Likeness.fit(features.astype(np.float32), labels)
    info = colour_info(**({"unknown": {"above": 0.3, "share": 0.02}} | changes))
    write_bundle(path, onnx=with_features(), info=info, likeness=likeness)
    return path


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)
