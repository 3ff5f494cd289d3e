"""Fusion: which branch to listen to at each bar, and which bars to decide on.

Both are attention whose weights sum to one and are returned, so that they can be looked at.
Letters: B batch, T time, D fused channels.
"""

import math

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.config import ModelConfig


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
    """The newest bar asks all bars of the window: (B, T, D) -> (B, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # one would shift all scores alike
        self.value = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, bars: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the window.

        Args:
            bars: (B, T, D), oldest first.

        Returns:
            The window as one vector (B, D), and the weights of its bars (B, T), sum 1.
        """
        newest = bars[:, -1]
        asked = self.key(bars) @ self.query(newest).unsqueeze(2)  # (B, T, 1)
        weights = (asked.squeeze(2) / math.sqrt(bars.shape[2])).softmax(dim=1)
        pooled = torch.bmm(weights.unsqueeze(1), self.value(bars)).squeeze(1)
        return self.norm(newest + pooled), weights
