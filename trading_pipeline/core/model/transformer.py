"""Transformer encoder: pre-norm blocks with causal self-attention and fixed positions.

Vaswani et al., Attention Is All You Need (2017), arXiv:1706.03762; norm before each sublayer as in
Xiong et al. (2020), arXiv:2002.04745.

Letters: B batch, T time, D channels, N heads, d = D / N channels of a head, F features.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.dropout import WindowDropout

FEED_FORWARD_FACTOR = 4


def sinusoids(n_steps: int, width: int) -> Tensor:
    """Positions as waves of geometrically growing length: (n_steps, width), in [-1, 1]."""
    pairs = (width + 1) // 2
    rate = torch.exp(-math.log(10_000.0) * torch.arange(pairs) / pairs)
    angle = torch.arange(n_steps).unsqueeze(1) * rate  # (n_steps, pairs)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]


class CausalAttention(nn.Module):
    """Multi-head self-attention, each bar on itself and the bars before: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        projected = self.project(x).view(*x.shape[:2], 3, self.heads, -1)  # (B, T, 3, N, d)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, N, T, d)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        joined: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return joined


class TransformerBlock(nn.Module):
    """Pre-norm residual attention, then pre-norm residual feed-forward: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.transformer_width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, config.transformer_heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, FEED_FORWARD_FACTOR * width),
            nn.GELU(),
            nn.Linear(FEED_FORWARD_FACTOR * width, width),
        )
        self.dropout = WindowDropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        fed: Tensor = x + self.dropout(self.feed(self.feed_norm(x)))
        return fed


class TransformerEncoder(nn.Module):
    """Features to channels through causal Transformer blocks: (B, T, F) -> (B, T, D)."""

    positions: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.n_features, config.transformer_width)
        positions = sinusoids(config.n_steps, config.transformer_width)
        self.register_buffer("positions", positions, persistent=False)  # follows from the config
        blocks = (TransformerBlock(config) for _ in range(config.transformer_layers))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(config.transformer_width)

    def forward(self, x: Tensor) -> Tensor:
        placed = self.input(x) + self.positions[: x.shape[1]]
        encoded: Tensor = self.norm(self.blocks(placed))
        return encoded
