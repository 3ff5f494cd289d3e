"""Windows: 60 bars of features behind every decision, as a view on one array, never materialised.

Letters: T rows of the clock, N symbols, F features, S steps of a window, L consecutive dates.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.errors import TrainingError

MOST_DATES = 60  # of a block: as many bars again as the window of its first date has


def stretches_of(grid: Tensor, block: "Block", steps: int) -> Tensor:
    """The bars that the windows of a block are made of: (K, S - 1 + L, F), contiguous."""
    rows = grid[block.dates.start - steps + 1 : block.dates.stop]
    chosen = torch.from_numpy(block.symbols).to(rows.device)
    return rows.index_select(1, chosen).transpose(0, 1).contiguous()


def windows_of(grid: Tensor, dates: slice, symbols: NDArray[np.int64] | None, steps: int) -> Tensor:
    """Windows that end on each of `dates`, for each of `symbols`.

    Args:
        grid: scaled features, (T, N, F).
        dates: rows decided on, `start >= steps - 1`.
        symbols: columns, or None for all.
        steps: S, bars of one window.

    Returns:
        (L, K, S, F), a copy that is contiguous in the order in which a network reads it.
    """
    rows = grid[dates.start - steps + 1 : dates.stop]
    if symbols is not None:
        rows = rows.index_select(1, torch.from_numpy(symbols))
    return rows.unfold(0, steps, 1).permute(0, 1, 3, 2).contiguous()


@dataclass(frozen=True)
class Block:
    """Consecutive dates with their cross-section: what a loss is computed on."""

    dates: slice
    symbols: NDArray[np.int64]  # (K,)


class BlockSampler:
    """Draws blocks of about `windows` windows from the rows that may be trained on.

    The book's loss is about a book: its dates are consecutive, and its symbols are the whole
    cross-section. What a step costs grows with the market then, which a GPU bears; on a CPU,
    markets of more than `symbols` symbols give a random part of that size, drawn anew for every
    block. Blocks are long where symbols are few, for a stretch of dates is encoded at once: 60
    dates cost twice what one does. They are no longer than that, however few the symbols.
    """

    def __init__(
        self,
        usable: NDArray[np.bool_],
        rows: Rows,
        windows: int,
        min_dates: int = 8,
        symbols: int = 0,
    ) -> None:
        """`usable`: (T, N), whether a decision may be trained on; only `rows` are looked at.

        `symbols`: how many of a date's at most; 0 means all.
        """
        inside = usable[rows.first : rows.last + 1]
        present = max(1, int(inside.any(axis=0).sum()))
        self.width = min(present, symbols) if symbols else present
        self.length = min(max(min_dates, min(windows // self.width, MOST_DATES)), len(rows))
        starts = np.arange(rows.first, rows.last + 2 - self.length)
        # A block needs symbols at its first and its last date; holes between are masked.
        ready = usable[starts].any(axis=1) & usable[starts + self.length - 1].any(axis=1)
        self.starts, self.usable = starts[ready], usable
        if not len(self.starts):
            raise TrainingError(
                f"the training window is empty: no {self.length} consecutive dates of rows "
                f"{rows.first} to {rows.last} begin and end with a symbol to learn from"
            )

    def block(self, *key: int) -> Block:
        """The block of a key, such as (seed, step, place): equal keys, equal blocks.

        Nothing is remembered between calls, so that a training that was interrupted, or is shared
        by several processes, draws what an uninterrupted one in a single process draws.
        """
        generator = np.random.default_rng(key)
        start = int(generator.choice(self.starts))
        dates = slice(start, start + self.length)
        present = np.flatnonzero(self.usable[dates].any(axis=0))
        chosen = generator.permutation(present)[: self.width]
        return Block(dates, np.sort(chosen))
