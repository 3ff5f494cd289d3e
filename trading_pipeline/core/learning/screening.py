"""Screening: which terms of a window tell the target, and how much, in closed form.

A network that starts from random weights spends its training on finding again what a regression
finds in a second, and never finds which two of thousands of bars' features matter together: of
each the gradient is a thousandth of the noise. So training starts from a sum of `Term`s:

1. features of any bar of the window, one after another the one with the largest t statistic on
   what those before leave (orthogonal matching pursuit), while it is beyond what the largest of as
   many without any say would show once in twenty times (Bonferroni);
2. products of two features of any two bars, by the same rule. All pairs are looked at on a part of
   the windows first, and the best of them then on all (sure independence screening);
   For targets of h bars, which overlap, the error of a statistic is that of the returns of single
   bars on sums of the term over h bars, which do not: estimates from autocovariances are too noisy
   for the far tail that the best of millions is in (Hodrick 1992, standard errors 1B);
3. one regression on what was found, and on all features of the newest bar, whose coefficients alone
   are shrunk, by a penalty that is cross-validated: a sparse part and a dense one.

Sources: Mallat & Zhang (1993), Matching Pursuits with Time-Frequency Dictionaries; Fan & Lv (2008),
Sure Independence Screening for Ultrahigh Dimensional Feature Space; Hao & Zhang (2014), Interaction
Screening for Ultrahigh-Dimensional Data; Hodrick (1992), Dividend Yields and Expected Stock
Returns; Chernozhukov, Hansen & Liao (2017), A Lava Attack on the Recovery of Sums of Dense and
Sparse Signals.

Letters: T dates that are learned from, N symbols, F features, S bars of a window, C columns.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.model.terms import CLIP, Term

FALSE_ALARM = 0.05  # chance that noise gives any term, of each kind
_PAIR_WINDOWS = 16_000  # on which all pairs are looked at: of 100 symbols each sixth date
_PAIR_CANDIDATES = 192  # that are looked at on all windows; many are one pair a bar apart
_PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)  # × squares of a column
_PARTS = 5  # of the training window, of consecutive dates, for cross-validation
_CHUNK = 8  # dates at once
_COLUMNS = 600  # at once, of features of all bars
_ALIKE = 1e-3  # spread across symbols, in standard deviations, below which there is but rounding


class Found(NamedTuple):
    """What a window says by itself: an expected residual return in units of σ√h."""

    terms: list[Term]
    weights: Tensor  # (P,)
    t: list[float]  # of the terms that were picked out, which come first

    def in_words(self, features: Sequence[str]) -> list[dict[str, Any]]:
        """Term, weight and t of those that were picked out, as plain types, the first one first.

        A weight is what a term adds to the expected return, in units of σ√h, when it is 1: for a
        feature, when it is one standard deviation above its mean.
        """
        return [
            {"term": term.named(features), "weight": weight, "t": t}
            for term, weight, t in zip(self.terms, self.weights.tolist(), self.t, strict=False)
        ]


class _Window:
    """The training window: the target without the mean of its date, and columns alike, (T, N)."""

    def __init__(self, samples: Samples, rows: Rows, n_steps: int, horizon: int) -> None:
        self.grid, self.n_steps, self.horizon = samples.grid, n_steps, horizon
        self.first, self.stop = rows.first, rows.last + 1
        self.known = torch.from_numpy(samples.usable[self.first : self.stop])
        self.target = self.demeaned(samples.price[self.first : self.stop])
        bar = samples.next_residual[self.first : self.stop]
        self.bar = self.demeaned(bar.nan_to_num(nan=0.0))
        self.summed = _moving_sum(self.grid, horizon)

    def demeaned(self, values: Tensor) -> Tensor:
        """Minus the mean over the known symbols of a date, and 0 where unknown."""
        known = values.where(self.known, torch.zeros_like(values))
        mean = known.sum(dim=1, keepdim=True) / self.known.sum(dim=1, keepdim=True).clamp(min=1)
        return (known - mean).where(self.known, torch.zeros_like(values))

    def bars(self, age: int) -> Tensor:
        """The features of the bars of that age, (T, N, F)."""
        return self.grid[self.first - age : self.stop - age]

    def values(self, term: Term, earlier: int = 0) -> Tensor:
        """What a term is on dates `earlier` bars before, (T, N); 0 where there is no such bar."""
        values = self._bars(term.age + earlier, term.feature)
        if term.other is not None:
            values = values * self._bars(term.other_age + earlier, term.other)
        return values.clamp(-CLIP, CLIP)

    def _bars(self, age: int, feature: int) -> Tensor:
        start, stop = self.first - age, self.stop - age
        kept = self.grid[max(start, 0) : stop, :, feature]
        return torch.nn.functional.pad(kept, (0, 0, max(-start, 0), 0))

    def column(self, term: Term) -> Tensor:
        """The values of a term as a regressor, (T, N)."""
        return self.demeaned(self.values(term))

    def tells_apart(self, term: Term) -> bool:
        """Whether symbols of a date differ in a term at all, which those in the market's do not."""
        return float(self.column(term).square().sum()) > _ALIKE**2 * int(self.known.sum())

    def errors(self) -> Tensor:
        """Standard errors of Σ target × feature if nothing is told, by age and feature: (S, F)."""
        return torch.stack(
            [
                self._error(torch.einsum("tn,tnf->tf", self.bar, self._summed(age)))
                for age in range(self.n_steps)
            ]
        )

    def error_of(self, term: Term) -> Tensor:
        """The same of a term, scalar."""
        summed = torch.stack([self.values(term, k) for k in range(self.horizon)]).sum(dim=0)
        return self._error((self.bar * summed).sum(dim=1))

    def _summed(self, age: int) -> Tensor:
        return self.summed[self.first - age : self.stop - age]

    def _error(self, moments: Tensor) -> Tensor:
        """From moments of dates (T, ...): those of a date count as one."""
        centred = moments - moments.mean(dim=0)
        variance: Tensor = centred.square().sum(dim=0) / self.horizon
        return variance.sqrt()

    def t(self, moved: Tensor, error: Tensor) -> Tensor:
        """t statistics; 0 of what is the same for all symbols of a date: its error is rounding."""
        return torch.where(error > _ALIKE * self.bar.norm(), moved / error, 0.0)

    def threshold(self, count: int) -> float:
        """The |t| that the largest of `count` without any say exceeds with `FALSE_ALARM`."""
        return float(student.isf(FALSE_ALARM / 2 / count, max(len(self.target) - 1, 1)))


