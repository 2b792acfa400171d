"""Pretrained networks of timm as backbones: photos in, one feature vector each out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pegboard.errors import ModelError, require_extra
from pegboard.models.nets import glorot_
from pegboard.models.registry import architecture
from pegboard.models.weights import Padding, ResolvedWeights

HEAD_DROPOUT = 0.2
NOTEBOOK_UNITS = 32
NOTEBOOK_DROPOUT = 0.2


class Backbone(nn.Module):
    """A timm network without its classifier.

    Attributes
    ----------
    trunk
        timm's network.
    pooled
        True: global average pooling, ``(N, D)``. False: the whole last feature map, flattened.
    dimension
        D, the features per photo.

    Notes
    -----
    VGG16 here ends with its last convolution: the two dense layers of 4,096 that timm keeps
    between features and classifier are dropped, so D is 512 and any input of 32 px or more fits.
    """

    def __init__(self, trunk: nn.Module, *, pooled: bool = True) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooled = pooled
        self.dimension = int(trunk.num_features)  # type: ignore[arg-type]

    def forward(self, photos: Tensor) -> Tensor:
        """Return features ``(N, D)`` of normalised photos ``(N, 3, H, W)``."""
        if self.pooled:
            features: Tensor = self.trunk(photos)
            return features
        return torch.flatten(self.trunk.forward_features(photos), 1)  # type: ignore[operator]

    def stages(self) -> list[list[nn.Module]]:
        """Return the layers with parameters in groups from input to output, the stem first.

        A stage is a group of blocks of one resolution in the EfficientNet family (``blocks.N``),
        a block in Xception, the convolutions between two pools in VGG16, and timm's own coarse
        grouping elsewhere. Layers after the last block belong to the last group.
        """
        modules = dict(self.trunk.named_modules())
        return [[modules[name] for name in names] for names in _stage_names(self.trunk)]


def _timm() -> Any:
    """Return timm: two seconds to import, which networks of one's own do without."""
    return require_extra("timm", "train")


def _is_vgg(trunk: nn.Module) -> bool:
    return isinstance(trunk, _timm().models.VGG)


def _stage_names(trunk: nn.Module) -> list[list[str]]:
    if _is_vgg(trunk):
        return _vgg_stages(trunk)
    matcher = trunk.group_matcher(coarse=True)  # type: ignore[operator]
    groups: dict[int, list[str]] = _timm().models.group_modules(trunk, matcher)
    return [groups[index] for index in sorted(groups)]


def _vgg_stages(trunk: Any) -> list[list[str]]:
    stages: list[list[str]] = [[], []]  # no stem: freezing one stage freezes the first two layers
    for name, layer in trunk.features.named_children():
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
        elif any(True for _ in layer.parameters()):
            stages[-1].append(f"features.{name}")
    return [stages[0], *(stage for stage in stages if stage)]


