import copy

import pytest
import torch
from tiny_study import tiny_architecture
from torch import nn

from modules.architecture.module import build_module
from modules.training.dropout import set_dropout

IMAGES = torch.rand(16, 1, 8, 8)


def network_of(dropout: float) -> nn.Module:
    torch.manual_seed(0)
    return build_module(tiny_architecture(dropout=dropout))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_nothing_is_dropped_but_while_training(dropout):
    network = network_of(dropout).eval()
    expected = network(IMAGES)
    set_dropout(network, 0.9)
    torch.testing.assert_close(network(IMAGES), expected)
    network.train()
    assert not torch.allclose(network(IMAGES), network(IMAGES))


def test_the_rate_is_the_recipes():
    network = network_of(0.3)
    set_dropout(network, None)
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.3]
    set_dropout(network, 0.6)
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.6]


def test_a_network_without_dropout_drops_what_its_last_layer_gets():
    network = nn.Sequential(nn.Identity(), nn.Linear(1000, 1, bias=False))
    nn.init.ones_(network[1].weight)
    set_dropout(network, 0.25)
    torch.manual_seed(0)
    kept = copy.deepcopy(network).train()(torch.ones(64, 1000)).detach() / 1000  # a copy drops as well; the mean stays
    assert kept.std() > 0
    assert kept.mean() == pytest.approx(1.0, abs=0.02)
