"""The models' names, and what each one takes as input.

A name is ``BASE`` or ``BASE:MODE``: a small net (``dcnn``), a pretrained backbone
(``mobilenetv2:frozen``), a linear probe on a backbone's features (``probe``,
``probe:xception``), or any backbone of timm (``timm:resnet18.a1_in1k:frozen``).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pegboard.errors import ModelError, require_extra
from pegboard.inputs import InputSpec

Mode = Literal["net", "probe", "frozen", "finetune", "scratch"]
BACKBONE_MODES: tuple[Mode, ...] = ("frozen", "finetune", "scratch")

TIMM_PREFIX = "timm:"
PROBE_DEFAULT = "efficientnet_lite0"


@dataclass(frozen=True)
class ModelName:
    """One model of a run.

    Attributes
    ----------
    typed
        As the user wrote it; used in tables and JSON.
    base
        The network: ``dcnn``, ``mobilenetv2``, ``timm:resnet18.a1_in1k``; for probes the backbone
        whose features they stand on.
    mode
        ``net`` for the small nets; ``finetune`` is what a bare backbone means.
    slug
        The name in file names, with ``:`` and ``/`` as ``-``.
    """

    typed: str
    base: str
    mode: Mode
    slug: str

    @property
    def is_backbone(self) -> bool:
        """Whether the network is a backbone (pretrained, or from scratch)."""
        return self.mode != "net"

    @property
    def needs_weights(self) -> bool:
        """Whether pretrained weights must be found before anything is trained."""
        return self.mode in ("probe", "frozen", "finetune")


@dataclass(frozen=True)
class NetInfo:
    """A small net: what it is, the least input side and the side used for large photos."""

    summary: str
    least_size: int
    photo_size: int = 64


@dataclass(frozen=True)
class BackboneInfo:
    """A backbone with a name of its own.

    Attributes
    ----------
    architecture
        timm's name of the network.
    image_size
        Default side in pixels; where it differs from ``trained_size`` it was chosen for speed.
    tuned_size
        Default side where the backbone is trained too.
    trained_size
        The side the published ImageNet weights were trained with.
    least_size
        The least side: below it the last feature map is no longer the size of one full cell, or
        the network cannot be run at all.
    dimension
        Features per photo after global average pooling.
    """

    summary: str
    architecture: str
    image_size: int
    tuned_size: int
    trained_size: int
    least_size: int
    dimension: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

NETS: dict[str, NetInfo] = {
    "lm": NetInfo("linear model on the pixels", 1),
    "nn": NetInfo("one hidden layer of 400", 1),
    "dnn": NetInfo("hidden layers of 400 and 100", 1),
    "dnnd": NetInfo("dnn with dropout .25", 1),
    "cnn": NetInfo("convolutions of 64 and 32, dense 400", 4),
    "dcnn": NetInfo("convolutions of 64, 64, 32 and 32, dense 400", 4),
    "cnn4": NetInfo("valid convolutions of 32, 64, 128 and 128, dense 64", 46, 150),
    "fastcnn": NetInfo("strided convolutions with batch norm: most accuracy per second", 8),
}

BACKBONES: dict[str, BackboneInfo] = {
    "efficientnet_lite0": BackboneInfo(
        "EfficientNet-Lite0 (Google 2020): quick on CPUs; weights come with its package",
        "tf_efficientnet_lite0",
        224,
        # Of photos of tools, 1.4 points more of macro-F1 than at 224 (docs/models.md).
        288,
        224,
        32,
        1280,
        HALF,
        HALF,
    ),
    "efficientnet_lite2": BackboneInfo(
        "EfficientNet-Lite2 (Google 2020): better than Lite0 in twice its time; weights come with "
        "its package",
        "tf_efficientnet_lite2",
        260,
        # A step takes three quarters of its time at 260: 240 is sixteen times a whole number.
        240,
        260,
        32,
        1280,
        HALF,
        HALF,
    ),
    "mobilenetv2": BackboneInfo(
        "MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): the smallest",
        "mobilenetv2_100",
        224,
        224,
        224,
        32,
        1280,
        IMAGENET_MEAN,
        IMAGENET_STD,
    ),
    "xception": BackboneInfo(
        "Xception (Chollet 2017, arXiv:1610.02357): slow on CPUs",
        "legacy_xception",
        # 299 px are 1.8 times the pixels, and so the time, of 224.
        224,
        224,
        299,
        32,
        2048,
        HALF,
        HALF,
    ),
    "vgg16": BackboneInfo(
        "VGG16 (Simonyan and Zisserman 2014, arXiv:1409.1556): convolutions only, without its "
        "two dense layers of 4,096",
        "vgg16",
        224,
        224,
        224,
        32,
        512,
        IMAGENET_MEAN,
        IMAGENET_STD,
    ),
}

SMALL_SIDE = 64
"""Photos that all have one size up to this side are used as they are by the small nets."""

NOTEBOOK_SIDE = 150
"""The tools notebook stretched its photos to this side for every backbone."""

TIMM_LEAST_SIZE = 32
"""Most of timm's networks shrink a photo 32 times; smaller input has no full cell left."""


