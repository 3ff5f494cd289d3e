"""sLSTM: the published equations, their invariants, and NX-AI's own package as the oracle."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.recurrence import SLSTMState, slstm_scan
from trading_pipeline.core.model.xlstm import SLSTMBlock, SLSTMLayer, XLSTMEncoder

SIZES = [(16, 4, 4), (32, 1, 0), (64, 8, 4)]  # width, heads, conv_kernel


def randomise(module, seed=0, std=0.5):
    """Other weights than the published start, under which heads do not mix at all."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in module.parameters():
            each.copy_(std * torch.randn(each.shape, generator=generator))
    return module


def scan(gates, recurrent=None, state=None):
    """`slstm_scan` on gates (T, N, 4, d, B), by default without memory mixing."""
    _, heads, _, width, _ = gates.shape
    if recurrent is None:
        recurrent = gates.new_zeros(heads, 4 * width, width)
    return slstm_scan(gates.flatten(2, 3), recurrent, state or SLSTMState.empty(gates[0, :, 0]))


def unstabilised(gates, recurrent):
    """The recurrence as the paper prints it first, without any rescaling."""
    heads, width = gates.shape[1], gates.shape[3]
    h = c = n = torch.zeros_like(gates[0, :, 0])
    hidden = []
    for bar in gates:
        mixed = (recurrent @ h).view(heads, 4, width, -1)
        i, f, z, o = (bar + mixed).unbind(1)
        c = f.sigmoid() * c + i.exp() * z.tanh()
        n = f.sigmoid() * n + i.exp()
        h = o.sigmoid() * c / n
        hidden.append(h)
    return torch.stack(hidden)


def test_the_scan_is_the_printed_equations_and_so_is_its_gradient():
    torch.manual_seed(0)
    gates = torch.randn(9, 2, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    recurrent = torch.randn(2, 12, 3, dtype=torch.float64, requires_grad=True)
    ours, _ = scan(gates, recurrent)
    printed = unstabilised(gates, recurrent)
    torch.testing.assert_close(ours, printed)
    upstream = torch.randn_like(ours)
    for got, expected in zip(
        torch.autograd.grad(ours, (gates, recurrent), upstream),
        torch.autograd.grad(printed, (gates, recurrent), upstream),
        strict=True,
    ):
        torch.testing.assert_close(got, expected)


@given(st.integers(0, 999), st.sampled_from([1.0, 50.0, 1e6]), st.sampled_from([0.0, 1.0, 100.0]))
def test_the_state_keeps_its_bounds(seed, scale, mixing):
    generator = torch.Generator().manual_seed(seed)
    gates = scale * torch.randn(30, 2, 4, 3, 4, generator=generator)
    recurrent = mixing * torch.randn(2, 12, 3, generator=generator)
    state = None
    for bar in gates.split(1):
        hidden, state = scan(bar, recurrent, state)
        assert (state.norm >= 1).all()
        assert (hidden.abs() <= 1).all()
        assert all(torch.isfinite(part).all() for part in state)


def test_gradients_stay_finite_at_extreme_inputs():
    layer = randomise(SLSTMLayer(16, 4, 4))
    x = (1e6 * torch.randn(3, 30, 16)).requires_grad_()
    y, _ = layer(x)
    y.square().sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(each.grad).all() for each in layer.parameters())


@pytest.mark.parametrize(("width", "heads", "kernel"), SIZES)
def test_a_layer_is_causal(width, heads, kernel):
    layer = randomise(SLSTMLayer(width, heads, kernel))
    x = torch.randn(2, 12, width, requires_grad=True)
    layer(x)[0][:, 5].square().sum().backward()
    assert (x.grad[:, :6].abs().sum(dim=2) > 0).all()
    assert x.grad[:, 6:].abs().sum() == 0


@pytest.mark.parametrize("cuts", [(7, 13), (1, 1, 1, 17), (19, 1)])
def test_a_sequence_in_chunks_is_the_sequence_in_one(cuts):
    config = ModelConfig.preset("tiny", n_features=5, n_steps=20, xlstm_layers=2)
    encoder = randomise(XLSTMEncoder(config)).eval().double()
    x = torch.randn(3, 20, 5).double()
    states, parts = None, []
    for chunk in x.split(cuts, dim=1):
        part, states = encoder.advance(chunk, states)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), encoder(x))


def test_gradients_flow_from_chunk_to_chunk():
    """Truncating nothing: two chunks with the state between them learn what the whole learns."""
    layer = randomise(SLSTMLayer(8, 2, 3)).double()
    x, upstream = torch.randn(2, 10, 8).double(), torch.randn(2, 10, 8).double()
    weights = list(layer.parameters())
    whole = torch.autograd.grad(layer(x)[0], weights, upstream)
    first, state = layer(x[:, :4])
    second, _ = layer(x[:, 4:], state)
    parts = torch.autograd.grad(torch.cat([first, second], dim=1), weights, upstream)
    for one, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, other)


