"""Transformer encoder: pre-norm blocks with causal self-attention and learned ages.

Vaswani et al., Attention Is All You Need (2017), arXiv:1706.03762; norm before each sublayer as in
Xiong et al. (2020), arXiv:2002.04745. What a bar is to another depends on how many bars lie
between them, by a bias learned for each head and age (Raffel et al. 2020, arXiv:1910.10683, without
their buckets). So a stretch of bars can be encoded at once, each bar as the newest of its window.

Letters: B batch, T time, D channels, N heads, d = D / N channels of a head, F features.
"""

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.attention import attention_weights, matmul
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.dropout import WindowDropout

FEED_FORWARD_FACTOR = 4


class CausalAttention(nn.Module):
    """Multi-head attention of each bar to itself and those before: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int, n_steps: int) -> None:
        """No bar looks back further than a window of `n_steps`."""
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        # Added to scores; 0 is the bar itself. It begins as the slopes of Press et al. (2022),
        # arXiv:2108.12409: some heads see the newest bars alone, others nearly all alike.
        slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
        self.age = nn.Parameter(-slopes.unsqueeze(1) * torch.arange(n_steps))

    def forward(self, x: Tensor) -> Tensor:
        projected = self.project(x).view(*x.shape[:2], 3, self.heads, -1)  # (B, T, 3, N, d)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, N, T, d)
        mixed = matmul(attention_weights(query, key, self.age).to(value.dtype), value)
        joined: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return joined


class TransformerBlock(nn.Module):
    """Pre-norm residual attention, then pre-norm residual feed-forward: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.transformer_width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, config.transformer_heads, config.n_steps)
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

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.n_features, config.transformer_width)
        blocks = (TransformerBlock(config) for _ in range(config.transformer_layers))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(config.transformer_width)

    def forward(self, x: Tensor) -> Tensor:
        encoded: Tensor = self.norm(self.blocks(self.input(x)))
        return encoded
