"""From a model's name to a network ready to train."""

from __future__ import annotations

from torch import nn

from pegboard.errors import ModelError
from pegboard.inputs import InputSpec
from pegboard.models.backbones import BackboneClassifier, build_backbone, build_head, map_size
from pegboard.models.nets import build_net, glorot_
from pegboard.models.registry import ModelName, check_input
from pegboard.models.weights import ResolvedWeights


def build_model(
    name: ModelName,
    classes: int,
    spec: InputSpec,
    weights: ResolvedWeights | None = None,
    *,
    recipe: str = "default",
) -> nn.Module:
    """Return the network of a name: normalised float NCHW in, logits ``(N, classes)`` out.

    Parameters
    ----------
    weights
        Of the backbone; needed for every backbone that is not ``:scratch``.
    recipe
        ``notebook``: Keras' initial weights, and the notebooks' head on the flattened map.

    Returns
    -------
    A ``nn.Sequential`` for small nets, else a
    :class:`~pegboard.models.backbones.BackboneClassifier`; with ``frozen`` and ``probe``, its
    backbone is frozen. A probe is a backbone with a single linear layer, as logistic
    regression gives its coefficients.

    Raises
    ------
    ModelError
        When the input is too small, or the weights are missing or do not fit.
    """
    check_input(name, spec)
    if not name.is_backbone:
        net = build_net(name.base, classes, spec)
        if recipe == "notebook":
            glorot_(net)
        return net
    if name.needs_weights and weights is None:
        raise ModelError(f"{name.typed} needs pretrained weights, and none were given")
    return _classifier(name, classes, spec, weights if name.needs_weights else None, recipe)


def _classifier(
    name: ModelName, classes: int, spec: InputSpec, weights: ResolvedWeights | None, recipe: str
) -> BackboneClassifier:
    # A probe is the same in every recipe: it stands on pooled features.
    flattened = recipe == "notebook" and name.mode != "probe"
    backbone = build_backbone(
        name.base, image_size=spec.height, weights=weights, pooled=not flattened
    )
    dimension = map_size(backbone, spec.height, spec.width) if flattened else backbone.dimension
    backbone.dimension = dimension
    if name.mode == "probe":
        head: nn.Module = nn.Linear(dimension, classes)
    else:
        head = build_head(name.base, dimension, classes, recipe=recipe)
    model = BackboneClassifier(backbone, head)
    if name.mode in ("probe", "frozen"):
        model.freeze_stages(None)
    return model
