"""A moving average of the weights, which answers better than the weights of the last step.

Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; as an
exponential moving average in Tarvainen and Valpola 2017, arXiv:1703.01780.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def copy_weights(module: nn.Module) -> Weights:
    """Return a copy of all weights and buffers."""
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


@torch.no_grad()
def update_average(average: Weights, module: nn.Module, decay: float, steps: int) -> None:
    """Move the average towards the module's weights, in place.

    Parameters
    ----------
    decay
        What remains of the average after a step: .98 remembers about the last 50 steps.
    steps
        Steps made so far. The first ones weigh more, so that the average soon leaves the
        random or pretrained weights it began with.
    """
    now = module.state_dict()
    moving = [key for key, value in now.items() if value.is_floating_point()]
    remains = min(decay, (1 + steps) / (10 + steps))
    torch._foreach_lerp_(
        [average[key] for key in moving], [now[key] for key in moving], 1 - remains
    )
    for key in now.keys() - set(moving):
        average[key].copy_(now[key])


@contextmanager
def weights_of(module: nn.Module, weights: Weights | None) -> Iterator[None]:
    """Let the module answer with other weights for a while; None for its own."""
    if weights is None:
        yield
        return
    own = copy_weights(module)
    module.load_state_dict(weights)
    try:
        yield
    finally:
        module.load_state_dict(own)
