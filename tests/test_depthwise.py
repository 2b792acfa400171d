from __future__ import annotations

import pytest
import torch
from torch import nn

from pegboard.models.depthwise import float32_depthwise, is_slow_in_bfloat16


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, stride=2, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 4, 5),
    )


def gradients(module: nn.Module, photos: torch.Tensor) -> list[torch.Tensor]:
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        loss = module(photos).float().square().mean()
    loss.backward()
    return [parameter.grad.clone() for parameter in module.parameters()]


def test_only_large_or_strided_depthwise_layers_are_meant():
    assert [is_slow_in_bfloat16(layer) for layer in network()] == [False, True, True, False, False]
    assert not is_slow_in_bfloat16(nn.Conv2d(1, 1, 5))


def test_gradients_are_those_of_bfloat16_up_to_its_rounding():
    module, photos = network(), torch.randn(4, 3, 16, 16)
    plain = gradients(module, photos)
    exact = network()
    exact(photos).square().mean().backward()
    with float32_depthwise(module):
        fast = gradients(module, photos)
    for ours, theirs, parameter in zip(fast, plain, exact.parameters(), strict=True):
        scale = parameter.grad.abs().max()
        assert (ours - parameter.grad).abs().max() <= 0.05 * scale
        assert (ours - theirs).abs().max() <= 0.1 * scale


def test_depthwise_layers_are_more_exact_than_in_bfloat16():
    torch.manual_seed(1)
    layer = nn.Conv2d(32, 32, 5, padding=2, groups=32, bias=False)
    photos = torch.randn(64, 32, 12, 12).bfloat16()
    layer(photos.float()).sum().backward()
    exact = layer.weight.grad.clone()
    layer.zero_grad()
    with float32_depthwise(layer), torch.autocast("cpu", torch.bfloat16):
        layer(photos).sum().backward()
    assert (layer.weight.grad - exact).abs().max() <= 1e-3 * exact.abs().max()


@pytest.mark.parametrize("how", ["evaluation", "float32", "frozen"])
def test_everything_else_is_as_it_was(how: str):
    module, photos = network().eval(), torch.randn(2, 3, 16, 16)
    module[1].requires_grad_(how != "frozen")
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=how != "float32")
    with torch.set_grad_enabled(how == "frozen"), autocast:
        before = module[1](module[0](photos))
        with float32_depthwise(module):
            during = module[1](module[0](photos))
    assert before.dtype == during.dtype
    assert torch.equal(before, during)


def test_the_module_is_given_back_as_it_came():
    module = network()
    before = {name: set(vars(layer)) for name, layer in module.named_modules()}
    with pytest.raises(RuntimeError), float32_depthwise(module):
        module(torch.randn(2, 4, 16, 16))
    assert {name: set(vars(layer)) for name, layer in module.named_modules()} == before