class BackboneClassifier(nn.Module):
    """A backbone and a head: normalised photos ``(N, 3, H, W)`` to logits ``(N, classes)``.

    Attributes
    ----------
    backbone
        To features ``(N, D)``.
    head
        From features to logits.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self._resting: list[nn.Module] = []

    def forward(self, photos: Tensor) -> Tensor:
        """Return logits ``(N, classes)``."""
        logits: Tensor = self.head(self.backbone(photos))
        return logits

    def freeze_stages(self, count: int | None) -> None:
        """Freeze the stem and the first ``count`` stages, and free everything else.

        ``None`` freezes the whole backbone, 0 nothing. A frozen layer keeps its weights and its
        batch norm statistics: it stays in evaluation mode while the rest trains.
        """
        self._resting = self._to_freeze(count)
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        for module in self._resting:
            module.requires_grad_(False)
        self.train(self.training)

    def _to_freeze(self, count: int | None) -> list[nn.Module]:
        if count is None:
            return [self.backbone]
        if count == 0:
            return []
        return [module for stage in self.backbone.stages()[: count + 1] for module in stage]

    def train(self, mode: bool = True) -> BackboneClassifier:
        """Set training mode everywhere but in frozen layers."""
        super().train(mode)
        for module in self._resting:
            module.eval()
        return self


def build_backbone(
    base: str,
    *,
    image_size: int | None = None,
    weights: ResolvedWeights | None = None,
    pooled: bool = True,
) -> Backbone:
    """Return a backbone with its pretrained weights, or random ones where ``weights`` is None.

    Parameters
    ----------
    image_size
        Needed by networks that are built for one size (vision transformers); others ignore it.

    Raises
    ------
    ModelError
        When the weights do not fit the network, or the network the image size.
    """
    trunk = _trunk(base, image_size, weights.padding if weights else "default")
    if weights is not None:
        _load(trunk, weights)
    return Backbone(trunk, pooled=pooled)


def _trunk(base: str, image_size: int | None, padding: Padding) -> nn.Module:
    name = architecture(base)
    options: dict[str, Any] = {"num_classes": 0}
    if padding == "same":
        options["pad_type"] = "same"
    timm = _timm()
    config = timm.get_pretrained_cfg(name)
    if image_size and config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    try:
        trunk: nn.Module = timm.create_model(name, pretrained=False, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ModelError(f"timm cannot build {name} with {options}: {error}") from error
    if _is_vgg(trunk):
        trunk.pre_logits = nn.Identity()
    return trunk


def padding_matters(base: str) -> bool:
    """Return whether a network has two paddings that no weight file tells apart.

    TensorFlow pads strided convolutions on the right and bottom only, PyTorch on all sides. The
    parameters' shapes agree, so the wrong choice loads without complaint and gives wrong
    features. timm's names that begin with ``tf_`` have TensorFlow's padding built in.
    """
    name = architecture(base)
    family = _timm().models.model_entrypoint(name).__module__.rpartition(".")[2]
    return family in ("efficientnet", "mobilenetv3") and not name.startswith("tf_")


def _load(trunk: nn.Module, weights: ResolvedWeights) -> None:
    """Fill a network with weights and say exactly what does not fit."""
    tensors = _read(trunk, weights)
    expected = trunk.state_dict()
    _refuse_misfits(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        {name: tuple(tensor.shape) for name, tensor in expected.items()},
        weights,
        _classifier_prefixes(trunk),
    )
    fitting = {name: tensor for name, tensor in tensors.items() if name in expected}
    trunk.load_state_dict(fitting, strict=False)


def _read(trunk: nn.Module, weights: ResolvedWeights) -> dict[str, Tensor]:
    if weights.path is None:
        raise ModelError(f"the weights of {weights.base} are not here: {weights.source}")
    if weights.kind == "package":
        return _read_package(trunk, weights)
    from safetensors.torch import load_file  # noqa: PLC0415

    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(weights.path).items()
    }


def _read_package(trunk: nn.Module, weights: ResolvedWeights) -> dict[str, Tensor]:
    """Return the package's tensors under timm's names: the two list them in the same order."""
    tensors = torch.load(str(weights.path), map_location="cpu", weights_only=True)
    names = [*trunk.state_dict(), "classifier.weight", "classifier.bias"]
    if len(names) != len(tensors):
        raise ModelError(f"{weights.source}: expected {len(names)} tensors, found {len(tensors)}")
    return dict(zip(names, tensors.values(), strict=True))


def check_weights(weights: ResolvedWeights, shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse weights whose names or shapes differ from their network's; reads no tensor.

    Raises
    ------
    ModelError
        With the first differences.
    """
    with torch.device("meta"):
        trunk = _trunk(weights.base, None, weights.padding)
    _refuse_misfits(
        {name: tuple(shape) for name, shape in shapes.items()},
        {name: tuple(tensor.shape) for name, tensor in trunk.state_dict().items()},
        weights,
        _classifier_prefixes(trunk),
    )


def _classifier_prefixes(trunk: nn.Module) -> tuple[str, ...]:
    named = trunk.pretrained_cfg.get("classifier", ())  # type: ignore[union-attr,operator]
    names = (named,) if isinstance(named, str) else tuple(named or ())
    dropped = ("pre_logits.",) if _is_vgg(trunk) else ()
    return tuple(f"{name}." for name in names) + dropped


def _refuse_misfits(
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    weights: ResolvedWeights,
    classifier: tuple[str, ...],
) -> None:
    def counts(name: str) -> bool:
        # A classifier may be there or not; batch counts are not used for inference.
        return not name.startswith(classifier) and not name.endswith("num_batches_tracked")

    missing = [name for name in expected if counts(name) and name not in found]
    extra = [name for name in found if counts(name) and name not in expected]
    shapes = [
        f"{name} {list(found[name])} instead of {list(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    differences = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unknown", extra), ("of wrong shape", shapes))
        if names
    ]
    if differences:
        raise ModelError(
            f"{weights.source} does not fit {architecture(weights.base)}; expected the parameter "
            f"names and shapes of timm, found {'; '.join(differences)}"
        )


def build_head(base: str, dimension: int, classes: int, *, recipe: str = "default") -> nn.Module:
    """Return the layers from features ``(N, dimension)`` to logits ``(N, classes)``.

    By default dropout and one linear layer. The notebooks' head has three linear layers of 32,
    each with dropout .2 (two for VGG16), and no activation between them, so it is a linear map of
    rank 32 or less.
    """
    if recipe != "notebook":
        return nn.Sequential(nn.Dropout(HEAD_DROPOUT), nn.Linear(dimension, classes))
    layers: list[nn.Module] = []
    for _ in range(2 if base == "vgg16" else 3):
        layers += [nn.Linear(dimension, NOTEBOOK_UNITS), nn.Dropout(NOTEBOOK_DROPOUT)]
        dimension = NOTEBOOK_UNITS
    head = nn.Sequential(*layers, nn.Linear(dimension, classes))
    glorot_(head)
    return head


def map_size(backbone: Backbone, height: int, width: int) -> int:
    """Return the number of values in the last feature map of one photo."""
    training = backbone.training
    device = next(backbone.parameters()).device
    with torch.no_grad():
        backbone.eval()
        features = backbone.trunk.forward_features(  # type: ignore[operator]
            torch.zeros(1, 3, height, width, device=device)
        )
    backbone.train(training)
    return int(features.numel())
