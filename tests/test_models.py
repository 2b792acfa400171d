"""The networks: names, inputs, layers, freezing, and the same answer from ONNX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pegboard.errors import ModelError
from pegboard.inputs import InputSpec
from pegboard.models.backbones import Backbone, BackboneClassifier, padding_matters
from pegboard.models.build import build_model
from pegboard.models.layer_row import LayerRow
from pegboard.models.layers import describe_model, layer_table
from pegboard.models.nets import build_net
from pegboard.models.onnx_export import FromPixels, export_onnx
from pegboard.models.registry import (
    BACKBONES,
    NETS,
    ModelName,
    check_architecture,
    check_input,
    input_spec,
    known_models,
    least_size,
    parse_model_name,
    parse_model_names,
)

DIGITS = (28, 28, 1)
BACKBONE_NAMES = [*BACKBONES, "timm:resnet18.a1_in1k", "timm:vit_tiny_patch16_224"]


def table(text: str, classes: int = 10, recipe: str = "default", **data: object) -> list[LayerRow]:
    name = parse_model_name(text)
    spec = input_spec(name, recipe=recipe, **data)  # type: ignore[arg-type]
    return describe_model(name, classes, spec, recipe=recipe)


def parameters(rows: list[LayerRow]) -> int:
    return sum(row.parameters for row in rows)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("typed", "base", "mode", "slug"),
    [
        ("dcnn", "dcnn", "net", "dcnn"),
        ("mobilenetv2", "mobilenetv2", "finetune", "mobilenetv2"),
        ("xception:frozen", "xception", "frozen", "xception-frozen"),
        ("vgg16:scratch", "vgg16", "scratch", "vgg16-scratch"),
        ("probe", "efficientnet_lite0", "probe", "probe"),
        ("probe:xception", "xception", "probe", "probe-xception"),
        ("probe:timm:resnet18", "timm:resnet18", "probe", "probe-timm-resnet18"),
        ("timm:resnet18", "timm:resnet18", "finetune", "timm-resnet18"),
        (
            "timm:resnet18.a1_in1k:frozen",
            "timm:resnet18.a1_in1k",
            "frozen",
            "timm-resnet18.a1_in1k-frozen",
        ),
    ],
)
def test_a_name_means_a_network_and_a_mode(typed: str, base: str, mode: str, slug: str) -> None:
    assert parse_model_name(f" {typed} ") == ModelName(typed, base, mode, slug)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("dcn", "there is no model 'dcn'; did you mean dcnn"),
        ("MobileNet", "did you mean mobilenetv2"),
        ("", "there is no model ''; known are lm, nn,"),
        ("dcnn:frozen", "there is no model 'dcnn:frozen'"),
        ("mobilenetv2:frosen", "mobilenetv2 has no mode 'frosen'; expected one of .*:frozen"),
        ("timm:resnet18:x", "resnet18 has no mode 'x'; expected one of resnet18:frozen"),
        ("timm:", "there is no model 'timm:'"),
        ("probe:", "there is no model 'probe:'"),
        ("probe:dcnn", "probe: expected a backbone without a mode, found 'dcnn'"),
        ("probe:xception:frozen", "expected a backbone without a mode, found 'xception:frozen'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(typed: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_model_name(typed)


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_model_or_a_model_error(text: str) -> None:
    try:
        name = parse_model_name(text)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert not set(name.slug) & {":", "/"}


def test_names_are_listed_once() -> None:
    names = parse_model_names("lm, probe,mobilenetv2:frozen,mobilenetv2,")
    assert [name.typed for name in names] == ["lm", "probe", "mobilenetv2:frozen", "mobilenetv2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cnn,lm,cnn", "cnn is listed twice"),
        (
            "efficientnet_lite0,efficientnet_lite0:finetune",
            "efficientnet_lite0 and efficientnet_lite0:finetune are the same model",
        ),
        ("probe,probe:efficientnet_lite0", "are the same model"),
        (" , ", "expected model names separated by commas"),
    ],
)
def test_the_same_model_twice_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_model_names(text)


def test_every_known_name_can_be_typed() -> None:
    for name in known_models():
        parse_model_name(name.replace("timm:NAME", "timm:resnet18"))


def test_a_name_timm_does_not_know_is_refused_with_close_ones() -> None:
    with pytest.raises(ModelError, match="timm has no network 'resnet19'; did you mean timm:resn"):
        check_architecture("timm:resnet19")
    with pytest.raises(ModelError, match=r"no weights 'resnet18.mine'; expected .*18\.a1_in1k"):
        check_architecture("timm:resnet18.mine")
    check_architecture("timm:resnet18.a1_in1k")


def test_names_and_inputs_need_no_torch() -> None:
    script = (
        "import sys; from pegboard.models import registry as r, weights as w\n"
        "for text in [*r.NETS, *r.BACKBONES, 'probe', 'timm:resnet18.a1_in1k:frozen']:\n"
        "    name = r.parse_model_name(text)\n"
        "    name.base.startswith('timm') or r.check_input(name, r.input_spec(name))\n"
        "w.resolve_weights([r.parse_model_name('probe')])\n"
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# ---------------------------------------------------------------- layers and parameters


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("lm", 7_850),
        ("nn", 318_010),
        ("dnn", 355_110),
        ("dnnd", 355_110),
        ("cnn", 650_714),
        ("dcnn", 696_890),
    ],
)
def test_digits_nets_have_the_references_parameters(name: str, count: int) -> None:
    assert parameters(table(name, 10, native_shape=DIGITS)) == count


def test_cnn4_has_the_references_layers() -> None:
    rows = table("cnn4", 8)
    assert parameters(rows) == 642_824
    shapes = {row.name: row.output_shape for row in rows}
    assert shapes["conv1"] == (148, 148, 32)
    assert shapes["pool4"] == (7, 7, 128)
    assert [row.kind for row in rows if row.parameters] == ["Conv2d 3x3"] * 4 + ["Linear"] * 2


def test_dcnn_layer_by_layer() -> None:
    assert [(row.name, row.kind, row.output_shape, row.parameters) for row in
            table("dcnn", native_shape=DIGITS) if not row.name.endswith("relu")] == [
        ("conv1", "Conv2d 3x3", (28, 28, 64), 640),
        ("conv2", "Conv2d 3x3", (28, 28, 64), 36_928),
        ("pool1", "MaxPool2d 2x2", (14, 14, 64), 0),
        ("dropout1", "Dropout 0.25", (14, 14, 64), 0),
        ("conv3", "Conv2d 3x3", (14, 14, 32), 18_464),
        ("conv4", "Conv2d 3x3", (14, 14, 32), 9_248),
        ("pool2", "MaxPool2d 2x2", (7, 7, 32), 0),
        ("flatten", "Flatten", (1568,), 0),
        ("dense", "Linear", (400,), 627_600),
        ("dropout", "Dropout 0.25", (400,), 0),
        ("logits", "Linear", (10,), 4_010),
    ]  # fmt: skip


def test_fastcnn_halves_its_map_until_it_is_small() -> None:
    def last_map(side: int) -> tuple[int, ...]:
        rows = table("fastcnn", image_size=side, native_shape=(side, side, 1))
        return rows[-3].output_shape

    assert last_map(28) == (3, 3, 96)
    assert last_map(8) == (2, 2, 96)
    assert last_map(64) == (4, 4, 128)
    assert last_map(150) == (3, 3, 192)
    assert parameters(table("fastcnn", native_shape=DIGITS)) == 103_026


@given(st.integers(8, 300), st.integers(8, 300))
@settings(max_examples=25, deadline=None)
def test_fastcnn_has_a_small_map_whatever_the_shape(height: int, width: int) -> None:
    with torch.device("meta"):
        model = build_net("fastcnn", 3, InputSpec(height, width, 1))
        maps = model[: list(model._modules).index("flatten")](torch.zeros(1, 1, height, width))
    assert 1 <= max(maps.shape[2:]) <= 8


def test_vgg16_has_the_published_parameters() -> None:
    """138,357,544 with its three dense layers, of which the last convolution needs none."""
    import timm

    with torch.device("meta"):
        published = timm.create_model("vgg16")
    assert sum(p.numel() for p in published.parameters()) == 138_357_544
    convolutions = sum(p.numel() for p in published.features.parameters())
    assert parameters(table("vgg16:scratch", 8)) == convolutions + 512 * 8 + 8 == 14_718_792


@pytest.mark.parametrize("text", [*NETS, *BACKBONE_NAMES, "probe", "timm:convnext_atto:frozen"])
@pytest.mark.parametrize("every", [False, True])
def test_a_layer_table_adds_up(text: str, every: bool) -> None:
    name = parse_model_name(text)
    rows = describe_model(name, 5, input_spec(name), every=every)
    scratch = parse_model_name(text if not name.is_backbone else f"{name.base}:scratch")
    with torch.device("meta"):
        model = build_model(scratch, 5, input_spec(name))
    assert parameters(rows) == sum(p.numel() for p in model.parameters())
    assert rows[-1].output_shape == (5,) or rows[-1].name == "(other)"
    assert len({row.name for row in rows}) == len(rows)


def test_a_table_leaves_the_network_as_it_was() -> None:
    name = parse_model_name("fastcnn")
    spec = input_spec(name, native_shape=DIGITS)
    model = build_model(name, 10, spec)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layer_table(model, spec)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize("text", list(NETS))
def test_small_nets_run_on_small_digits_and_on_colour(text: str) -> None:
    name = parse_model_name(text)
    for native in [(8, 8, 1), (28, 28, 1), (32, 40, 3), None]:
        spec = input_spec(name, native_shape=native)
        if text == "cnn4" and native:
            continue
        check_input(name, spec)
        photos = torch.zeros(2, spec.channels, spec.height, spec.width)
        assert build_model(name, 3, spec)(photos).shape == (2, 3)


def test_small_photos_are_used_as_they_are() -> None:
    dcnn = parse_model_name("dcnn")
    assert input_spec(dcnn, native_shape=(8, 8, 1)).shape == (8, 8, 1)
    assert input_spec(dcnn, native_shape=(32, 64, 3)).shape == (32, 64, 3)
    assert input_spec(dcnn, native_shape=(65, 65, 1)).shape == (64, 64, 1)
    assert input_spec(dcnn).shape == (64, 64, 3)
    assert input_spec(dcnn, native_shape=DIGITS, image_size=20).shape == (20, 20, 1)
    assert input_spec(parse_model_name("cnn4")).shape == (150, 150, 3)
    assert input_spec(parse_model_name("probe"), native_shape=DIGITS).shape == (224, 224, 3)


def test_the_notebooks_scaling() -> None:
    digits = input_spec(parse_model_name("cnn"), native_shape=DIGITS, recipe="notebook")
    assert (digits.mean, digits.std) == ((0.0,), (1.0,))
    raw = input_spec(parse_model_name("cnn4"), recipe="notebook")
    pixels = torch.full((1, raw.height, raw.width, 3), 200, dtype=torch.uint8)
    seen = FromPixels(nn.Identity(), raw.mean, raw.std)(pixels)
    assert torch.allclose(seen, torch.tensor(200.0))


@pytest.mark.parametrize(("text", "least"), [("cnn4", 46), ("cnn", 4), ("dcnn", 4), ("fastcnn", 8)])
def test_the_least_size_is_exact(text: str, least: int) -> None:
    name = parse_model_name(text)
    spec = input_spec(name, image_size=least)
    assert build_model(name, 8, spec)(torch.zeros(1, 3, least, least)).shape == (1, 8)
    small = input_spec(name, image_size=least - 1)
    with pytest.raises(ModelError, match=f"at least {least}x{least}; give --image-size {least}"):
        build_model(name, 8, small)


@pytest.mark.parametrize(("text", "least"), [("cnn4", 46), ("cnn", 4), ("vgg16", 32)])
def test_below_the_least_size_the_layers_do_not_exist(text: str, least: int) -> None:
    """The stated sizes are the layers' own: one pixel less and torch itself gives up."""
    assert least_size(text) == least
    name = parse_model_name(text if text in NETS else f"{text}:scratch")
    model = build_model(name, 8, input_spec(name, image_size=least))
    features = model[:-5] if isinstance(model, nn.Sequential) else model.backbone.trunk.features
    features(torch.zeros(1, 3, least, least))
    with pytest.raises(RuntimeError, match="Output size is too small"):
        features(torch.zeros(1, 3, least - 1, least - 1))


