"""What an account earned and risked: the metrics of the report, one formula each.

Returns are simple returns of one day, oldest first, as fractions; the last axis is time, so the
same function serves one history (D,) and a thousand resampled ones (R, D). Undefined is NaN and
never infinite: an account without a losing day has no Sortino ratio. Ratios are over a zero rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STILL = 1e-12  # a standard deviation below this is rounding, not risk


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, NaN where `bottom` is 0."""
    defined = np.abs(bottom) > STILL
    return np.asarray(np.where(defined, top / np.where(defined, bottom, 1.0), np.nan))


def annual_return(returns: Floats, days_per_year: float) -> Floats:
    """Compound growth a year, in [-1, inf): (R, D) -> (R,). A ruined account reads -1."""
    with np.errstate(divide="ignore"):  # log of nothing left is -inf, and expm1 of that is -1
        growth = np.log1p(returns).mean(axis=-1)
    return np.asarray(np.expm1(growth * days_per_year))


def annual_volatility(returns: Floats, days_per_year: float) -> Floats:
    """Standard deviation (ddof 1) a year, >= 0: (R, D) -> (R,)."""
    return np.asarray(returns.std(axis=-1, ddof=1) * np.sqrt(days_per_year))


def sharpe(returns: Floats, days_per_year: float) -> Floats:
    """Mean over standard deviation (ddof 1), a year: (R, D) -> (R,). NaN when nothing moved.

    Source: Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21 (1994).
    """
    mean, deviation = returns.mean(axis=-1), returns.std(axis=-1, ddof=1)
    return _ratio(mean * np.sqrt(days_per_year), deviation)


def sortino(returns: Floats, days_per_year: float) -> Floats:
    """Mean over downside deviation, a year: (R, D) -> (R,). NaN when no day lost.

    Downside deviation is the root of the mean over all days of min(return, 0) squared.
    Source: Sortino and Price, Performance Measurement in a Downside Risk Framework (1994).
    """
    downside = np.sqrt(np.square(np.minimum(returns, 0)).mean(axis=-1))
    return _ratio(returns.mean(axis=-1) * np.sqrt(days_per_year), downside)


def max_drawdown(returns: Floats, days_per_year: float = 1.0) -> Floats:
    """Deepest fall from a peak of equity, the start included, in [-1, 0]: (R, D) -> (R,).

    A fall is a fact of one history, and longer ones fall deeper. Its interval is therefore not of
    an average but of what another history of as many days would have shown.
    """
    with np.errstate(divide="ignore"):
        path = np.log1p(returns).cumsum(axis=-1)
    below = path - np.maximum.accumulate(np.maximum(path, 0), axis=-1)
    return np.asarray(np.expm1(below.min(axis=-1)))


def calmar(returns: Floats, days_per_year: float) -> Floats:
    """Annual return over the depth of the maximum drawdown: (R, D) -> (R,). NaN without one.

    It shrinks with the length of the history, as the drawdown deepens: its interval is for the
    median of histories of as many days.
    Source: Young, Calmar Ratio: A Smoother Tool, Futures 20 (1991), over the whole history.
    """
    return _ratio(annual_return(returns, days_per_year), -max_drawdown(returns))


def beta(returns: Floats, benchmark: Floats, days_per_year: float = 1.0) -> Floats:
    """Slope of an account's returns on the benchmark's: two (R, D) -> (R,).

    0.5 rises and falls half as much as the benchmark; NaN where that never moved.
    """
    own, other = (each - each.mean(axis=-1, keepdims=True) for each in (returns, benchmark))
    square = np.square(other).mean(axis=-1)
    moves = square > STILL**2  # a variance, not a deviation
    return np.asarray(
        np.where(moves, (own * other).mean(axis=-1) / np.where(moves, square, 1), np.nan)
    )


def alpha(returns: Floats, benchmark: Floats, days_per_year: float) -> Floats:
    """Mean return a year beyond beta times the benchmark's, not compounded: two (R, D) -> (R,).

    Source: Jensen, The Performance of Mutual Funds, Journal of Finance 23 (1968), over a zero rate.
    """
    part = beta(returns, benchmark) * benchmark.mean(axis=-1)
    return np.asarray((returns.mean(axis=-1) - part) * days_per_year)


