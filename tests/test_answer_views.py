from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import hflip, resize

from pegboard.answer_views import answer_from_views, seen
from pegboard.bundle import BundleInfo, Network
from pegboard.errors import ModelError
from pegboard.export import DeployedModel, to_onnx
from pegboard.inputs import InputSpec
from pegboard.models.build import build_model
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.recipes import AnswerView, recipe_for

CLASSES = ("disc", "square", "größe", "cross")
NEARER = (AnswerView(mirror=True, zoom=8 / 7),)
ALL_KINDS = (*NEARER, AnswerView(zoom=1.5), AnswerView(mirror=True))
CASES = [
    ("fastcnn", (28, 28, 1), (AnswerView(zoom=1.2),)),
    ("dnnd", (20, 28, 1), ALL_KINDS),
    ("efficientnet_lite0:scratch", (64, 96, 3), NEARER),
]


def network(name: str, shape: tuple[int, int, int]) -> tuple[nn.Module, InputSpec]:
    """A network whose weights and running statistics are not the initial ones."""
    torch.manual_seed(5)
    parsed = parse_model_name(name)
    spec = input_spec(parsed, native_shape=shape)
    if parsed.is_backbone:
        spec = InputSpec(*shape)
    net = build_model(parsed, len(CLASSES), spec)
    with torch.no_grad():
        net(torch.randn(8, spec.channels, spec.height, spec.width) * 2 + 0.5)
    return net.eval(), spec


def alone(net: nn.Module, photos: torch.Tensor, views: Sequence[AnswerView]) -> torch.Tensor:
    """The mean of what a network says of each view by itself."""
    with torch.inference_mode():
        logits = [net(photos), *(net(seen(photos, view)) for view in views)]
    return torch.stack(logits).mean(0)


@pytest.mark.parametrize(("name", "shape", "views"), CASES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_answer_is_the_mean_over_the_views(
    name: str, shape: tuple[int, int, int], views: tuple[AnswerView, ...], count: int
) -> None:
    net, spec = network(name, shape)
    photos = torch.randn(count, spec.channels, spec.height, spec.width)
    expected = alone(net, photos, views)
    names = list(net.state_dict())
    answered = answer_from_views(net, views)
    with torch.inference_mode():
        torch.testing.assert_close(answered(photos), expected, atol=1e-5, rtol=1e-4)
    assert answered is net
    assert list(net.state_dict()) == names


@pytest.mark.parametrize(("name", "shape", "views"), CASES)
def test_the_exported_file_makes_the_views_itself(
    name: str, shape: tuple[int, int, int], views: tuple[AnswerView, ...]
) -> None:
    net, spec = network(name, shape)
    pixels = np.random.default_rng(1).integers(0, 256, (5, *spec.shape), dtype=np.uint8)
    plain = DeployedModel(copy.deepcopy(net), spec, 1.7)
    normal = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() * plain.scale + plain.shift
    expected = torch.softmax(alone(net, normal, views) / 1.7, 1).numpy()
    info = BundleInfo("viewed", spec, CLASSES, 1.7)
    data = to_onnx(DeployedModel(answer_from_views(net, views), spec, 1.7), info)
    for count in (1, 5):
        exported = Network(data, spec, len(CLASSES), threads=1)
        probabilities, features = exported.answers(pixels[:count])
        np.testing.assert_allclose(probabilities, expected[:count], atol=1e-5)
        assert features is not None
        assert features.shape[0] == count


def test_without_views_nothing_changes() -> None:
    net, spec = network("fastcnn", (28, 28, 1))
    photos = torch.randn(3, spec.channels, spec.height, spec.width)
    with torch.inference_mode():
        before = net(photos)
        assert torch.equal(answer_from_views(net, ())(photos), before)


def test_a_network_without_a_linear_layer_is_refused() -> None:
    with pytest.raises(ModelError, match="without a linear layer"):
        answer_from_views(nn.Conv2d(1, 4, 3), NEARER)


@given(st.floats(1.01, 2.0), st.integers(16, 40), st.integers(16, 40))
def test_nearer_is_torchvisions_resize_of_the_middle(zoom: float, height: int, width: int) -> None:
    photos = torch.rand(1, 3, height, width)
    nearer = seen(photos, AnswerView(zoom=zoom, mirror=True))
    top, left = (round(side * (1 - 1 / zoom) / 2) for side in (height, width))
    middle = hflip(photos)[:, :, top : height - top, left : width - left]
    theirs = resize(middle, [height, width], InterpolationMode.BILINEAR, antialias=False)
    torch.testing.assert_close(nearer, theirs)


@pytest.mark.parametrize(
    ("name", "classes", "spec", "expected"),
    [
        ("efficientnet_lite2", ("hammer", "saw"), InputSpec(224, 224), NEARER),
        ("cnn4", ("left glove", "right glove"), InputSpec(150, 150), (AnswerView(zoom=8 / 7),)),
        ("fastcnn", ("0", "1"), InputSpec(28, 28, 1), ()),
        ("lm", ("0", "1"), InputSpec(28, 28, 1), ()),
        ("probe", ("hammer", "saw"), InputSpec(224, 224), ()),
    ],
)
def test_thorough_models_answer_from_views_that_show_the_same_class(
    name: str, classes: tuple[str, ...], spec: InputSpec, expected: tuple[AnswerView, ...]
) -> None:
    parsed = parse_model_name(name)
    for recipe in ("default", "robust", "notebook"):
        made = recipe_for(parsed, spec, classes=classes, training_photos=9000, recipe=recipe)
        assert made.answer_views == ()
    made = recipe_for(parsed, spec, classes=classes, training_photos=9000, recipe="thorough")
    assert made.answer_views == expected