def test_heads_do_not_mix_inside_the_recurrence():
    """The memory of one head never reads another head's: that is what makes it head-wise."""
    torch.manual_seed(0)
    gates = torch.randn(6, 2, 4, 3, 5, requires_grad=True)
    hidden, _ = scan(gates, torch.randn(2, 12, 3))
    hidden[-1, 0].sum().backward()
    assert gates.grad[:, 0].abs().sum() > 0
    assert gates.grad[:, 1].abs().sum() == 0


def test_forget_biases_start_as_published():
    """+5 to -7 in each head, first block and last of two: figures printed by the package."""
    first, last = (SLSTMLayer(64, 4, 4, depth).bias[:, 1] for depth in (0.0, 1.0))
    for bias, golden in ((first, (5.0, -0.33, -4.94, -7.0)), (last, (5.0, 4.84, 0.61, -7.0))):
        for head in bias:
            got = [head[k].item() for k in (0, 1, 8, 15)]
            assert got == pytest.approx(golden, abs=0.006)


def oracle_layer(width, heads, kernel):
    """NX-AI's layer, with weights that are not zero anywhere."""
    from xlstm.blocks.slstm.layer import sLSTMLayer, sLSTMLayerConfig

    config = sLSTMLayerConfig(
        embedding_dim=width,
        num_heads=heads,
        conv1d_kernel_size=kernel,
        backend="vanilla",
        dtype="float32",
        recurrent_weight_init="standard",
    )
    return randomise(sLSTMLayer(config), seed=1)


def as_ours(layer, field=lambda each: each.detach()):
    """A field of the oracle's parameters in our layout; its gates swap the names of i and f."""
    cell = layer.slstm_cell
    gates = (layer.fgate, layer.igate, layer.zgate, layer.ogate)
    ours = {
        "input": torch.stack([field(gate.weight) for gate in gates], dim=1),
        "recurrent": cell._recurrent_kernel_int2ext(field(cell._recurrent_kernel_)).permute(
            0, 2, 3, 1
        ),
        "bias": cell._bias_int2ext(field(cell._bias_)),
        "scale": field(layer.group_norm.weight),
    }
    if layer.config.conv1d_kernel_size:
        ours["conv_weight"] = field(layer.conv1d.conv.weight)[:, 0].T
        ours["conv_bias"] = field(layer.conv1d.conv.bias)
    return ours


def copy_weights(ours, oracle):
    with torch.no_grad():
        for name, value in as_ours(oracle).items():
            getattr(ours, name).copy_(value)
        ours.scale.add_(1)  # the oracle stores what it adds to one
    return ours


@pytest.mark.slow
@pytest.mark.parametrize(("width", "heads", "kernel"), SIZES)
def test_a_layer_equals_the_published_one_in_outputs_and_gradients(width, heads, kernel):
    pytest.importorskip("xlstm")
    oracle = oracle_layer(width, heads, kernel)
    ours = copy_weights(SLSTMLayer(width, heads, kernel), oracle)
    torch.manual_seed(2)
    x, upstream = torch.randn(5, 60, width), torch.randn(5, 60, width) / 60
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    got, expected = ours(leaves[0])[0], oracle(leaves[1])
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    got.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad, rtol=1e-5, atol=1e-5)
    for name, gradient in as_ours(oracle, lambda each: each.grad).items():
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(getattr(ours, name).grad, gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_blocks_equal_the_published_ones():
    """Two residual blocks, norms and gated feed-forward included, and the published start."""
    pytest.importorskip("xlstm")
    from xlstm import FeedForwardConfig, sLSTMBlockConfig, xLSTMBlockStack, xLSTMBlockStackConfig
    from xlstm.blocks.slstm.layer import sLSTMLayerConfig

    layer = sLSTMLayerConfig(
        num_heads=4, conv1d_kernel_size=4, backend="vanilla", dtype="float32", dropout=0.0
    )
    stack = xLSTMBlockStack(
        xLSTMBlockStackConfig(
            mlstm_block=None,
            slstm_block=sLSTMBlockConfig(layer, FeedForwardConfig(proj_factor=1.3)),
            context_length=30,
            num_blocks=2,
            embedding_dim=64,
            slstm_at="all",
            dropout=0.0,
        )
    )
    config = ModelConfig(xlstm_width=64, xlstm_layers=2, dropout=0.0)
    torch.manual_seed(2)
    x = torch.randn(3, 30, 64)
    for index, oracle in enumerate(stack.blocks):
        ours = SLSTMBlock(config, index)
        torch.testing.assert_close(ours.layer.bias, as_ours(oracle.xlstm)["bias"])
        randomise(oracle, seed=index, std=0.1)
        copy_weights(ours.layer, oracle.xlstm)
        with torch.no_grad():
            ours.layer_norm.weight.copy_(1 + oracle.xlstm_norm.weight)
            ours.feed_norm.weight.copy_(1 + oracle.ffn_norm.weight)
            ours.feed.up.weight.copy_(oracle.ffn.proj_up.weight)
            ours.feed.down.weight.copy_(oracle.ffn.proj_down.weight)
        torch.testing.assert_close(ours(x)[0], oracle(x), rtol=1e-5, atol=1e-5)
