from __future__ import annotations

import pytest
import torch
from torch import nn

from pegboard.models.quick_layers import quick_layers


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1),
        nn.Flatten(), nn.Linear(8 * 3 * 3, 4), nn.ReLU(),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("levels", [None, 3], ids=["any values", "many ties"])
def test_relu_after_pooling_is_the_same_to_the_last_bit(
    dtype: torch.dtype, levels: int | None
) -> None:
    photos = torch.randn(16, 3, 14, 14, generator=torch.Generator().manual_seed(1))
    if levels:
        photos = (photos * levels).round() / levels
    photos = photos.contiguous(memory_format=torch.channels_last)

    def run(module: nn.Module) -> list[torch.Tensor]:
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            answers = module(photos)
        answers.float().square().sum().backward()
        return [answers, *(parameter.grad for parameter in module.parameters())]

    plain, quick = network(), network()
    if levels:
        for module in (plain, quick):
            nn.init.constant_(module[0].bias, 0.0)
            module[0].weight.data.mul_(4).round_()
    expected = run(plain)
    with quick_layers(quick):
        found = run(quick)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize("p", [0.2, 0.25, 0.5])
@pytest.mark.parametrize("shape", [(64, 400), (7, 3, 5, 5), (32, 64, 14, 14)], ids=str)
def test_dropout_drops_its_share_and_keeps_the_expectation(
    p: float, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Dropout(p).train(), torch.ones(shape)
    if len(shape) == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    inputs.requires_grad_(True)
    with quick_layers(layer):
        outputs = layer(inputs)
    outputs.sum().backward()
    dropped = outputs == 0
    spread = (p * (1 - p) / inputs.numel()) ** 0.5
    assert abs(dropped.float().mean().item() - p) < 5 * spread
    assert torch.allclose(outputs[~dropped], torch.tensor(1 / (1 - p)), rtol=1e-4)
    assert torch.equal(inputs.grad, outputs.detach())
    assert outputs.stride() == inputs.stride()


def test_values_are_dropped_independently_of_their_neighbours() -> None:
    # Four values come from one random number; they must not go together.
    torch.manual_seed(0)
    layer = nn.Dropout(0.25).train()
    with quick_layers(layer):
        kept = (layer(torch.ones(1 << 16)) > 0).double()
    for distance in (1, 2, 3, 4, 8):
        pairs = torch.stack((kept[:-distance], kept[distance:]))
        assert abs(torch.corrcoef(pairs)[0, 1].item()) < 5 / 256


def test_the_seed_decides_what_is_dropped() -> None:
    layer, inputs = nn.Dropout(0.5).train(), torch.ones(1000)
    with quick_layers(layer):
        answers = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            answers.append(layer(inputs))
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_nothing_is_torchs_own(p: float) -> None:
    layer, inputs = nn.Dropout(p).train(), torch.rand(10)
    with quick_layers(layer):
        assert torch.equal(layer(inputs), inputs * (1 - p))


def test_nothing_is_dropped_in_evaluation() -> None:
    layer, inputs = nn.Dropout(0.5).eval(), torch.rand(10)
    with quick_layers(layer):
        assert torch.equal(layer(inputs), inputs)


def test_the_module_is_given_back_as_it_came() -> None:
    module = nn.Sequential(network(), nn.Dropout(0.5))
    before = {name: set(vars(layer)) for name, layer in module.named_modules()}
    with pytest.raises(RuntimeError), quick_layers(module):
        module(torch.randn(2, 4, 14, 14))
    assert {name: set(vars(layer)) for name, layer in module.named_modules()} == before