def known_models() -> dict[str, str]:
    """Return every name to type, with one line on what it is (``timm:NAME`` as a pattern)."""
    names = {name: info.summary for name, info in NETS.items()}
    for name, info in BACKBONES.items():
        names[name] = info.summary + f" (also {', '.join(f':{mode}' for mode in BACKBONE_MODES)})"
    names["probe"] = "logistic regression on EfficientNet-Lite0 features (also probe:BACKBONE)"
    names["timm:NAME"] = "any backbone of timm (also " + (
        ", ".join(f":{mode}" for mode in BACKBONE_MODES) + ")"
    )
    return names


def parse_model_name(text: str) -> ModelName:
    """Return the model that a name means.

    A name of timm's is taken as it stands; :func:`check_architecture` looks it up.

    Raises
    ------
    ModelError
        When there is no such model; the nearest names are given.
    """
    typed = text.strip()
    base, mode = _base_and_mode(typed)
    return ModelName(typed, base, mode, typed.replace(":", "-").replace("/", "-"))


def _base_and_mode(typed: str) -> tuple[str, Mode]:
    head, _, rest = typed.partition(":")
    if typed in NETS:
        return typed, "net"
    if head == "probe" and (rest or typed == "probe"):
        backbone = parse_model_name(rest or PROBE_DEFAULT)
        if not backbone.is_backbone or backbone.typed != backbone.base:
            raise ModelError(
                f"probe: expected a backbone without a mode, found {rest!r}; "
                f"use probe:{{{','.join(BACKBONES)}}} or probe:timm:NAME"
            )
        return backbone.base, "probe"
    if head == "timm" and rest:
        name, mode = _split_mode(rest, timm_name=True)
        return TIMM_PREFIX + name, mode
    name, mode = _split_mode(typed)
    if name in BACKBONES:
        return name, mode
    raise _unknown(typed)


def _split_mode(text: str, *, timm_name: bool = False) -> tuple[str, Mode]:
    name, colon, mode = text.rpartition(":")
    if not colon:
        return text, "finetune"
    for known in BACKBONE_MODES:
        if mode == known and name:
            return name, known
    # An unknown mode of a known backbone is told apart from an unknown name.
    if name in BACKBONES or timm_name:
        raise ModelError(
            f"{name} has no mode {mode!r}; expected one of "
            f"{', '.join(f'{name}:{known}' for known in BACKBONE_MODES)}"
        )
    raise _unknown(text)


