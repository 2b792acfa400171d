"""Answers from several views of a photo: test-time augmentation inside the network.

Krizhevsky et al. 2012 averaged the answers to ten crops of a photo. Here the views are made of the
photo that the network is given, so an exported file makes them itself, and answers everywhere as
it did when its figures were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pegboard.errors import ModelError
from pegboard.recipes import AnswerView


def answer_from_views(module: nn.Module, views: Sequence[AnswerView]) -> nn.Module:
    """Let a trained classifier answer from a photo and further views of it.

    What the last linear layer is given is averaged over the photo and its views; as that layer is
    linear, so are the logits. A photo takes ``1 + len(views)`` times as long.

    Parameters
    ----------
    module
        Normalised float ``(N, C, H, W)`` in, logits ``(N, classes)`` out; changed in place. Its
        parameters and their names stay as they are.
    views
        None: the module stays as it is.

    Returns
    -------
    The module itself.

    Raises
    ------
    ModelError
        When the module has no linear layer to average before.
    """
    if not views:
        return module
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise ModelError("a network without a linear layer cannot answer from several views")
    width = linear[-1].in_features

    def spread(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
        (photos,) = inputs
        return (torch.cat([photos, *(seen(photos, view) for view in views)]),)

    def gather(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
        (features,) = inputs
        return (features.reshape(1 + len(views), -1, width).mean(0),)

    # Hooks, so that the module keeps its type and the names of its weights.
    module.register_forward_pre_hook(spread)
    linear[-1].register_forward_pre_hook(gather)
    return module


def seen(photos: Tensor, view: AnswerView) -> Tensor:
    """Return one view of each photo, ``(N, C, H, W)`` as they are."""
    # Plain numbers: an exported network keeps its sides, and a trace would make tensors of them.
    height, width = (int(side) for side in photos.shape[2:])
    if view.mirror:
        photos = photos.flip(3)
    if view.zoom == 1:
        return photos
    top, left = (round(side * (1 - 1 / view.zoom) / 2) for side in (height, width))
    middle = photos[:, :, top : height - top, left : width - left]
    return functional.interpolate(middle, (height, width), mode="bilinear", align_corners=False)
