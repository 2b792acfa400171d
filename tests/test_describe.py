from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pegboard.describe import describe_model, list_models
from pegboard.errors import ModelError

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_layers_is_what_the_networks_are() -> None:
    file = ROOT / "scripts" / "layer_tables.py"
    spec = importlib.util.spec_from_file_location("layer_tables", file)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text("utf-8") == script.page(), "run: python scripts/layer_tables.py"


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("dnnd", {}, 355_110),
        ("cnn", {}, 650_714),
        ("dcnn", {}, 696_890),
        ("cnn4", {"classes": 8}, 642_824),
        ("cnn4", {"classes": 8, "image_size": 150}, 642_824),
    ],
)
def test_the_references_parameters(name: str, options: dict[str, int], parameters: int) -> None:
    asked = {"image_size": None, "classes": 10, "channels": None} | options
    text, data = describe_model(name, **asked)
    assert data["parameters"] == parameters
    assert sum(layer["parameters"] for layer in data["layers"]) == parameters
    assert f"{parameters:,}" in text.splitlines()[-1]


def test_channels_and_size_are_the_users() -> None:
    _, data = describe_model("cnn", image_size=40, classes=3, channels=3)
    assert data["input"] == [40, 40, 3]
    assert data["layers"][0]["output_shape"] == [40, 40, 64]


def test_a_network_too_deep_for_the_size_is_refused_with_the_least_size() -> None:
    with pytest.raises(ModelError, match=r"at least 46x46; give --image-size 46 or more"):
        describe_model("cnn4", image_size=45, classes=8, channels=None)


def test_every_model_has_a_line() -> None:
    text, data = list_models()
    assert len(text.splitlines()) == len(data)
    assert {"lm", "cnn4", "fastcnn", "probe", "vgg16", "timm:NAME"} <= set(data)