def correlation(returns: Floats, benchmark: Floats, days_per_year: float = 1.0) -> Floats:
    """Of an account's returns with the benchmark's, in [-1, 1]: two (R, D) -> (R,).

    NaN where one of the two never moved.
    """
    own, other = (each - each.mean(axis=-1, keepdims=True) for each in (returns, benchmark))
    deviations = np.sqrt(np.square(own).mean(axis=-1) * np.square(other).mean(axis=-1))
    moves = deviations > STILL**2
    found = (own * other).mean(axis=-1) / np.where(moves, deviations, 1)
    return np.asarray(np.where(moves, np.clip(found, -1.0, 1.0), np.nan))


def tracking_error(returns: Floats, benchmark: Floats, days_per_year: float) -> Floats:
    """Standard deviation a year of the returns less the benchmark's, >= 0: two (R, D) -> (R,)."""
    return annual_volatility(returns - benchmark, days_per_year)


def tally(profits: Floats) -> Floats:
    """What closed trades (n,) add to sums: one, one if it won, money won, money lost; (n, 4)."""
    won = profits > 0
    return np.stack(
        [np.ones(len(profits)), won, np.where(won, profits, 0), np.maximum(-profits, 0)], axis=1
    )


def win_rate(sums: Floats) -> Floats:
    """Share of closed trades that made money, in [0, 1]; NaN when none is closed.

    Args:
        sums: (..., 4) over trades, of the columns of `tally`.
    """
    return _ratio(sums[..., 1], sums[..., 0])


def profit_factor(sums: Floats) -> Floats:
    """Money won over money lost by closed trades, >= 0; NaN when none lost. `sums`: `win_rate`."""
    return _ratio(sums[..., 2], sums[..., 3])


def expectancy(sums: Floats) -> Floats:
    """Money that a closed trade made on average; NaN when none is closed. `sums`: `win_rate`."""
    return _ratio(sums[..., 2] - sums[..., 3], sums[..., 0])


def turnover(traded: Floats, days_per_year: float) -> Floats:
    """Traded value over equity, a year, >= 0; 2 is all sold and rebought once: (R, D) -> (R,)."""
    return np.asarray(traded.mean(axis=-1) * days_per_year)


def exposure(gross: Floats, days_per_year: float = 1.0) -> Floats:
    """Mean gross exposure as a fraction of equity, >= 0: (R, D) -> (R,)."""
    return np.asarray(gross.mean(axis=-1))


def of_volatility(returns: Floats, days_per_year: float) -> Floats:
    """What each day adds to the error of `annual_volatility`: its derivative, (D,) -> (D,)."""
    squares = np.square(returns - returns.mean())
    relative = squares / squares.mean() - 1 if squares.any() else np.zeros(len(returns))
    return np.asarray(annual_volatility(returns, days_per_year) * relative / 2)


def of_tracking_error(returns: Floats, benchmark: Floats, days_per_year: float) -> Floats:
    """What each day adds to the error of `tracking_error`, two (D,) -> (D,)."""
    return of_volatility(returns - benchmark, days_per_year)


def of_correlation(returns: Floats, benchmark: Floats, days_per_year: float = 1.0) -> Floats:
    """What each day adds to the error of `correlation`, two (D,) -> (D,)."""
    own, other = (_standardised(each) for each in (returns, benchmark))
    value = (own * other).mean()
    return np.asarray(own * other - value * (np.square(own) + np.square(other)) / 2)


def _standardised(values: Floats) -> Floats:
    """(D,) of mean 0 and deviation 1; zero where nothing moved."""
    deviation = values.std()
    apart = values - values.mean()
    return np.asarray(apart / deviation if deviation > STILL else np.zeros(len(values)))


def of_mean(values: Floats, factor: float = 1.0) -> Floats:
    """What each day adds to the error of a mean times `factor`, (D,) -> (D,)."""
    return np.asarray(factor * (values - values.mean()))


_POSITIVE = (0.0, np.inf)


@dataclass(frozen=True)
class Metric:
    """A row of METRICS: whatever computes, tables or writes metrics reads this, and no name.

    `of` is what the formula takes beside the days of a year: daily `returns`, `turnover` or
    `exposure`; `against`, daily returns and the benchmark's; `trades`, sums of closed ones; `ic`,
    which has no formula here but `information_coefficient.py`.

    An interval is of the resampled dates that all accounts share. Where `influence` is given it is
    of that series' long-run variance, for days that depend on one another for longer than blocks
    are. Where `another` is true it is of what another history of as many days would show.
    """

    label: str
    said: str  # in a line, for whoever has never met the word
    of: str
    formula: Callable[..., Any] | None
    form: str = ".2f"  # of the number, as Python writes it
    unit: str = ""
    limits: tuple[float, float] = (-np.inf, np.inf)  # no interval is wider
    brief: bool = False  # in the short table on the asset's page
    influence: Callable[..., Any] | None = None
    another: bool = False
    money: bool = False  # in quote currency


