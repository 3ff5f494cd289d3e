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


# What each answer begins to take of the terms' sum, an expected return in units of σ√h, which the
# price takes whole: the three directions as the log odds of a normal's terciles move with its mean,
# the risk as those of its tail beyond 2 do. A position is as large as its return promises; the
# volatility takes nothing.
TAKES = (-1.1, 0.0, 1.1, 3.0, 0.0, -2.4)


class Outputs(NamedTuple):
    """What the network says; h is the horizon, σ the volatility of a bar known at the decision."""

    price: Tensor  # (B), expected open-to-open return over h bars, in units of σ√h
    direction_logits: Tensor  # (B, 3), of down, flat, up
    position: Tensor  # (B), what it would hold, [-1, 1]
    volatility: Tensor  # (B), > 0: forecast volatility of a bar over h, as a multiple of σ
    risk_logit: Tensor  # (B), of an adverse excursion beyond 2σ√h within h bars


class Heads(nn.Module):
    """From the encoded window with the sum of its terms, and the book, to the answers.

    The price head's own weights are 0 at first, so that training begins at what the terms say.
    """

    gain: Tensor

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
        self.takes = nn.Parameter(torch.tensor(TAKES))
        nn.init.zeros_(self.price.weight)
        nn.init.zeros_(self.price.bias)
        # How much of what the encoders add to the price is believed, [0, 1]; set after training.
        self.register_buffer("gain", torch.ones(()))

    def forward(self, z: Tensor, book: Tensor) -> Outputs:
        """Answer.

        Args:
            z: (B, D + 1), from `TradingNetwork.encode`.
            book: (B, S), from `NotionalBook.features`; not looked at when the config leaves the
                position state out.
        """
        z, terms = z[:, :-1], z[:, -1]
        path = terms.unsqueeze(1) * self.takes  # (B, 6)
        if self.state is not None:
            z = torch.cat([z, self.state(book)], dim=1)
        shared = self.dropout(F.gelu(self.trunk(z)))
        log_volatility = self.volatility(shared).squeeze(1) + path[:, 4]
        return Outputs(
            price=terms + self.gain * self.price(shared).squeeze(1),
            direction_logits=path[:, :3] + self.direction(shared),
            position=(path[:, 3] + self.position(shared).squeeze(1)).tanh(),
            volatility=(LOG_VOLATILITY * (log_volatility / LOG_VOLATILITY).tanh()).exp(),
            risk_logit=path[:, 5] + self.risk(shared).squeeze(1),
        )
