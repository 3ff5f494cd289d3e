"""What a book earns that no mix of the baselines would have: the alpha of a spanning regression.

The daily return of the book is regressed on those of all baselines jointly, with an intercept:
Huberman and Kandel, Mean-Variance Spanning, Journal of Finance 42 (1987). Its standard error allows
for changing volatility and for dependence between days: Newey and West (1987), with the lags of
Newey and West, Automatic Lag Selection in Covariance Matrix Estimation (1994), and the critical
values of such a lag window.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.long_run import critical_value, long_run_variance

# Of a baseline's length, which the ones before it leave unexplained: below, it is a copy of them.
# Many are: the same rule bare and managed correlates 0.99 in a calm market.
COPY = 0.01
_NONE = 1e-9  # of a length: what is left below it is rounding


class Spanning(NamedTuple):
    """A book as a mix of baselines, and what is left of it."""

    alpha: Estimate  # a day, as a fraction; without ends where nothing is left to judge
    stream: Floats  # (D,) alpha and residual: the daily return that no mix explains
    baselines: tuple[str, ...]  # regressed on; those that copy earlier ones are left out
    unexplained: float  # standard deviation of the residual over that of the book, in [0, 1]


class Regressors(NamedTuple):
    """What baselines span over D days, and an intercept; ready for any number of books."""

    names: tuple[str, ...]  # those that are no copy of earlier ones
    basis: list[Floats]  # orthonormal, (D,) each, of all that they span
    constant: Floats  # (D,) what they leave unexplained of the same return every day

    @classmethod
    def of(cls, baselines: Mapping[str, Floats], days: int) -> Self:
        """Of daily returns (D,) of each; earlier ones come first."""
        names, basis = _independent(baselines)
        return cls(names, basis, _residual(np.ones(days), basis))

    @property
    def weight(self) -> float:
        """Sum of squares of what the baselines leave of the constant."""
        return float((self.constant * self.constant).sum())

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residual."""
        return len(self.constant) - len(self.basis) - 1

    def fit(self, book: Floats) -> tuple[float, Floats]:
        """The alpha of a book (D,) and its residual (D,); NaN and what is left without an alpha."""
        left, weight = _residual(book, self.basis), self.weight
        if weight < _NONE * len(book) or self.freedom <= len(self.basis):
            return float("nan"), left
        alpha = float((self.constant * book).sum()) / weight
        return alpha, left - alpha * self.constant


def spanning(book: Floats, baselines: Mapping[str, Floats]) -> Spanning:
    """Regress daily returns (D,) on those of baselines, (D,) each; earlier baselines come first.

    The alpha has no interval where the book is a mix of the baselines to rounding, where a mix of
    them earns the same every day, or where the days are fewer than twice the baselines.
    """
    given = Regressors.of(baselines, len(book))
    alpha, error = given.fit(book)
    if np.isnan(alpha):
        return Spanning(Estimate(alpha), error, given.names, alpha)
    unexplained = _share(error, book - book.mean())
    stream = alpha + error
    if unexplained < _NONE:
        return Spanning(Estimate(alpha), stream, given.names, unexplained)
    lags = int(4 * (len(book) / 100) ** (2 / 9))
    variance = long_run_variance(given.constant * error, lags) * len(book) / given.weight**2
    reach = float(critical_value(lags / len(book)) * np.sqrt(variance * len(book) / given.freedom))
    ends = Estimate(alpha, alpha - reach, alpha + reach)
    return Spanning(ends, stream, given.names, unexplained)


def unexplained_streams(books: Floats, baselines: Mapping[str, Floats]) -> Floats:
    """The `stream` of each of many books, (D, K) -> (D, K), on the days that it saw; NaN elsewhere.

    Books that saw the same days share their regressors.

    Args:
        books: daily returns (D, K), NaN where unseen. baselines: (D,) each, as of `spanning`.
    """
    streams, given = np.full(books.shape, np.nan), dict[bytes, Regressors]()
    for column, own in enumerate(books.T):
        seen = np.isfinite(own)
        days = seen.tobytes()
        if days not in given:
            rules = {name: each[seen] for name, each in baselines.items()}
            given[days] = Regressors.of(rules, int(seen.sum()))
        alpha, error = given[days].fit(own[seen])
        streams[seen, column] = error if np.isnan(alpha) else alpha + error
    return streams


def _independent(baselines: Mapping[str, Floats]) -> tuple[tuple[str, ...], list[Floats]]:
    """The baselines that are no mix of earlier ones, and an orthonormal basis of all they span.

    Gram-Schmidt, each twice, by sums: no matrix product, whose last digits depend on the threads.
    """
    names: list[str] = []
    basis: list[Floats] = []
    for name, returns in baselines.items():
        left = _residual(_residual(returns, basis), basis)
        if _share(left, returns) > COPY:
            names.append(name)
            basis.append(left / np.sqrt((left * left).sum()))
    return tuple(names), basis


def _residual(values: Floats, basis: list[Floats]) -> Floats:
    for direction in basis:
        values = values - direction * (direction * values).sum()
    return values


def _share(part: Floats, whole: Floats) -> float:
    """Length of a part over that of the whole, (D,) each; 0 where the whole has none."""
    length = float((whole * whole).sum())
    return float(np.sqrt((part * part).sum() / length)) if length > 0 else 0.0
