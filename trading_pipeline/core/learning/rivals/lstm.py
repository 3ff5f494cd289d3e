"""One LSTM layer (Hochreiter and Schmidhuber, 1997) on the windows that the network reads.

Letters: N symbols, S steps of a window, F features; blocks of L dates × K symbols.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trading_pipeline.core.learning.losses import huber_loss, information_loss
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.learning.windows import BlockSampler, windows_of
from trading_pipeline.core.model.network import one_thread

WIDTH = 64
STEPS, DATES, SYMBOLS = 300, 16, 16  # a fixed budget: optimizer steps, on blocks of this size
LEARNING_RATE, WEIGHT_DECAY, CLIP, SEED = 1e-3, 1e-2, 1.0, 0

Array = NDArray[np.float64]


class LSTM(nn.Module):
    """The last hidden state, read by a linear layer."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, WIDTH, batch_first=True)
        self.read = nn.Linear(WIDTH, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """(B, S, F) -> (B,)."""
        states, _ = self.lstm(windows)
        answers: Tensor = self.read(states[:, -1]).squeeze(-1)
        return answers

    @classmethod
    def fit(cls, samples: Samples, fold: Fold, steps: int) -> Self:
        """AdamW on Huber's loss and the information coefficient of the price target."""
        drawn = BlockSampler(samples.usable, fold.train, DATES * SYMBOLS, DATES, SYMBOLS)
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = cls(samples.grid.shape[2])
            optimizer = torch.optim.AdamW(
                model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
            )
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
            for step in range(STEPS):
                block = drawn.block(SEED, step)
                windows = windows_of(samples.grid, block.dates, block.symbols, steps)
                target = samples.of_block("price", block)
                price = model(windows.flatten(0, 1)).view(target.shape)
                loss = huber_loss(price, target) + information_loss(price, target)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                schedule.step()
        return model.eval()

    def score(self, windows: Tensor) -> Array:
        """(N, S, F) -> (N,)."""
        with torch.inference_mode(), one_thread():
            scores: Array = self(windows).double().numpy()
        return scores

    def to_dict(self) -> dict[str, Any]:
        """The weights, by name."""
        return dict(self.state_dict())

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError for weights that are not its own."""
        model = cls(plain["lstm.weight_ih_l0"].shape[1])
        try:
            model.load_state_dict(dict(plain))
        except RuntimeError as error:
            raise ValueError(f"the weights are not those of this network ({error})") from error
        if not all(torch.isfinite(each).all() for each in plain.values()):
            raise ValueError("a weight is not finite")
        return model.eval()
