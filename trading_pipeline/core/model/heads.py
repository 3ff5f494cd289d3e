"""Heads: the five answers of the network about one symbol at one close.

Letters: B batch, D channels of the encoded window, S columns of the book's features.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.position import PositionState

LOG_VOLATILITY = 3.0  # the volatility head answers between exp(-3) and exp(3) times σ


class Outputs(NamedTuple):
    """What the network says; h is the horizon, σ the volatility of a bar known at the decision."""

    price: Tensor  # (B), expected open-to-open return over h bars, in units of σ√h
    direction_logits: Tensor  # (B, 3), of down, flat, up
    position: Tensor  # (B), what it would hold, [-1, 1]
    volatility: Tensor  # (B), > 0: forecast volatility of a bar over h, as a multiple of σ
    risk_logit: Tensor  # (B), of an adverse excursion beyond 2σ√h within h bars


class Heads(nn.Module):
    """From the encoded window, and the book, to the answers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.state = PositionState(config) if config.position_state else None
        joined = width + (config.position_width if config.position_state else 0)
        self.trunk = nn.Linear(joined, width)
        self.dropout = nn.Dropout(config.dropout)
        self.price = nn.Linear(width, 1)
        self.direction = nn.Linear(width, 3)
        self.position = nn.Linear(width, 1)
        self.volatility = nn.Linear(width, 1)
        self.risk = nn.Linear(width, 1)

    def forward(self, z: Tensor, book: Tensor) -> Outputs:
        """Answer.

        Args:
            z: (B, D), from `TradingNetwork.encode`.
            book: (B, S), from `NotionalBook.features`; not looked at when the config leaves the
                position state out.
        """
        if self.state is not None:
            z = torch.cat([z, self.state(book)], dim=1)
        shared = self.dropout(F.gelu(self.trunk(z)))
        log_volatility = LOG_VOLATILITY * (self.volatility(shared) / LOG_VOLATILITY).tanh()
        return Outputs(
            price=self.price(shared).squeeze(1),
            direction_logits=self.direction(shared),
            position=self.position(shared).tanh().squeeze(1),
            volatility=log_volatility.exp().squeeze(1),
            risk_logit=self.risk(shared).squeeze(1),
        )
