"""xLSTM encoder: sLSTM blocks, an LSTM whose input gate is exponential.

Beck et al., xLSTM: Extended Long Short-Term Memory (2024), arXiv:2405.04517, section 2.2 and
appendix A.2; the block is the post-up-projection one of NX-AI's `xlstm` package, whose outputs and
gradients the tests ask for.

Letters: B batch, T time, H channels, N heads, d = H / N channels of a head, F features.
The recurrence keeps the batch last, (N, d, B): what is added and multiplied at each bar is then one
long run of memory, whatever the size of a head.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trading_pipeline.core.model.config import ModelConfig

GATED_FACTOR = 1.3  # of the feed-forward, as published


class SLSTMState(NamedTuple):
    """What the heads remember; every field is (N, d, B). Once written, norm >= 1 >= |hidden|."""

    hidden: Tensor
    cell: Tensor
    norm: Tensor
    peak: Tensor  # log-scale of `cell` and `norm`, so that neither overflows

    @classmethod
    def empty(cls, like: Tensor) -> Self:
        """Nothing remembered: a log-scale of minus infinity lets the first bar write all."""
        zero = torch.zeros_like(like)
        return cls(zero, zero, zero, torch.full_like(like, -torch.inf))


class LayerState(NamedTuple):
    """What a layer needs from the bars before a chunk."""

    memory: SLSTMState
    bars: Tensor  # (B, conv_kernel - 1, H): the newest inputs, which the convolution still reads


def slstm_step(gates: Tensor, state: SLSTMState) -> SLSTMState:
    """Advance one bar.

    Args:
        gates: (N, 4, d, B), the pre-activations of input, forget, cell and output gate.
        state: what was remembered until the bar before.

    Returns:
        The state after the bar. `peak` scales `cell` and `norm` alike, so `hidden` does not depend
        on it: it is a constant to the gradient, and leaving it out of the graph changes nothing.
    """
    i, f, z, o = gates.unbind(1)
    carried = F.logsigmoid(f) + state.peak
    peak = torch.maximum(carried, i).detach()
    keep = (carried - peak).exp()
    write = (i - peak).exp()
    cell = keep * state.cell + write * z.tanh()
    norm = keep * state.norm + write
    return SLSTMState(o.sigmoid() * cell / norm, cell, norm, peak)


def slstm_scan(inputs: Tensor, recurrent: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
    """Run the recurrence over all bars.

    Args:
        inputs: (T, N, 4 * d, B), what the bars alone contribute to the gates, biases included.
        recurrent: (N, 4 * d, d), how the hidden channels of a head mix into its own gates.
        state: what was remembered before the first bar.

    Returns:
        hidden (T, N, d, B), each in [-1, 1], and the state after the last bar.
    """
    heads, _, width = recurrent.shape
    hidden = []
    for bar in inputs.unbind(0):
        gates = torch.baddbmm(bar, recurrent, state.hidden)
        state = slstm_step(gates.view(heads, 4, width, -1), state)
        hidden.append(state.hidden)
    return torch.stack(hidden), state


class SLSTMLayer(nn.Module):
    """Convolution, headwise gates, recurrence, norm per head: (B, T, H) -> (B, T, H), causal."""

    def __init__(self, width: int, heads: int, conv_kernel: int, depth: float = 0.0) -> None:
        """`depth` is the position in the stack, 0 first, 1 last: it spreads the forget biases."""
        super().__init__()
        head = width // heads
        self.heads, self.conv_kernel, self.depth = heads, conv_kernel, depth
        self.conv_weight = nn.Parameter(torch.empty(conv_kernel, width))  # oldest bar first
        self.conv_bias = nn.Parameter(torch.empty(width if conv_kernel else 0))
        self.input = nn.Parameter(torch.empty(heads, 4, head, head))  # head, gate, out, in
        self.recurrent = nn.Parameter(torch.zeros(heads, 4, head, head))
        self.bias = nn.Parameter(torch.zeros(heads, 4, head))
        self.scale = nn.Parameter(torch.ones(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As published: no mixing at first, forget biases from +5 to -7 by a power law."""
        width, head = self.scale.numel(), self.bias.shape[-1]
        nn.init.normal_(self.input, std=math.sqrt(2 / (5 * width)))
        if self.conv_kernel:
            bound = 1 / math.sqrt(self.conv_kernel)
            nn.init.uniform_(self.conv_weight, -bound, bound)
            nn.init.uniform_(self.conv_bias, -bound, bound)
        place = torch.arange(head) / (head - 1)
        with torch.no_grad():
            self.bias[:, 1] = 5 - 12 * place ** (0.3 + 1.3 * self.depth)

    def forward(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        """One chunk of bars, after those that `state` remembers (None: there were none)."""
        state = state or self._empty(x)
        hidden, memory = slstm_scan(
            self._inputs(x, state.bars), self.recurrent.flatten(1, 2), state.memory
        )
        heads = hidden.permute(3, 0, 1, 2)  # (T, N, d, B) -> (B, T, N, d)
        normed = F.layer_norm(heads, heads.shape[-1:]).flatten(2)  # (B, T, H)
        bars = torch.cat([state.bars, x], dim=1)[:, x.shape[1] :]
        return normed * self.scale, LayerState(memory, bars)

    def _empty(self, x: Tensor) -> LayerState:
        """Nothing remembered, and silence before the first bar."""
        batch, _, width = x.shape
        memory = SLSTMState.empty(x.new_empty(self.heads, width // self.heads, batch))
        return LayerState(memory, x.new_zeros(batch, max(self.conv_kernel - 1, 0), width))

    def _inputs(self, x: Tensor, before: Tensor) -> Tensor:
        """What the bars contribute to the gates: (B, T, H) -> (T, N, 4 * d, B)."""
        from_recent = self._by_head(self._convolved(x, before))  # (N, d, T * B)
        from_bar = self._by_head(x)
        input_forget = self.input[:, :2].flatten(1, 2) @ from_recent  # (N, 2 * d, T * B)
        cell_output = self.input[:, 2:].flatten(1, 2) @ from_bar
        gates = torch.cat([input_forget, cell_output], dim=1) + self.bias.flatten(1).unsqueeze(2)
        return gates.view(*gates.shape[:2], x.shape[1], x.shape[0]).permute(2, 0, 1, 3)

    def _convolved(self, x: Tensor, before: Tensor) -> Tensor:
        """Each channel over its newest `conv_kernel` bars, then SiLU: (B, T, H) -> (B, T, H)."""
        if not self.conv_kernel:
            return x
        padded = torch.cat([before, x], dim=1)
        mixed = self.conv_bias.expand_as(x)
        for k, weight in enumerate(self.conv_weight):
            mixed = torch.addcmul(mixed, weight, padded[:, k : k + x.shape[1]])
        return F.silu(mixed)

    def _by_head(self, x: Tensor) -> Tensor:
        """(B, T, H) -> (N, d, T * B)."""
        return x.reshape(*x.shape[:2], self.heads, -1).permute(2, 3, 1, 0).flatten(2)


class GatedFeedForward(nn.Module):
    """GELU-gated feed-forward: (..., H) -> (..., H)."""

    def __init__(self, width: int, depth: int) -> None:
        """`depth` is how many blocks the stack has: more blocks, smaller first steps."""
        super().__init__()
        inner = math.ceil(GATED_FACTOR * width / 64) * 64  # multiples of 64, as published
        self.up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        nn.init.normal_(self.up.weight, std=math.sqrt(2 / (5 * width)))
        nn.init.normal_(self.down.weight, std=2 / depth / math.sqrt(width))

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, dim=-1)
        down: Tensor = self.down(F.gelu(gate) * value)
        return down


class SLSTMBlock(nn.Module):
    """Pre-norm residual sLSTM, then pre-norm residual feed-forward: (B, T, H) -> (B, T, H)."""

    def __init__(self, config: ModelConfig, index: int = 0) -> None:
        super().__init__()
        width, layers = config.xlstm_width, config.xlstm_layers
        depth = index / (layers - 1) if layers > 1 else 0.0
        self.layer_norm = nn.LayerNorm(width, bias=False)
        self.layer = SLSTMLayer(width, config.xlstm_heads, config.conv_kernel, depth)
        self.feed_norm = nn.LayerNorm(width, bias=False)
        self.feed = GatedFeedForward(width, layers)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        mixed, state = self.layer(self.layer_norm(x), state)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.feed(self.feed_norm(x))), state


class XLSTMEncoder(nn.Module):
    """Features to channels through sLSTM blocks: (B, T, F) -> (B, T, H), causal."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.n_features, config.xlstm_width)
        self.blocks = nn.ModuleList(SLSTMBlock(config, i) for i in range(config.xlstm_layers))
        self.norm = nn.LayerNorm(config.xlstm_width)

    def forward(self, x: Tensor) -> Tensor:
        return self.advance(x, None)[0]

    def advance(
        self, x: Tensor, states: list[LayerState] | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Encode one chunk (B, t, F) after the chunks that `states` remembers (None: the first).

        A sequence in chunks gives what the whole sequence gives.
        """
        x, after = self.input(x), []
        for index, block in enumerate(self.blocks):
            x, state = block(x, states[index] if states else None)
            after.append(state)
        return self.norm(x), after