@pytest.mark.parametrize("text", list(BACKBONES))
def test_a_backbone_too_deep_for_the_photos_is_refused(text: str) -> None:
    name = parse_model_name(text)
    check_input(name, input_spec(name, image_size=32))
    with pytest.raises(ModelError, match=f"{text} is too deep for 31x31 px.*at least 32x32"):
        check_input(name, input_spec(name, image_size=31))


# ---------------------------------------------------------------- building


@pytest.mark.parametrize("base", BACKBONE_NAMES)
def test_every_backbone_gives_features_and_logits(base: str) -> None:
    name = parse_model_name(f"{base}:scratch")
    spec = input_spec(name, image_size=64)
    model = build_model(name, 4, spec).eval()
    assert isinstance(model, BackboneClassifier)
    photos = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert model.backbone(photos).shape == (2, model.backbone.dimension)
        assert model(photos).shape == (2, 4)
    if base in BACKBONES:
        assert model.backbone.dimension == BACKBONES[base].dimension


def test_pretrained_modes_refuse_to_start_from_random_weights() -> None:
    for text in ("mobilenetv2", "mobilenetv2:frozen", "probe"):
        name = parse_model_name(text)
        with pytest.raises(ModelError, match=f"{text} needs pretrained weights"):
            build_model(name, 4, input_spec(name))


