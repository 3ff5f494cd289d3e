"""The network's rivals: what anyone would try first, on the samples that the network learns from.

A rival knows the price head's target alone: the h-bar residual return in units of σ√h. Letters:
L dates, N symbols, S steps of a window, F features.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.model.rivals import RIVALS

Array = NDArray[np.float64]


class Rival(Protocol):
    """A fitted rival, and how it is made. Its row is in `core/model/rivals.py`."""

    @classmethod
    def fit(cls, samples: Samples, fold: Fold, steps: int) -> Self:
        """Learn from the fold's training rows, and choose on its validation rows what is to be
        chosen; see `fit` below."""
        ...

    def score(self, windows: Tensor) -> Array:
        """The price target that is expected at the end of each scaled window: (N, S, F) -> (N,)."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""
        ...

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError for what cannot be such a model."""
        ...


class Frequencies(NamedTuple):
    """How often things happened in training: a forecast that needs no model."""

    direction: tuple[float, float, float]  # down, flat, up; they sum to 1
    risk: float  # an adverse excursion

    @classmethod
    def of(cls, samples: Samples, rows: Rows) -> Self:
        """Over the usable rows; even ones where nothing is known."""
        here = slice(rows.first, rows.last + 1)
        classes = samples.direction[here].numpy()[samples.usable[here]]
        counts = np.bincount(classes[classes >= 0], minlength=3)[:3]
        happened = samples.risk[here].double().numpy()[samples.usable[here]]
        known = happened[np.isfinite(happened)]
        shares = counts / counts.sum() if counts.sum() else np.full(3, 1 / 3)
        down, flat, up = (float(each) for each in shares)
        return cls((down, flat, up), float(known.mean()) if len(known) else 0.0)


def fit(name: str, samples: Samples, fold: Fold, steps: int = 60) -> Rival:
    """Learn from the fold's training rows, and choose on its validation rows what is to be chosen.

    Args:
        name: one of `LEARNED_BASELINES`.
        samples: on the CPU.
        steps: S, bars of a window, all of them before the first row of training.

    Raises:
        ValueError: no rival has that name.
    """
    return _class(name).fit(samples, fold, steps)


def from_dict(name: str, plain: Mapping[str, Any]) -> Rival:
    """What `to_dict` of the rival of that name said.

    Raises:
        ValueError, KeyError, TypeError: it cannot be such a rival.
    """
    return _class(name).from_dict(plain)


def _class(name: str) -> type[Rival]:
    if name not in RIVALS:
        raise ValueError(f"no learned baseline is called {name!r}")
    module, _, kind = RIVALS[name].place.partition(":")
    found: type[Rival] = getattr(import_module(f"{__package__}.{module}"), kind)
    return found


def scores_on(rival: Rival, samples: Samples, rows: Rows, steps: int = 60) -> Array:
    """Scores of all symbols on consecutive dates, (L, N): date by date, as predictions are made."""
    dates = range(rows.first, rows.last + 1)
    return np.stack(
        [rival.score(samples.grid[date - steps + 1 : date + 1].transpose(0, 1)) for date in dates]
    )
