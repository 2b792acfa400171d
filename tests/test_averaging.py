from __future__ import annotations

import pytest
import torch
from torch import nn

from pegboard.averaging import copy_weights, update_average, weights_of


def norm() -> nn.BatchNorm1d:
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(3)
    nn.init.normal_(layer.weight)
    return layer


@pytest.mark.parametrize("decay", [0.5, 0.98])
def test_it_is_the_exponential_moving_average(decay: float):
    layer = norm()
    average = copy_weights(layer)
    expected = layer.weight.detach().clone()
    for step in range(1, 40):
        with torch.no_grad():
            layer.weight.add_(torch.randn(3))
        update_average(average, layer, decay, step)
        remains = min(decay, (1 + step) / (10 + step))
        expected = remains * expected + (1 - remains) * layer.weight.detach()
    torch.testing.assert_close(average["weight"], expected)


def test_counts_are_taken_over_and_statistics_averaged():
    layer = norm()
    average = copy_weights(layer)
    layer(torch.randn(8, 3) + 5)
    update_average(average, layer, 0.5, 1000)
    assert average["num_batches_tracked"] == 1
    torch.testing.assert_close(average["running_mean"], layer.running_mean / 2)


def test_a_copy_does_not_change_with_the_module():
    layer = norm()
    copy = copy_weights(layer)
    before = copy["weight"].clone()
    nn.init.zeros_(layer.weight)
    assert torch.equal(copy["weight"], before)


def test_other_weights_answer_for_a_while_only():
    layer = norm().eval()
    other = {key: value + 1 for key, value in copy_weights(layer).items()}
    photos = torch.randn(4, 3)
    own = layer(photos)
    with weights_of(layer, other):
        assert not torch.equal(layer(photos), own)
    assert torch.equal(layer(photos), own)
    with pytest.raises(RuntimeError), weights_of(layer, other):
        layer(torch.randn(4, 2))
    assert torch.equal(layer(photos), own)
    with weights_of(layer, None):
        assert torch.equal(layer(photos), own)