@pytest.mark.parametrize(
    ("base", "flattened", "dense"), [("xception", 5 * 5 * 2048, 3), ("vgg16", 4 * 4 * 512, 2)]
)
def test_the_notebooks_head(base: str, flattened: int, dense: int) -> None:
    rows = table(f"{base}:scratch", 8, "notebook", image_size=150)
    head = [row for row in rows if row.name.startswith("head")]
    assert [row.kind for row in head] == ["Linear", "Dropout 0.2"] * dense + ["Linear"]
    assert parameters(head) == (flattened * 32 + 32 + (dense - 1) * (32 * 32 + 32) + 32 * 8 + 8)


def test_keras_initial_weights() -> None:
    name = parse_model_name("dnn")
    spec = input_spec(name, native_shape=DIGITS)
    torch.manual_seed(0)
    first = build_model(name, 10, spec, recipe="notebook")[1]
    limit = (6 / (784 + 400)) ** 0.5
    assert not first.bias.any()
    assert 0.99 * limit < first.weight.abs().max() <= limit
    assert first.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.01)


def test_frozen_layers_rest() -> None:
    name = parse_model_name("efficientnet_lite0:scratch")
    model = build_model(name, 3, input_spec(name, image_size=32))
    assert isinstance(model, BackboneClassifier)
    model.freeze_stages(4)
    trunk = model.backbone.trunk
    model.train()
    assert not trunk.bn1.training
    assert not trunk.blocks[3][0].bn1.training
    assert trunk.blocks[4][0].bn1.training
    frozen = {key: value.clone() for key, value in trunk.blocks[:4].state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    optimiser.step()
    assert all(torch.equal(frozen[k], v) for k, v in trunk.blocks[:4].state_dict().items())
    model.freeze_stages(0)
    assert all(p.requires_grad for p in model.parameters())
    assert trunk.bn1.training
    model.freeze_stages(None)
    trainable = [key for key, p in model.named_parameters() if p.requires_grad]
    assert trainable == ["head.1.weight", "head.1.bias"]


@pytest.mark.parametrize("base", BACKBONE_NAMES)
def test_the_stages_hold_every_parameter_once(base: str) -> None:
    name = parse_model_name(f"{base}:scratch")
    with torch.device("meta"):
        model = build_model(name, 3, input_spec(name))
    assert isinstance(model, BackboneClassifier)
    staged = [id(p) for stage in model.backbone.stages() for m in stage for p in m.parameters()]
    assert len(staged) == len(set(staged))
    # A transformer's class token and position embedding belong to no layer.
    loose = [id(p) for p in model.backbone.trunk.parameters(recurse=False)]
    assert {*staged, *loose} == {id(p) for p in model.backbone.parameters()}


def test_which_networks_have_two_paddings() -> None:
    assert padding_matters("mobilenetv2")
    assert padding_matters("timm:mobilenetv3_large_100.ra_in1k")
    assert not any(map(padding_matters, ["efficientnet_lite0", "xception", "vgg16"]))
    assert not padding_matters("timm:resnet18")


# ---------------------------------------------------------------- ONNX


def test_export_is_quiet_repeatable_and_equal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    name = parse_model_name("fastcnn")
    spec = InputSpec(12, 10, 3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    model = FromPixels(build_model(name, 4, spec), spec.mean, spec.std)
    example = torch.zeros(2, 12, 10, 3, dtype=torch.uint8)
    for file in ("a.onnx", "b.onnx"):
        export_onnx(model, example, tmp_path / file, ["pixels"], ["logits"])
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert model.training
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()

    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert session.get_inputs()[0].shape == ["N", 12, 10, 3]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)
    (logits,) = session.run(None, {"pixels": pixels})
    photos = (torch.from_numpy(pixels) / 255 - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    with torch.no_grad():
        expected = model.network.eval()(photos.permute(0, 3, 1, 2)).numpy()
    assert np.abs(logits - expected).max() < 1e-5


def test_features_are_pooled_or_flattened() -> None:
    name = parse_model_name("mobilenetv2:scratch")
    model = build_model(name, 3, input_spec(name, image_size=64)).eval()
    assert isinstance(model, BackboneClassifier)
    pooled, flat = model.backbone, Backbone(model.backbone.trunk, pooled=False)
    photos = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = flat(photos).reshape(2, 1280, 2, 2)
        assert torch.allclose(pooled(photos), maps.mean((2, 3)), atol=1e-6)
