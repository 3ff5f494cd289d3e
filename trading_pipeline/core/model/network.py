"""The network: read this first.

    window (B, T, F) ─┬─ xLSTM encoder ───────┬─ branch fusion ── temporal fusion ─┐
                      ├─ Transformer encoder ─┘   (which view)      (which bars)   ├─ z (B, D + 1)
                      └─ terms: what closed form finds ────────────────────────────┘   │
    notional book (B, S) ── position state ────────────────────────────────────────────┴─ heads

B windows, T bars in a window, F features of a bar, D channels, S columns of the book.
Presets leave the book out (`position_state` false): with it the answers are no better.
Everything before the book is `encode`, which runs once over a block of dates; `heads` then runs
date by date, because each date's book follows from the answers of the date before. Training encodes
a stretch of bars once and answers for each of its last ones (`encode_each`): 60 windows that
overlap in 59 bars then cost two.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.fusion import BranchFusion, TemporalFusion
from trading_pipeline.core.model.heads import Heads, Outputs
from trading_pipeline.core.model.terms import Terms
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
            self.terms = Terms(config)
            self.answers = Heads(config)

    def forward(self, x: Tensor, book: Tensor) -> Outputs:
        """`encode`, then `heads`."""
        return self.heads(self.encode(x), book)

    def encode(self, x: Tensor) -> Tensor:
        """Everything that comes before the position state.

        Args:
            x: (B, T, F), scaled features, finite, oldest bar first; T at most `n_steps`.

        Returns:
            (B, D + 1), the sum of the terms last. A window's encoding does not depend on the other
            windows of the batch.

        Raises:
            ValueError: the window has another number of features, or too many bars.
        """
        most, features = self.config.n_steps, self.config.n_features
        if x.dim() != 3 or x.shape[2] != features or not 1 <= x.shape[1] <= most:
            raise ValueError(
                f"windows must be (B, 1 to {most} bars, {features} features), were {tuple(x.shape)}"
            )
        return self.encode_each(x, last=1)[:, 0]

    def encode_each(self, x: Tensor, last: int) -> Tensor:
        """As `encode`, each of the `last` newest bars as the newest of a window: (B, last, D + 1).

        Args:
            x: (B, S, F), a stretch of S >= `last` bars. The first of the bars answered for sees
                what a window of n_steps shows it when S is n_steps + last - 1; later ones see older
                bars too, by the memory of the xLSTM and through the layers of the Transformer.
        """
        fused, _ = self.branch_fusion(self.xlstm(x), self.transformer(x))
        z, _ = self.temporal_fusion(fused, last)
        return torch.cat([z, self.terms(x, last).unsqueeze(2)], dim=2)

    def heads(self, z: Tensor, book: Tensor) -> Outputs:
        """The answers, from encoded windows (B, D + 1) and the book's features (B, S)."""
        answers: Outputs = self.answers(z, book)
        return answers


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch, and as many as there were afterwards.

    Small multiplications spend their time waiting for each other, and the waiting threads spin: on
    a busy machine a training step of the `tiny` preset took ten times as long with two threads as
    with one. A fixed count also makes the sums the same in training, backtest and paper trading.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_for(config: ModelConfig) -> AbstractContextManager[None]:
    """One thread for a small network, torch's own choice for a large one."""
    wide = max(config.xlstm_width, config.transformer_width) >= WORTH_SHARING
    return nullcontext() if wide else one_thread()