# In the order of every table.
METRICS = {
    "annual_return": Metric(
        "Return a year",
        "Growth a year, compounded: every year at this rate leads to the end value.",
        "returns",
        annual_return,
        ".1%",
        limits=(-1.0, np.inf),
        brief=True,
    ),
    "annual_volatility": Metric(
        "Volatility a year",
        "How far returns spread around their mean; two years in three lie within it.",
        "returns",
        annual_volatility,
        ".1%",
        limits=_POSITIVE,
        brief=True,
        influence=of_volatility,
    ),
    "sharpe": Metric(
        "Sharpe ratio",
        "Mean return over volatility, both a year: return for its risk.",
        "returns",
        sharpe,
        brief=True,
    ),
    "sortino": Metric(
        "Sortino ratio",
        "The same over the spread of losing days alone.",
        "returns",
        sortino,
    ),
    "max_drawdown": Metric(
        "Maximum drawdown",
        "Deepest fall from a peak of equity.",
        "returns",
        max_drawdown,
        ".1%",
        limits=(-1.0, 0.0),
        brief=True,
        another=True,
    ),
    "calmar": Metric("Calmar ratio", "Return a year over that fall.", "returns", calmar),
    "alpha": Metric(
        "Alpha a year",
        "Mean return beyond beta times the benchmark's: what following it does not explain.",
        "against",
        alpha,
        ".1%",
        brief=True,
    ),
    "beta": Metric(
        "Beta", "By how much it moved where the benchmark moved by one.", "against", beta
    ),
    "correlation": Metric(
        "Correlation",
        "With the benchmark's days: 1 moves as it does, 0 on its own.",
        "against",
        correlation,
        limits=(-1.0, 1.0),
        influence=of_correlation,
    ),
    "tracking_error": Metric(
        "Tracking error a year",
        "How far returns spread around the benchmark's.",
        "against",
        tracking_error,
        ".1%",
        limits=_POSITIVE,
        influence=of_tracking_error,
    ),
    "win_rate": Metric(
        "Win rate of closed trades",
        "Share of trades, from flat to flat, that made money.",
        "trades",
        win_rate,
        ".1%",
        limits=(0.0, 1.0),
        brief=True,
    ),
    "profit_factor": Metric(
        "Profit factor",
        "Money won over money lost by closed trades.",
        "trades",
        profit_factor,
        limits=_POSITIVE,
    ),
    "expectancy": Metric(
        "Expectancy of a trade",
        "Money that a closed trade made on average.",
        "trades",
        expectancy,
        ",.0f",
        money=True,
    ),
    "turnover": Metric(
        "Turnover a year",
        "Bought and sold, over equity: 2 is all of it sold and bought anew once.",
        "turnover",
        turnover,
        ".1f",
        " ×",
        limits=_POSITIVE,
        brief=True,
        influence=of_mean,
    ),
    "exposure": Metric(
        "Mean exposure",
        "Value of longs and shorts over equity.",
        "exposure",
        exposure,
        ".1%",
        limits=_POSITIVE,
        influence=lambda gross, _: of_mean(gross),
    ),
    "information_coefficient": Metric(
        "Information coefficient",
        "Correlation across symbols of the scores with what followed, mean over dates.",
        "ic",
        None,
        ".3f",
        limits=(-1.0, 1.0),
    ),
    "rank_information_coefficient": Metric(
        "Rank information coefficient",
        "The same of ranks: a large move counts no more than a small one.",
        "ic",
        None,
        ".3f",
        limits=(-1.0, 1.0),
    ),
}
# Those that are also given as strategy less baseline on the same days; undefined counts as 0.
PAIRED = ("sharpe", "annual_return")


def formulas(of: str) -> dict[str, Callable[..., Any]]:
    """The formulas of the metrics of one kind, by name; `Metric` says what they take."""
    return {name: m.formula for name, m in METRICS.items() if m.of == of and m.formula}
