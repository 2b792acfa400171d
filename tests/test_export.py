from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pegboard.bundle import BundleInfo, Network, Parity, read_bundle
from pegboard.errors import BundleError
from pegboard.export import FIT_MEANING, DeployedModel, answers, check_parity, make_bundle, to_onnx
from pegboard.inputs import FITS, InputSpec
from pegboard.models.build import build_model
from pegboard.models.registry import input_spec, parse_model_name

CLASSES = ("disc", "square", "größe", "cross")
COLOUR = InputSpec(24, 32, 3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
GREY = InputSpec(28, 28, 1, mean=(0.13,), std=(0.31,))


class SmallNet(nn.Module):
    """Convolution, batch normalisation, dropout: what differs between training and use."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8, len(CLASSES)),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.body(pixels)


class NetWithHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.backbone = SmallNet(channels).body[:5]
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(pixels))


def trained(kind: type[nn.Module], channels: int) -> nn.Module:
    """A net with weights and running statistics that are not the initial ones."""
    torch.manual_seed(3)
    net = kind(channels)
    for _ in range(3):
        net(torch.randn(8, channels, 24, 24) + 0.5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    return net


def photos(spec: InputSpec, n: int = 7) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *spec.shape), dtype=np.uint8)


def info(spec: InputSpec, temperature: float = 1.7) -> BundleInfo:
    return BundleInfo("tiny", spec, CLASSES, temperature, thresholds={"sure": 0.8})


def by_hand(net: nn.Module, spec: InputSpec, temperature: float, images: np.ndarray) -> np.ndarray:
    """Probabilities by the textbook, in double precision."""
    pixels = (images / 255 - np.array(spec.mean)) / np.array(spec.std)
    with torch.no_grad():
        net = net.eval().double()
        logits = net(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).numpy() / temperature
    net.float()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


CASES = pytest.mark.parametrize("spec", [COLOUR, GREY], ids=["colour", "grey"])
KINDS = pytest.mark.parametrize("kind", [SmallNet, NetWithHead])


@CASES
@KINDS
def test_the_exported_graph_answers_as_the_textbook_says(
    kind: type[nn.Module], spec: InputSpec
) -> None:
    net = trained(kind, spec.channels)
    data = to_onnx(DeployedModel(net, spec, 1.7), info(spec))
    network = Network(data, spec, len(CLASSES), threads=1)
    for n in (1, 2, 7):
        expected = by_hand(net, spec, 1.7, photos(spec, n))
        np.testing.assert_allclose(network.probabilities(photos(spec, n)), expected, atol=2e-6)


@pytest.mark.parametrize("name", ["lm", "nn", "dnn", "dnnd", "cnn", "dcnn", "cnn4", "fastcnn"])
def test_every_small_net_is_exported_and_proven(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    parsed = parse_model_name(name)
    shape = (72, 72, 3) if name == "cnn4" else (28, 28, 1)
    spec = input_spec(parsed, native_shape=shape)
    net = build_model(parsed, len(CLASSES), spec)
    made = make_bundle(tmp_path / "a.pegboard", net, info(spec), [photos(spec)])
    assert made.parity is not None
    assert made.parity.max_difference < 1e-5


def test_one_mean_stands_for_all_channels() -> None:
    net = trained(SmallNet, 3)
    one = DeployedModel(net, replace(COLOUR, mean=(0.5,), std=(0.25,)))
    three = DeployedModel(net, replace(COLOUR, mean=(0.5,) * 3, std=(0.25,) * 3))
    np.testing.assert_array_equal(answers(one, photos(COLOUR)), answers(three, photos(COLOUR)))


def test_the_temperature_changes_how_sure_it_is_and_no_answer() -> None:
    net = trained(SmallNet, 3)
    cold = answers(DeployedModel(net, COLOUR, 0.5), photos(COLOUR, 50))
    warm = answers(DeployedModel(net, COLOUR, 5.0), photos(COLOUR, 50))
    assert (cold.argmax(axis=1) == warm.argmax(axis=1)).all()
    assert (cold.max(axis=1) > warm.max(axis=1)).all()


@KINDS
def test_features_are_what_the_last_linear_layer_is_given(kind: type[nn.Module]) -> None:
    net = trained(kind, 3)
    data = to_onnx(DeployedModel(net, COLOUR), info(COLOUR, 1.0))
    probabilities, features = Network(data, COLOUR, len(CLASSES), threads=1).answers(photos(COLOUR))
    assert features is not None
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        expected = torch.softmax(last(torch.from_numpy(features)), dim=1).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


@KINDS
def test_the_same_model_gives_the_same_bytes(kind: type[nn.Module], tmp_path: Path) -> None:
    files = [tmp_path / "a.pegboard", tmp_path / "b.pegboard"]
    for file in files:
        make_bundle(file, trained(kind, 3), info(COLOUR), [photos(COLOUR)])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_graph_describes_itself_and_not_this_machine() -> None:
    data = to_onnx(DeployedModel(trained(SmallNet, 3), COLOUR, 1.7), info(COLOUR))
    proto = onnx.load_from_string(data)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert InputSpec.from_json(json.loads(metadata["input"])) == COLOUR
    assert json.loads(metadata["fit"])["fit"] == "letterbox"
    assert json.loads(metadata["fit"])["layout"] == "NHWC"
    assert [opset.version for opset in proto.opset_import] == [18]
    (images,) = proto.graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert images.type.tensor_type.shape.dim[0].dim_param == "N"
    for folder in (Path(__file__).parent, Path(torch.__file__).parent, Path.home()):
        assert str(folder).encode() not in data


def test_every_fit_is_explained() -> None:
    assert set(FIT_MEANING) == set(FITS)


@pytest.mark.parametrize("threads", [1, 3, None])
def test_several_large_photos_are_answered_as_each_alone(threads: int | None) -> None:
    spec = replace(COLOUR, height=96, width=112)
    data = to_onnx(DeployedModel(trained(SmallNet, 3), spec, 1.7), info(spec))
    network = Network(data, spec, len(CLASSES), threads)
    images = photos(spec, 11)
    alone = np.concatenate([network.probabilities(image[None]) for image in images])
    for _ in range(2):
        together = network.probabilities(images)
        assert together.shape == (11, len(CLASSES))
        assert np.abs(together - alone).max() <= 1e-6
    assert network.probabilities(images[:0]).shape == (0, len(CLASSES))


def test_parity_with_answers_that_are_known_already() -> None:
    net = trained(SmallNet, 3)
    model = DeployedModel(net, COLOUR, 1.7)
    data = to_onnx(model, info(COLOUR))
    images = photos(COLOUR, 7)
    known = by_hand(net, COLOUR, 1.7, images)

    def parity(answered: np.ndarray) -> Parity:
        batches = [images[:4], images[4:]]
        return check_parity(model, data, info(COLOUR), batches, answered).parity

    assert parity(known).n == 7
    assert parity(known).max_difference < 2e-6
    with pytest.raises(BundleError, match="does not answer like the trained one"):
        parity(known[::-1])
    with pytest.raises(ValueError, match="7 photos, got 6"):
        parity(known[:6])
    with pytest.raises(ValueError, match="7 photos, got 14"):
        parity(np.concatenate([known, known]))


def test_parity_counts_photos_over_all_batches() -> None:
    model = DeployedModel(trained(SmallNet, 3), COLOUR, 1.7)
    batches = [photos(COLOUR, 5), photos(COLOUR, 2)]
    data = to_onnx(model, info(COLOUR))
    parity = check_parity(model, data, info(COLOUR), iter(batches)).parity
    assert parity.n == 7
    assert parity.agreement == 1.0
    assert 0 <= parity.max_difference < 1e-5


def test_parity_finds_another_models_graph() -> None:
    model = DeployedModel(trained(SmallNet, 3), COLOUR, 1.7)
    other = to_onnx(DeployedModel(trained(SmallNet, 3), COLOUR, 1.8), info(COLOUR))
    with pytest.raises(BundleError, match=r"differ by up to 0\.\d+ \(at most 0\.0001"):
        check_parity(model, other, info(COLOUR), [photos(COLOUR)])


def test_parity_needs_photos() -> None:
    model = DeployedModel(trained(SmallNet, 3), COLOUR)
    with pytest.raises(ValueError, match="at least one photo"):
        check_parity(model, to_onnx(model, info(COLOUR)), info(COLOUR), [])


def test_a_model_of_nan_is_not_bundled(tmp_path: Path) -> None:
    net = trained(SmallNet, 3)
    with torch.no_grad():
        net.body[-1].bias.fill_(float("nan"))
    with pytest.raises(BundleError, match="differ by up to nan"):
        make_bundle(tmp_path / "a.pegboard", net, info(COLOUR), [photos(COLOUR)])
    assert list(tmp_path.iterdir()) == []


def test_the_bundle_holds_the_trained_models_answers(tmp_path: Path) -> None:
    net = trained(NetWithHead, 3)
    path = tmp_path / "a.pegboard"
    returned = make_bundle(path, net, info(COLOUR), [photos(COLOUR)])
    bundle = read_bundle(path)
    assert bundle.info == returned
    assert returned.parity is not None
    assert returned.parity.n == 7
    expected = by_hand(net, COLOUR, 1.7, bundle.reference.inputs(COLOUR))
    np.testing.assert_allclose(bundle.reference.probabilities, expected, atol=1e-5)


def test_a_net_left_in_training_mode_is_exported_for_use(tmp_path: Path) -> None:
    net = trained(SmallNet, 3).train()
    make_bundle(tmp_path / "a.pegboard", net, info(COLOUR), [photos(COLOUR)])
    bundle = read_bundle(tmp_path / "a.pegboard")
    images = bundle.reference.inputs(COLOUR)
    expected = by_hand(net, COLOUR, 1.7, images)
    np.testing.assert_allclose(bundle.reference.probabilities, expected, atol=1e-5)


def test_a_net_that_onnx_cannot_express_is_refused_in_one_line(tmp_path: Path) -> None:
    net = trained(SmallNet, 3)
    net.body[3] = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1))  # 11 is odd
    with pytest.raises(BundleError, match=r"^tiny cannot be written as ONNX: ") as caught:
        make_bundle(tmp_path / "a.pegboard", net, info(COLOUR), [photos(COLOUR)])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