def _moving_sum(grid: Tensor, count: int) -> Tensor:
    """Sum of each bar and the `count` - 1 before it, of those that there are; (T, ...) as given."""
    summed = grid.clone()
    for back in range(1, count):
        summed[back:] += grid[:-back]
    return summed


def find_terms(samples: Samples, rows: Rows, n_steps: int, horizon: int, room: int) -> Found:
    """The terms that tell the price target of the training rows, and their weights.

    Args:
        samples: on the CPU.
        rows: that may be learned from; nothing after them is read.
        n_steps: S; terms are of the S newest bars.
        room: terms that may be picked out at most, half of them products. All features of the
            newest bar come besides.

    Returns:
        Nothing but zeros where no date has eight symbols: there is no cross-section to tell apart.
    """
    window, n_features = _Window(samples, rows, n_steps, horizon), samples.grid.shape[2]
    if room == 0 or int(window.known.sum(dim=1).max()) < MIN_CROSS_SECTION:
        return Found([Term(0, f) for f in range(n_features)], torch.zeros(n_features), [])
    pursuit = _Pursuit(window)
    error = window.errors().flatten()

    def features(residual: Tensor) -> Tensor:
        moved = [torch.einsum("tn,tnf->f", residual, window.bars(age)) for age in range(n_steps)]
        return window.t(torch.cat(moved), error)

    anywhere = [Term(age, f) for age in range(n_steps) for f in range(n_features)]
    pursuit.extend(anywhere, features, len(anywhere), room - room // 2)
    candidates = _pair_candidates(window, pursuit.residual)
    columns = torch.empty(*window.target.shape, len(candidates))  # large: filled, not stacked
    for place, term in enumerate(candidates):
        columns[:, :, place] = window.column(term)
    pair_error = torch.stack([window.error_of(term) for term in candidates])

    def products(residual: Tensor) -> Tensor:
        return window.t(torch.einsum("tn,tnc->c", residual, columns), pair_error)

    pursuit.extend(candidates, products, (n_steps * n_features) ** 2 // 2, room // 2)
    picked = pursuit.terms
    newest = (Term(0, f) for f in range(n_features))
    rest = [term for term in newest if term not in picked and window.tells_apart(term)]
    return Found(picked + rest, _weights(window, picked, rest), pursuit.t)


class _Pursuit:
    """Orthogonal matching pursuit: terms picked one after another on what those before leave."""

    def __init__(self, window: _Window) -> None:
        self.window, self.residual = window, window.target
        self.terms: list[Term] = []
        self.t: list[float] = []  # of each when it was picked
        self._directions: list[Tensor] = []  # orthonormal columns, (T, N)

    def extend(
        self,
        candidates: list[Term],
        statistics: Callable[[Tensor], Tensor],
        count: int,
        room: int,
    ) -> None:
        """Pick at most `room` candidates.

        Args:
            statistics: t of the candidates, (C,), on a residual (T, N).
            count: how many the candidates are the best of.
        """
        threshold = self.window.threshold(count)
        for _ in range(room):
            found = statistics(self.residual)
            best = int(found.abs().argmax())
            if not found[best].abs() > threshold or not self._take_off(candidates[best]):
                break
            self.terms.append(candidates[best])
            self.t.append(float(found[best]))

    def _take_off(self, term: Term) -> bool:
        """Take from the residual what a term tells; false where those before tell all of it."""
        column = self.window.column(term)
        left = column
        for direction in self._directions:
            left = left - (direction * left).sum() * direction
        if left.norm() < 1e-3 * column.norm():
            return False
        self._directions.append(left / left.norm())
        self.residual = (
            self.residual - (self._directions[-1] * self.residual).sum() * (self._directions[-1])
        )
        return True


def _little(squares: Tensor) -> Tensor:
    """A diagonal that keeps equations of equal columns solvable, and moves no others."""
    return torch.diag(1e-7 * squares.diagonal() + 1e-9)


def _pair_candidates(window: _Window, residual: Tensor) -> list[Term]:
    """The pairs whose products move most with what is left to tell, on a part of the dates."""
    n_symbols, n_features = window.grid.shape[1:]
    size, dates = window.n_steps * n_features, len(residual)
    total = torch.zeros(size, size)
    every = max(1, dates * n_symbols // _PAIR_WINDOWS)
    for chunk in torch.arange(0, dates, every).chunk(max(1, dates // (every * _CHUNK))):
        newest = window.first + chunk  # (c,)
        rows = window.grid[newest.unsqueeze(1) - torch.arange(window.n_steps)]  # (c, S, N, F)
        x = rows.transpose(1, 2).reshape(-1, size)  # age by age
        told = (x * residual[chunk].reshape(-1, 1)).T
        for first in range(0, size, _COLUMNS):  # a pair is looked at once: nothing below them
            part = slice(first, first + _COLUMNS)
            total[part, first:].addmm_(told[part], x[:, first:])
    moved = (total / _spread_of_pairs(window, every).repeat(window.n_steps, window.n_steps)).triu()
    moved.diagonal().div_(2**0.5)  # squares of normal features spread so much wider
    best = moved.abs().flatten().topk(min(_PAIR_CANDIDATES, size)).indices.tolist()
    places = [divmod(place, size) for place in best]
    return [Term(*divmod(one, n_features), *divmod(other, n_features)) for one, other in places]


def _spread_of_pairs(window: _Window, every: int) -> Tensor:
    """How much wider sums of products spread where features persist and targets overlap, (F, F).

    The square root of 1 + 2 Σ (1 - k / h) r(k) r'(k), over the lags k < h between the dates that
    are looked at, `every` so many, of the two features' autocorrelations r and r'.
    """
    bars = window.grid[window.first : window.stop]
    bars = bars - bars.mean(dim=(0, 1))
    variance = bars.square().mean(dim=(0, 1)).clamp(min=1e-9)
    spread = torch.ones(bars.shape[2], bars.shape[2])
    for lag in range(every, min(window.horizon, len(bars)), every):
        correlation = (bars[lag:] * bars[:-lag]).mean(dim=(0, 1)) / variance
        spread += 2 * (1 - lag / window.horizon) * torch.outer(correlation, correlation)
    return spread.clamp(min=1.0).sqrt()


def _weights(window: _Window, picked: list[Term], rest: list[Term]) -> Tensor:
    """Coefficients of the terms, (P,), those of `rest` shrunk by a cross-validated penalty."""
    if not picked + rest:
        return torch.zeros(0)
    x = torch.stack([window.column(term).flatten() for term in picked + rest], dim=1).double()
    target = window.target.flatten().double()
    edges = np.linspace(0, len(window.target), _PARTS + 1).astype(int).tolist()

    def sums(first: int, stop: int) -> tuple[Tensor, Tensor]:
        rows = slice(first * window.target.shape[1], stop * window.target.shape[1])
        return x[rows].T @ x[rows], x[rows].T @ target[rows]

    parts = [sums(first, stop) for first, stop in pairwise(edges)]
    # Targets of the dates beside another part share returns with those of that part.
    h = window.horizon if window.horizon < (edges[1] - edges[0]) // 3 else 0
    inside = [sums(first + h, stop - h) for first, stop in pairwise(edges)]
    squares = torch.stack([each for each, _ in parts]).sum(dim=0)
    moments = torch.stack([each for _, each in parts]).sum(dim=0)

    shrunk = squares.diagonal() + 1e-9
    shrunk[: len(picked)] = 0.0

    def solved(squares: Tensor, moments: Tensor, penalty: float) -> Tensor:
        """Coefficients under a penalty; an infinite one leaves those it falls on at 0."""
        held = len(picked) if penalty == np.inf else len(moments)
        diagonal = 0.0 if penalty == np.inf else torch.diag(penalty * shrunk)[:held, :held]
        kept = (squares + _little(squares))[:held, :held] + diagonal
        return torch.nn.functional.pad(
            torch.linalg.solve(kept, moments[:held]), (0, len(moments) - held)
        )

    def error(penalty: float) -> float:
        """Squared error on parts that the coefficients were not fitted on, but for a constant."""
        total = 0.0
        for (left_out, told), (inner, inner_told) in zip(parts, inside, strict=True):
            beta = solved(squares - left_out, moments - told, penalty)
            total += float(beta @ inner @ beta - 2 * beta @ inner_told)
        return total

    return solved(squares, moments, min(_PENALTIES, key=error)).float()
