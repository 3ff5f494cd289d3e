"""xLSTM encoder: sLSTM blocks, an LSTM whose input gate is exponential.

Beck et al., xLSTM: Extended Long Short-Term Memory (2024), arXiv:2405.04517; the block is the
post-up-projection one of NX-AI's `xlstm` package, whose outputs and gradients the tests ask for.

Letters: B batch, T time, H channels, N heads, d = H / N channels of a head, F features.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.dropout import WindowDropout
from trading_pipeline.core.model.recurrence import SLSTMState, slstm_scan

GATED_FACTOR = 1.3  # of the feed-forward, as published


class LayerState(NamedTuple):
    """What a layer needs from the bars before a chunk."""

    memory: SLSTMState
    bars: Tensor  # (B, conv_kernel - 1, H): the newest inputs, which the convolution still reads


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
        """What the bars contribute to the gates: (B, T, H) -> (T, N, 4 * d, B).

        Input and forget gate read the convolved bars, cell and output gate the bars themselves.
        """
        batch, steps, _ = x.shape
        bias, weight = self.bias.flatten(1).unsqueeze(2), self.input.flatten(1, 2)
        bars = _batch_last(x)
        read = bars.view(self.heads, -1, steps * batch)  # (N, d, T * B)
        if not self.conv_kernel:
            gates = torch.baddbmm(bias, weight, read)
        else:
            half = weight.shape[1] // 2
            convolved = self._convolved(torch.cat([_batch_last(before), bars], dim=1))
            gates = torch.cat(
                [
                    torch.baddbmm(bias[:, :half], weight[:, :half], convolved.view_as(read)),
                    torch.baddbmm(bias[:, half:], weight[:, half:], read),
                ],
                dim=1,
            )
        return gates.view(self.heads, -1, steps, batch).permute(2, 0, 1, 3)

    def _convolved(self, padded: Tensor) -> Tensor:
        """Each channel over its newest `conv_kernel` bars, then SiLU.

        (H, T + conv_kernel - 1, B) -> (H, T, B).
        """
        steps = padded.shape[1] - self.conv_kernel + 1
        mixed = self.conv_bias[:, None, None].expand(-1, steps, padded.shape[2])
        for k, weight in enumerate(self.conv_weight):
            mixed = torch.addcmul(mixed, weight[:, None, None], padded[:, k : k + steps])
        return F.silu(mixed)


def _batch_last(x: Tensor) -> Tensor:
    """(B, T, H) -> (H, T, B), contiguous: the layout that the recurrence runs in."""
    return x.permute(2, 1, 0).contiguous()


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
        self.dropout = WindowDropout(config.dropout)

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