def _unknown(typed: str) -> ModelError:
    names = [*NETS, *BACKBONES, "probe"]
    near = difflib.get_close_matches(typed.lower().partition(":")[0], names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? Known" if near else "known"
    return ModelError(
        f"there is no model {typed!r}; {hint} are {', '.join(names)} and timm:NAME "
        f"(backbones also with :{', :'.join(BACKBONE_MODES)})"
    )


def parse_model_names(text: str) -> list[ModelName]:
    """Return the models of a comma-separated list, in order.

    Raises
    ------
    ModelError
        When a name is unknown, a model is named twice (``mobilenetv2`` and
        ``mobilenetv2:finetune`` are one), or the list is empty.
    """
    names = [parse_model_name(part) for part in text.split(",") if part.strip()]
    if not names:
        raise ModelError(f"expected model names separated by commas, found {text!r}")
    first: dict[tuple[str, Mode], ModelName] = {}
    slugs: dict[str, ModelName] = {}
    for name in names:
        twin = first.setdefault((name.base, name.mode), name)
        twin = slugs.setdefault(name.slug, name) if twin is name else twin
        if twin is not name:
            what = (
                f"{name.typed} is listed twice"
                if twin.typed == name.typed
                else f"{twin.typed} and {name.typed} are the same model"
            )
            raise ModelError(f"expected each model once; {what}")
    return names


def input_spec(
    name: ModelName,
    *,
    native_shape: tuple[int, int, int] | None = None,
    image_size: int | None = None,
    recipe: str = "default",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> InputSpec:
    """Return the input of a model on given data.

    Parameters
    ----------
    native_shape
        ``(height, width, channels)`` where all photos share it, else None. Small nets use photos
        of up to 64 px as they are; larger or differing ones are brought to 64 px (``cnn4``:
        150 px).
    image_size
        The user's side in pixels; wins over everything.
    recipe
        ``notebook`` gives backbones 150 px, and the small nets the references' scaling:
        pixels / 255 for the digits' nets, raw 0-255 for ``cnn4``.
    mean, std
        Of the weights in use (:class:`~pegboard.models.weights.ResolvedWeights`), where they
        differ from the backbone's usual ones.

    Returns
    -------
    The specification with the default fit; the caller chooses the fit.

    Raises
    ------
    ModelError
        When timm has no such backbone.
    """
    if not name.is_backbone:
        return _net_spec(name.base, native_shape, image_size, recipe)
    size, own_mean, own_std = _backbone_input(name)
    if recipe == "notebook" and name.mode != "probe":
        size = NOTEBOOK_SIDE
    side = image_size or size
    return InputSpec(
        side,
        side,
        3,
        mean=tuple(mean or own_mean),
        std=tuple(std or own_std),
    )


def _net_spec(
    base: str, native: tuple[int, int, int] | None, image_size: int | None, recipe: str
) -> InputSpec:
    small = native is not None and max(native[:2]) <= SMALL_SIDE
    if image_size:
        height = width = image_size
    elif native is not None and small:
        height, width = native[:2]
    else:
        height = width = NETS[base].photo_size
    channels = native[2] if native is not None else 3
    mean, std = _net_scaling(base, recipe)
    return InputSpec(height, width, channels, mean=(mean,) * channels, std=(std,) * channels)


def _net_scaling(base: str, recipe: str) -> tuple[float, float]:
    if recipe != "notebook":
        return 0.5, 0.5
    # Dividing by a deviation of 1/255 undoes the scaling to [0, 1]: cnn4 saw raw pixels.
    return (0.0, 1 / 255) if base == "cnn4" else (0.0, 1.0)


def _backbone_input(name: ModelName) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    if name.base in BACKBONES:
        info = BACKBONES[name.base]
        size = info.tuned_size if name.mode == "finetune" else info.image_size
        return size, info.mean, info.std
    config = timm_config(name.base.removeprefix(TIMM_PREFIX))
    return int(config.input_size[-1]), tuple(config.mean), tuple(config.std)


def least_size(base: str) -> int:
    """Return the least side of the input, in pixels, that a network can be built for."""
    if base in NETS:
        return NETS[base].least_size
    return BACKBONES[base].least_size if base in BACKBONES else TIMM_LEAST_SIZE


def check_input(name: ModelName, spec: InputSpec) -> None:
    """Refuse an input that is too small for the network.

    Raises
    ------
    ModelError
        With the least size.
    """
    least = least_size(name.base)
    if min(spec.height, spec.width) >= least:
        return
    raise ModelError(
        f"{name.typed} is too deep for {spec.width}x{spec.height} px: it needs at least "
        f"{least}x{least}; give --image-size {least} or more, or choose another model"
    )


def architecture(base: str) -> str:
    """Return timm's name of a backbone's network, without a tag of its weights."""
    if base in BACKBONES:
        return BACKBONES[base].architecture
    return base.removeprefix(TIMM_PREFIX).partition(".")[0]


def check_architecture(base: str) -> None:
    """Refuse a ``timm:`` name that timm does not know; needs the extra ``train``.

    Raises
    ------
    ModelError
        With close matches.
    MissingExtra
        When timm is not installed.
    """
    if base.startswith(TIMM_PREFIX):
        timm_config(base.removeprefix(TIMM_PREFIX))


def timm_config(name: str) -> Any:
    """Return timm's ``PretrainedCfg`` of a name with or without tag.

    Raises
    ------
    ModelError
        When timm has no such network or no such weights of it; with close matches.
    MissingExtra
        When timm is not installed.
    """
    timm = require_extra("timm", "train")
    plain, _, tag = name.partition(".")
    if not timm.is_model(plain):
        near = difflib.get_close_matches(plain, timm.list_models(), n=4, cutoff=0.5)
        raise ModelError(
            f"timm has no network {plain!r}; "
            + (f"did you mean {', '.join(TIMM_PREFIX + n for n in near)}? " if near else "")
            + "timm.list_models() lists all names"
        )
    known = [full.partition(".")[2] for full in timm.list_pretrained(f"{plain}.*")]
    if tag and tag not in known:
        raise ModelError(
            f"timm has no weights {name!r}; expected "
            + (", ".join(f"{TIMM_PREFIX}{plain}.{t}" for t in known) or f"{TIMM_PREFIX}{plain}")
        )
    # Networks without published weights have no configuration: timm's defaults hold.
    return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
