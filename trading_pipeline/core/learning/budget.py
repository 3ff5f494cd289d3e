"""A budget in the words of most training scripts, epochs and batches, in ours: steps and blocks."""

from dataclasses import replace
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.learning.windows import MOST_DATES, BlockSampler
from trading_pipeline.core.model.config import TrainingConfig

LOOKS = 20  # at validation, at most, of a budget in epochs: each one is saved, and takes a moment


class Epochs(NamedTuple):
    """What epochs come to on the bars of a fold."""

    windows: int  # that the fold trains on
    batch: int  # windows of a step at most; a symbol without a bar leaves a hole
    steps: int  # of an epoch

    def text(self, training: TrainingConfig) -> str:
        """For a person, who may not know what they asked for."""
        steps = training.steps
        return (
            f"{training.epochs:,} epochs of {self.windows:,} windows are {steps:,} steps of "
            f"{self.batch:,} windows, {steps * self.batch:,} in all"
        )


def with_batch(training: TrainingConfig, windows: int, processes: int = 1) -> TrainingConfig:
    """Steps of about so many windows.

    A step learns from blocks of consecutive dates with their cross-section, so a batch of 64 is a
    block of 8 symbols on 8 dates, or of 4 on 16. One that is larger than a block of the preset is
    made of several. Never more than a market has: a block is of 60 dates at most.

    Raises:
        ValueError: fewer than the dates of the smallest block, for each of the processes.
    """
    blocks = max(ceil(windows / training.windows), processes)
    own = windows // blocks
    if own < training.min_dates:
        raise ValueError(
            f"a batch must have at least {training.min_dates * processes} windows, was {windows}: "
            f"a step learns from {training.min_dates} consecutive dates"
        )
    fitting = own // training.min_dates
    asked = max(training.symbols, ceil(own / MOST_DATES)) if training.symbols else fitting
    return replace(training, windows=own, blocks=blocks, symbols=min(fitting, asked))


def epochs_of(
    training: TrainingConfig, usable: NDArray[np.bool_], rows: Rows
) -> tuple[TrainingConfig, Epochs | None]:
    """A training whose epochs are steps, by the windows that there are; as it is, without epochs.

    An epoch is as many steps as it takes to look at as many windows as the fold trains on. Blocks
    are drawn at random, so that in one epoch some windows come twice and others not at all.

    Args:
        usable: (T, N), whether a decision may be trained on. rows: that the fold trains on.
    """
    if not training.epochs:
        return training, None
    sampler = BlockSampler(usable, rows, training.windows, training.min_dates, training.symbols)
    windows = int(usable[rows.first : rows.last + 1].sum())
    batch = sampler.width * sampler.length * training.blocks
    each = max(1, ceil(windows / batch))
    steps = training.epochs * each
    looks = max(each, ceil(steps / LOOKS))
    asked = replace(training, steps=steps, warmup=steps // 10, evaluate_every=looks)
    return asked, Epochs(windows, batch, each)
