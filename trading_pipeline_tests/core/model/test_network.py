"""The whole network: shapes, ranges, causality, independence, reproducibility."""

from dataclasses import replace

import pytest
import torch

from trading_pipeline.core.model.config import PRESETS, ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import N_BOOK, NotionalBook, advance

TINY = ModelConfig.preset("tiny", n_features=7, n_steps=20)


def windows(config, batch=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, config.n_steps, config.n_features, generator=generator)


def books(batch, seed=1):
    return torch.randn(batch, N_BOOK, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_answers_in_shape_and_range(preset):
    config = ModelConfig.preset(preset)
    network = TradingNetwork(config).eval()
    with torch.no_grad():
        z = network.encode(windows(config, batch=3))
        out = network.heads(z, books(3))
    assert z.shape == (3, config.fusion_width + 1)
    assert out.price.shape == out.position.shape == out.volatility.shape == (3,)
    assert out.direction_logits.shape == (3, 3)
    assert out.risk_logit.shape == (3,)
    assert all(torch.isfinite(answer).all() for answer in out)
    assert (out.position.abs() <= 1).all()
    assert (out.volatility > 0).all()


def test_answers_stay_in_range_on_absurd_input():
    network = TradingNetwork(TINY).eval()
    out = network(1e6 * windows(TINY), 1e6 * books(5))
    assert all(torch.isfinite(answer).all() for answer in out)
    assert (out.position.abs() <= 1).all()
    assert (out.volatility > 0).all()


def test_forward_is_encode_then_heads():
    network = TradingNetwork(TINY).eval()
    x, book = windows(TINY), books(5)
    for whole, parts in zip(network(x, book), network.heads(network.encode(x), book), strict=True):
        assert torch.equal(whole, parts)


def test_every_weight_learns():
    """A weight that no loss reaches is a wiring mistake."""
    network = TradingNetwork(TINY)
    with torch.no_grad():  # mixing starts at zero, as published: without it no gradient to hide
        network.xlstm.blocks[0].layer.recurrent.normal_(std=0.1)
        network.answers.price.weight.normal_(std=0.1)  # zero, so that training begins at the terms
    network.terms.weight.normal_(std=0.1)
    sum(answer.square().sum() for answer in network(windows(TINY), books(5))).backward()
    still = [name for name, each in network.named_parameters() if not each.grad.abs().sum() > 0]
    assert still == []


def test_both_encoders_are_causal():
    """The future has no gradient path into the past, the past has one into the future."""
    network = TradingNetwork(TINY)
    for encoder in (network.xlstm, network.transformer):
        x = windows(TINY).requires_grad_()
        encoder(x)[:, 9].square().sum().backward()
        assert (x.grad[:, :10].abs().sum(dim=2) > 0).all()
        assert x.grad[:, 10:].abs().sum() == 0


def test_fusion_weights_sum_to_one_and_can_be_inspected():
    network = TradingNetwork(TINY).eval()
    x = windows(TINY)
    fused, branches = network.branch_fusion(network.xlstm(x), network.transformer(x))
    _, bars = network.temporal_fusion(fused)
    assert branches.shape == (5, 20, 2)
    assert bars.shape == (5, 16, 1, 20)
    for weights in (branches, bars):
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert branches.std() > 0  # they depend on the window
    assert bars.std() > 0


def test_branch_weights_are_the_attention_that_mixes_the_branches():
    """Softmax over two scores, and the fused bar is the values weighted by what is returned."""
    fusion = TradingNetwork(TINY).branch_fusion
    xlstm, transformer = torch.randn(2, 20, 32), torch.randn(2, 20, 32)
    fused, weights = fusion(xlstm, transformer)
    views = torch.stack([fusion.from_xlstm(xlstm), fusion.from_transformer(transformer)], dim=2)
    key, value = views.chunk(2, dim=3)
    scores = (fusion.query(value.sum(dim=2)).unsqueeze(2) * key).sum(dim=3) / 32**0.5
    torch.testing.assert_close(weights, scores.softmax(dim=2))
    torch.testing.assert_close(fused, fusion.norm((weights.unsqueeze(3) * value).sum(dim=2)))


def test_branch_fusion_mixes_no_bars():
    network = TradingNetwork(TINY)
    xlstm = torch.randn(2, 20, 32, requires_grad=True)
    transformer = torch.randn(2, 20, 32, requires_grad=True)
    network.branch_fusion(xlstm, transformer)[0][:, 7].square().sum().backward()
    for branch in (xlstm, transformer):
        touched = branch.grad.abs().sum(dim=(0, 2)) > 0
        assert touched.nonzero().flatten().tolist() == [7]


def test_temporal_fusion_reads_every_bar():
    network = TradingNetwork(TINY)
    bars = torch.randn(2, 20, 32, requires_grad=True)
    network.temporal_fusion(bars)[0].square().sum().backward()
    assert (bars.grad.abs().sum(dim=2) > 0).all()


def test_a_window_does_not_depend_on_its_batch():
    """A prediction is a function of the symbol's own window, whoever is predicted beside it."""
    network = TradingNetwork(TINY).eval()
    x = windows(TINY)
    torch.testing.assert_close(network.encode(x)[1:2], network.encode(x[1:2]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.slow
def test_five_hundred_symbols_at_once_are_answered_like_each_alone(preset):
    """To 1e-6: other kernels add in another order, and no symbol reads another's window."""
    config = ModelConfig.preset(preset)
    network = TradingNetwork(config).eval()
    x, book = windows(config, batch=500), books(500)
    with torch.inference_mode():
        together = network(x, book)
        for symbol in (0, 251, 499):
            one = slice(symbol, symbol + 1)
            for all_of_them, alone in zip(together, network(x[one], book[one]), strict=True):
                torch.testing.assert_close(all_of_them[one], alone, rtol=1e-6, atol=1e-6)


def test_the_order_of_bars_matters_to_the_transformer():
    """Without positions, attention from the newest bar would not see the order of the others."""
    network = TradingNetwork(TINY).eval()
    x = windows(TINY)
    swapped = x[:, [1, 0, *range(2, 20)]]
    change = network.transformer(x)[:, -1] - network.transformer(swapped)[:, -1]
    assert change.abs().max() > 1e-3


def test_the_position_state_reaches_the_answers_and_its_ablation_does_not():
    x = windows(TINY)
    for state, differs in ((True, True), (False, False)):
        network = TradingNetwork(
            ModelConfig.preset("tiny", n_features=7, n_steps=20, position_state=state)
        ).eval()
        pairs = zip(network(x, books(5)), network(x, books(5, seed=2)), strict=True)
        # The price head alone begins at 0, whatever it reads.
        expected = [False, *[differs] * 4]
        assert [not torch.equal(one, other) for one, other in pairs] == expected


def test_a_seed_makes_the_same_network_and_leaves_the_global_state_alone():
    state = torch.random.get_rng_state()
    first, again, other = (TradingNetwork(TINY, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_dropout_acts_in_training_only():
    network = TradingNetwork(TINY)
    x = windows(TINY)
    assert not torch.equal(network.train().encode(x), network.encode(x))
    assert torch.equal(network.eval().encode(x), network.encode(x))


def test_the_book_walks_through_a_block_of_dates():
    """Heads, advance, heads: one network, one symbol's answers changing its next answers."""
    network = TradingNetwork(replace(TINY, position_state=True)).eval()
    z = network.encode(windows(TINY))
    book, sigma = NotionalBook.empty(5), torch.full((5,), 0.02)
    first = network.heads(z, book.features())
    book = advance(book, first.position, 0.1 * sigma, 3 * sigma, sigma)
    assert not torch.equal(network.heads(z, book.features()).position, first.position)


@pytest.mark.parametrize("shape", [(2, 20, 8), (2, 21, 7), (2, 0, 7), (20, 7)])
def test_a_window_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"windows must be \(B, 1 to 20 bars, 7 features\)"):
        TradingNetwork(TINY).encode(torch.zeros(shape))


def test_a_stretch_encodes_its_first_answer_as_its_window_alone():
    """Training encodes 24 bars and answers for five of them; prediction reads one window of 20."""
    network = TradingNetwork(TINY).eval()
    network.terms.weight.normal_()
    stretch = torch.randn(3, 24, 7, generator=torch.Generator().manual_seed(0))
    each = network.encode_each(stretch, last=5)
    assert each.shape == (3, 5, TINY.fusion_width + 1)
    torch.testing.assert_close(each[:, 0], network.encode(stretch[:, :20]), rtol=0, atol=1e-5)


def test_no_answer_of_a_stretch_reads_a_later_bar():
    network = TradingNetwork(TINY).eval()
    stretch = torch.randn(1, 24, 7).requires_grad_()
    network.encode_each(stretch, last=5)[:, 1].square().sum().backward()
    touched = stretch.grad.abs().sum(dim=(0, 2))
    assert (touched[:21] > 0).all()
    assert (touched[21:] == 0).all()


def test_heads_of_the_temporal_fusion_begin_at_ages_of_their_own():
    """Sixteen hills over twenty bars, from the newest to the oldest."""
    highest = TradingNetwork(TINY).temporal_fusion.age.argmax(dim=1)
    assert (highest.diff() >= 0).all()
    assert len(highest.unique()) >= 15
    assert highest[0] <= 1
    assert highest[-1] >= 18


@pytest.mark.parametrize("preset", PRESETS)
def test_no_weight_of_a_bar_is_too_small_for_normal_numbers(preset):
    """A processor is ten times slower with those: a step of `tiny` took a third longer."""
    config = ModelConfig.preset(preset)
    fusion = TradingNetwork(config).temporal_fusion
    with torch.no_grad():
        _, weights = fusion(torch.randn(3, config.n_steps, config.fusion_width), 1)
    assert weights.min() > 1e3 * torch.finfo(torch.float32).tiny
    assert weights.sum(dim=3).sub(1).abs().max() < 1e-5


def test_what_the_encoders_add_to_the_price_is_scaled_by_the_gain():
    network = TradingNetwork(TINY).eval()
    with torch.no_grad():
        network.answers.price.weight.normal_()
    network.terms.weight[0] = 0.5
    x, book = windows(TINY), books(5)
    whole, terms = network(x, book).price, network.terms(x).squeeze(1)
    network.answers.gain.fill_(0.25)
    torch.testing.assert_close(network(x, book).price - terms, 0.25 * (whole - terms))
    network.answers.gain.fill_(0.0)
    torch.testing.assert_close(network(x, book).price, 0.5 * x[:, -1, 0])
