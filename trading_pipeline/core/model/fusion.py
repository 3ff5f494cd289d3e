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
        views = torch.stack([self.from_xlstm(xlstm), self.from_transformer(transformer)], dim=2)
        key, value = views.chunk(2, dim=3)  # each (B, T, 2, D)
        query = self.query(value.mean(dim=2)).unsqueeze(2)  # (B, T, 1, D)
        scores = (query * key).sum(dim=3) / math.sqrt(key.shape[3])
        weights = scores.softmax(dim=2)
        return self.norm((weights.unsqueeze(3) * value).sum(dim=2)), weights


class TemporalFusion(nn.Module):
    """The newest bar asks all bars of the window: (B, T, D) -> (B, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
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
