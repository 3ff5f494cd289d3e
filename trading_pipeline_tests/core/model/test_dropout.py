"""A channel is silent for the whole window or not at all."""

import torch

from trading_pipeline.core.model.dropout import WindowDropout


def test_a_channel_is_silent_at_every_bar_or_at_none():
    torch.manual_seed(0)
    kept = WindowDropout(0.25)(torch.ones(200, 7, 50))
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    torch.testing.assert_close(kept.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert abs((kept == 0).float().mean().item() - 0.25) < 0.02


def test_predictions_are_not_dropped():
    x = torch.randn(3, 7, 5)
    assert torch.equal(WindowDropout(0.9).eval()(x), x)
    assert torch.equal(WindowDropout(0.0)(x), x)
