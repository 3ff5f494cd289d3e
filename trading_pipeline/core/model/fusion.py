"""Fusion: which branch to listen to at each bar, and which bars to decide on.

Both are attention whose weights sum to one and are returned, so that they can be looked at.
Letters: B batch, T time, D fused channels.
"""

import math

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.attention import attention_weights, matmul
from trading_pipeline.core.model.config import ModelConfig

FOOT = -30.0  # of the hills of ages that heads begin with, a log weight


class BranchFusion(nn.Module):
    """At each bar, attention over the two encoders' views of it; no bar sees another one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.from_xlstm = nn.Linear(config.xlstm_width, 2 * width)  # key and value
        self.from_transformer = nn.Linear(config.transformer_width, 2 * width)
        self.query = nn.Linear(width, width)  # from what both say together
        self.norm = nn.LayerNorm(width)

    def forward(self, xlstm: Tensor, transformer: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse the branches.

        Args:
            xlstm: (B, T, xlstm_width).
            transformer: (B, T, transformer_width).

        Returns:
            The fused bars (B, T, D) and the weights of [xlstm, transformer] (B, T, 2), sum 1.
        """
        xlstm_key, xlstm_value = self.from_xlstm(xlstm).chunk(2, dim=2)  # each (B, T, D)
        other_key, other_value = self.from_transformer(transformer).chunk(2, dim=2)
        query = self.query(xlstm_value + other_value)
        # Softmax over two is the sigmoid of the difference, which needs half the work.
        lead = (query * (xlstm_key - other_key)).sum(dim=2, keepdim=True)
        weight = (lead / math.sqrt(query.shape[2])).sigmoid()  # (B, T, 1)
        fused = torch.lerp(other_value, xlstm_value, weight)
        return self.norm(fused), torch.cat([weight, 1 - weight], dim=2)


class TemporalFusion(nn.Module):
    """The newest bar asks all bars of its window: (B, T, D) -> (B, L, D), L newest bars.

    Heads begin by looking at different ages. All ages alike, each bar would be a sixtieth of what
    is seen, and of what is learned from it: a pattern in one bar was then never found.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.heads = config.fusion_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # one would shift all scores alike
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.age = nn.Parameter(_spread_ages(self.heads, config.n_steps))

    def forward(self, bars: Tensor, last: int = 1) -> tuple[Tensor, Tensor]:
        """Pool the windows of the `last` newest bars.

        Args:
            bars: (B, T, D), oldest first.

        Returns:
            A vector for each of them (B, L, D), and the weights of its bars by head (B, N, L, T),
            sum 1.
        """
        newest = bars[:, -last:]
        query, key, value = (  # each (B, N, L or T, d)
            each.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for each in (self.query(newest), self.key(bars), self.value(bars))
        )
        weights = attention_weights(query, key, self.age)
        mixed = matmul(weights.to(value.dtype), value)
        pooled = self.output(mixed.transpose(1, 2).flatten(2))
        return self.norm(newest + pooled), weights


def _spread_ages(heads: int, n_steps: int) -> Tensor:
    """(N, n_steps): a hill for each head, all as wide as they are apart.

    Its foot is a weight of 1e-13, which is nothing as well: of steeper slopes one bar in twenty had
    a weight too small for normal numbers, with which a processor is ten times slower.
    """
    apart = n_steps / heads
    centre = apart * (torch.arange(heads).unsqueeze(1) + 0.5) - 0.5
    hills = -0.5 * ((torch.arange(n_steps) - centre) / (0.5 * apart)) ** 2
    return hills.clamp(min=FOOT)
