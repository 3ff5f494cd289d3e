"""The summary says what the network is, whatever the config."""

import pytest
from torch import nn

from trading_pipeline.core.model.config import PRESETS, ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.summary import summary_of


def by_name(config):
    return {box.name: box for box in summary_of(config).boxes}


def test_the_full_network_is_the_one_that_was_asked_for():
    """512 hidden in two layers beside 256 wide, three layers, on 60 bars of 60 features."""
    boxes = by_name(ModelConfig.preset("full"))
    assert boxes["xLSTM encoder"].takes == ((2, 60, 60),)
    assert boxes["xLSTM encoder"].gives == ((2, 60, 512),)
    assert {"sLSTM block 1", "sLSTM block 2"} <= boxes.keys()
    assert boxes["Transformer encoder"].gives == ((2, 60, 256),)
    assert {f"attention block {n}" for n in (1, 2, 3)} <= boxes.keys()
    assert boxes["fusion: attention over branches"].takes == ((2, 60, 512), (2, 60, 256))
    assert boxes["temporal fusion: attention over bars"].gives == ((2, 1, 256), (2, 16, 1, 60))
    answers = ((2,), (2, 3), (2,), (2,), (2,))
    assert boxes["multi-task heads"].gives == answers


@pytest.mark.parametrize("preset", PRESETS)
def test_no_weight_is_left_out_or_counted_twice(preset):
    summary = summary_of(ModelConfig.preset(preset))
    boxes = [box for box in summary.boxes if box.depth == 0]
    network = TradingNetwork(ModelConfig.preset(preset))
    assert summary.parameters == sum(each.numel() for each in network.parameters())
    assert sum(box.parameters for box in boxes) == summary.parameters


def test_a_linear_layer_counts_its_weights_and_biases():
    boxes = by_name(ModelConfig.preset("tiny"))
    layer = nn.Linear(60, 32)
    assert boxes["input projection"].parameters == layer.weight.numel() + layer.bias.numel()


def test_a_network_without_the_position_state_has_no_such_box():
    assert "position state" not in by_name(ModelConfig.preset("tiny", position_state=False))
