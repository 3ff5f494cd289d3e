"""Terms: what a window says by itself, before anything is learned.

A term is a feature of one bar, or the product of two such features, of the same bar or of two; its
age counts bars back from the newest one. Which terms there are, and their weights,
`core.learning.screening` finds in closed form. Training leaves them alone: moved with the rest,
they lost more than they gained.

Letters: B windows, S bars, F features of a bar, P terms, L newest bars that are answered for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.config import ModelConfig

CLIP = 5.0  # of a product, as features are clipped: two extremes at once are no stronger evidence


class Term(NamedTuple):
    """One feature, or the product of two."""

    age: int  # bars back from the newest
    feature: int
    other_age: int = 0
    other: int | None = None  # a second feature that the first is multiplied by

    def named(self, features: Sequence[str]) -> str:
        """In words: `return_1, 20 bars ago × rsi_14`."""
        one = _aged(features[self.feature], self.age)
        if self.other is None:
            return one
        return f"{one} × {_aged(features[self.other], self.other_age)}"


def _aged(feature: str, age: int) -> str:
    return f"{feature}, {age} bar{'s'[: age != 1]} ago" if age else feature


class Terms(nn.Module):
    """The weighted sum of terms: (B, S, F) -> (B, L)."""

    index: Tensor
    weight: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """All features of the newest bar, and room for `config.terms` more; weights are 0."""
        super().__init__()
        self.one = config.n_features  # column of a constant 1
        self.capacity = config.n_features + config.terms
        self.register_buffer("weight", torch.zeros(self.capacity))
        self.register_buffer("index", torch.zeros(self.capacity, 4, dtype=torch.int64))
        self.put([Term(0, feature) for feature in range(config.n_features)], torch.zeros(self.one))

    def put(self, terms: Sequence[Term], weights: Tensor) -> None:
        """Take these terms and weights (P,) in place of those that were.

        Raises:
            ValueError: there are more terms than the config has room for.
        """
        if len(terms) > self.capacity:
            raise ValueError(f"there is room for {self.capacity} terms, not for {len(terms)}")
        rows = [
            (term.age, term.feature, term.other_age, self.one if term.other is None else term.other)
            for term in terms
        ]
        rows += [(0, self.one, 0, self.one)] * (self.capacity - len(rows))
        self.index.copy_(torch.tensor(rows))
        self.weight.zero_()
        self.weight[: len(terms)] = weights

    def forward(self, x: Tensor, last: int = 1) -> Tensor:
        """The sum at each of the `last` newest bars; a bar before the window counts as 0."""
        bars, steps = nn.functional.pad(x, (0, 1), value=1.0), x.shape[1]
        newest = torch.arange(steps - last, steps, device=x.device).unsqueeze(1)  # (L, 1)
        value = torch.ones((), device=x.device)
        for age, feature in (self.index[:, :2].unbind(1), self.index[:, 2:].unbind(1)):
            row = newest - age  # (L, P)
            value = value * bars[:, row.clamp(min=0), feature] * (row >= 0)
        total: Tensor = (value.clamp(-CLIP, CLIP) * self.weight).sum(dim=2)
        return total
