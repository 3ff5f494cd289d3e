"""The network: read this first.

    window (B, T, F) ─┬─ xLSTM encoder ───────┬─ branch fusion ── temporal fusion ── z (B, D)
                      └─ Transformer encoder ─┘   (which view)      (which bars)        │
    notional book (B, S) ── position state ─────────────────────────────────────────────┴─ heads

B windows, T bars in a window, F features of a bar, D channels, S columns of the book.
Presets leave the book out (`position_state` false): with it the answers are no better.
Everything before the book is `encode`, which runs once over a block of dates; `heads` then runs
date by date, because each date's book follows from the answers of the date before.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.fusion import BranchFusion, TemporalFusion
from trading_pipeline.core.model.heads import Heads, Outputs
from trading_pipeline.core.model.transformer import TransformerEncoder
from trading_pipeline.core.model.xlstm import XLSTMEncoder

WORTH_SHARING = 256  # channels from which one multiplication is worth two threads


class TradingNetwork(nn.Module):
    """xLSTM and Transformer in parallel, fused by attention, with five heads."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        """Weights are drawn from `seed` alone; the global random state is left as it was."""
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.xlstm = XLSTMEncoder(config)
            self.transformer = TransformerEncoder(config)
            self.branch_fusion = BranchFusion(config)
            self.temporal_fusion = TemporalFusion(config)
            self.answers = Heads(config)

    def forward(self, x: Tensor, book: Tensor) -> Outputs:
        """`encode`, then `heads`."""
        return self.heads(self.encode(x), book)

    def encode(self, x: Tensor) -> Tensor:
        """Everything that comes before the position state.

        Args:
            x: (B, T, F), scaled features, finite, oldest bar first; T at most `n_steps`.

        Returns:
            (B, D). A window's encoding does not depend on the other windows of the batch.

        Raises:
            ValueError: the window has another number of features, or too many bars.
        """
        most, features = self.config.n_steps, self.config.n_features
        if x.dim() != 3 or x.shape[2] != features or not 1 <= x.shape[1] <= most:
            raise ValueError(
                f"windows must be (B, 1 to {most} bars, {features} features), were {tuple(x.shape)}"
            )
        fused, _ = self.branch_fusion(self.xlstm(x), self.transformer(x))
        z: Tensor = self.temporal_fusion(fused)[0]
        return z

    def heads(self, z: Tensor, book: Tensor) -> Outputs:
        """The answers, from encoded windows (B, D) and the book's features (B, S)."""
        answers: Outputs = self.answers(z, book)
        return answers


@contextmanager
def threads_for(config: ModelConfig) -> Iterator[None]:
    """One thread for a small network, torch's own choice for a large one.

    Small multiplications spend their time waiting for each other, and the waiting threads spin: on
    a busy machine a training step of the `tiny` preset took ten times as long with two threads as
    with one. A fixed count also makes the sums the same in training, backtest and paper trading.
    """
    before = torch.get_num_threads()
    if max(config.xlstm_width, config.transformer_width) < WORTH_SHARING:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
