"""The models command: names, and the layers of one model."""

from __future__ import annotations

from typing import Any

from pegboard.errors import require_extra
from pegboard.models.registry import (
    check_architecture,
    input_spec,
    known_models,
    parse_model_name,
)

DIGIT_NETS = ("lm", "nn", "dnn", "dnnd", "cnn", "dcnn")
DIGIT = (28, 28, 1)


def list_models() -> tuple[str, dict[str, str]]:
    """Return all names with one line on each, as text and as data."""
    models = known_models()
    width = max(len(name) for name in models)
    return "\n".join(f"{name:<{width}}  {what}" for name, what in models.items()), models


def describe_model(
    text: str, *, image_size: int | None = None, classes: int = 10, channels: int | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the layer table of a model with random weights, as text and as data.

    Without ``image_size`` the reference digits' nets are shown for 28x28 grey pictures and
    every other model for its default size in colour.

    Raises
    ------
    ModelError
        When the name is unknown or the size too small for the network.
    """
    require_extra("torch", "train")
    from pegboard.models import layers  # noqa: PLC0415

    name = parse_model_name(text)
    check_architecture(name.base)
    digits = name.base in DIGIT_NETS and image_size is None and channels in (None, 1)
    native = DIGIT if digits else None
    if channels is not None and native is None and not name.is_backbone:
        side = image_size or input_spec(name).height
        native = (side, side, channels)
    spec = input_spec(name, native_shape=native, image_size=image_size)
    rows = layers.describe_model(name, classes, spec)
    data = {
        "name": name.typed,
        "input": [spec.height, spec.width, spec.channels],
        "classes": classes,
        "parameters": sum(row.parameters for row in rows),
        "layers": [
            {
                "name": row.name,
                "kind": row.kind,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
            }
            for row in rows
        ],
    }
    return _text(data), data


def _text(data: dict[str, Any]) -> str:
    cells = [("layer", "kind", "output shape", "parameters")]
    for row in data["layers"]:
        shape = " x ".join(str(side) for side in row["output_shape"])
        cells.append((row["name"], row["kind"], shape, f"{row['parameters']:,}"))
    cells.append(("total", "", "", f"{data['parameters']:,}"))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    height, width, channels = data["input"]
    head = (
        f"{data['name']} on {height} x {width} x {channels}, {data['classes']} classes "
        "(shapes are height x width x channels)"
    )
    lines = [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}"
        for a, b, c, d in cells
    ]
    return "\n".join([head, "", lines[0], "-" * len(lines[0]), *lines[1:]])
