"""Ranks: the processes that share the steps of one training.

The loss of a step is the mean over its blocks. A rank takes whole blocks, every `count`-th of them,
and gradients are summed over ranks: the step is that of one process with the same blocks, up to the
order in which floating-point numbers are added.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Ranks(Protocol):
    """Which of how many processes this is, and how they add up what each of them has."""

    rank: int  # 0 to count - 1
    count: int

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks."""
        ...


class Alone:
    """One process, which has everything."""

    rank, count = 0, 1

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Nothing to add."""


ALONE = Alone()
