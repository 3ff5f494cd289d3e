"""What a report draws, beside the numbers that it states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.palette import BASELINES
from trading_pipeline.core.evaluation.metrics import annual_return, max_drawdown, sharpe
from trading_pipeline.core.evaluation.performance import daily_returns, day_closes, solvent
from trading_pipeline.core.evaluation.portfolio import risk_events as events
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings

Floats = NDArray[np.float64]

# Of a curve that is read day by day: more than a screen is wide. With 1,500 the dates of one curve
# are out of deflate's sight (32 kB) of those of the last one, and a chart takes twice the bytes.
_DAYS = 1_250
_POINTS = 1_000  # of a curve that changes slowly from day to day: more than a screen is wide


@dataclass(frozen=True, kw_only=True)
class ReportSeries:
    """The histories and tables of one backtest; T bars, N symbols, R random portfolios.

    `orders`, `fills` and `vetoes` are the tables of the book; where they have a column `reasons`
    it holds rule names joined by '|'. `predictions` is written out as it is.
    """

    timestamps: pd.DatetimeIndex  # (T,), UTC
    equity: Floats  # (T,), quote currency
    baselines: Mapping[str, Floats]  # name -> (T,)
    random_equity: Floats  # (R, T); R may be 0
    weights: Floats  # (T, N), fractions of equity held at the close, negative is short
    symbols: tuple[str, ...]  # N
    orders: pd.DataFrame  # decided_at, symbol, ..., reasons
    fills: pd.DataFrame  # filled_at, symbol, ..., reasons
    vetoes: pd.DataFrame  # decided_at, symbol, rule, figure, limit
    predictions: pd.DataFrame
    cash_flows: pd.DataFrame  # at, symbol, kind, amount
    cash: Floats  # (T,), quote currency; equity is cash and holdings
    trades: pd.DataFrame  # closed ones: columns of `trades_of`, and reason
    positions: pd.DataFrame  # open ones: columns of `positions_of`, and reason
    price: Floats  # (T, N), raw, that each symbol is marked at; NaN before its first bar
    split: Floats  # (T, N), new shares per old one
    turnover: Floats  # (T,), value traded in the bar over the equity before it
    earnings: Earnings  # by day
    days_per_year: float

    def __post_init__(self) -> None:
        n_bars = len(self.timestamps)
        shapes = {
            "equity": (self.equity.shape, (n_bars,)),
            "cash": (self.cash.shape, (n_bars,)),
            "turnover": (self.turnover.shape, (n_bars,)),
            **{
                name: (getattr(self, name).shape, (n_bars, len(self.symbols)))
                for name in ("weights", "price", "split")
            },
            "random_equity": (self.random_equity.shape[1:], (n_bars,)),
            **{name: (equity.shape, (n_bars,)) for name, equity in self.baselines.items()},
        }
        for name, (found, expected) in shapes.items():
            if found != expected:
                raise ValueError(f"{name} has shape {found}, expected {expected}")


def accounts(series: ReportSeries) -> pd.DataFrame:
    """The account at each close: columns timestamp, equity, cash, holdings (from weights)."""
    holdings = series.weights.sum(axis=1) * series.equity
    return pd.DataFrame(
        {
            "timestamp": series.timestamps,
            "equity": series.equity,
            "cash": series.cash,
            "holdings": holdings,
        }
    )


def curves(series: ReportSeries) -> pd.DataFrame:
    """Equity at each close: strategy, every baseline, and quantiles of the random portfolios."""
    table = pd.DataFrame({"timestamp": series.timestamps, "strategy": series.equity})
    for name, equity in series.baselines.items():
        table[name] = equity
    if len(series.random_equity):
        shares = np.quantile(series.random_equity, [0.05, 0.5, 0.95], axis=0)
        for name, equity in zip(("random_5", "random_50", "random_95"), shares, strict=True):
            table[name] = equity
    return table


def random_portfolios(series: ReportSeries) -> pd.DataFrame:
    """What each random portfolio came to: end value, return a year, Sharpe ratio, worst fall."""
    rivals = daily_returns(series.random_equity, day_closes(series.timestamps))
    return pd.DataFrame(
        {
            "portfolio": np.arange(len(rivals)),
            "end_value": series.random_equity[:, -1],
            "annual_return": annual_return(rivals, series.days_per_year),
            "sharpe": sharpe(rivals, series.days_per_year),
            "max_drawdown": max_drawdown(rivals) if len(rivals) else np.empty(0),
        }
    )


def risk_events(series: ReportSeries) -> pd.DataFrame:
    """When a rule that protects the account acted: columns at, rule, symbols (how many)."""
    return events.risk_events(series.orders, series.fills, series.vetoes)


def drawn_days(timestamps: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Positions of the days that a large chart draws: all of five years, every so many of more."""
    days = day_ends(timestamps)
    return days[thinned(len(days), most=_DAYS)]


def day_ends(timestamps: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Positions of the first bar and of each day's last one."""
    return np.append(0, day_closes(timestamps))


def thinned(count: int, first: int = 0, most: int = _POINTS) -> NDArray[np.intp]:
    """At most `most` evenly spaced positions from `first` on, the last one included."""
    places = np.linspace(first, count - 1, min(most, count - first))
    return np.unique(places.round().astype(np.intp))


def solvent_weights(series: ReportSeries) -> Floats:
    """Weights (T, N), 0 from the ruin of the account on: a share of nothing is no number."""
    alive = solvent(series.equity)[:, None]
    return np.nan_to_num(np.where(alive, series.weights, 0.0), posinf=0.0, neginf=0.0)


def drawn_baselines(series: ReportSeries) -> dict[str, Floats]:
    """Equity (T,) of the baselines that charts draw: managed ones would be too many lines."""
    return {k: v for k, v in series.baselines.items() if not k.endswith("_managed")}


def money_ticks(series: ReportSeries) -> list[float]:
    """Round amounts for a log axis of equity: even steps in a narrow range, else 1, 2, 5, 10."""
    shown = np.concatenate([series.equity, *series.baselines.values()])
    low, high = float(shown[shown > 0].min()), float(shown.max())
    decade = 10.0 ** np.floor(np.log10(high))
    if high < 3 * low:
        rough = max((high - low) / 4, decade * 1e-3)
        unit = 10.0 ** np.floor(np.log10(rough))
        step = next(unit * each for each in (1, 2, 5, 10) if unit * each >= rough)
        return list(np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step)
    amounts = (decade * 10.0**-power * each for power in range(8, -1, -1) for each in (1, 2, 5))
    return [amount for amount in amounts if 0.5 * low <= amount <= high]


class Line(NamedTuple):
    """How a baseline is drawn, the same in every chart."""

    colour: str
    dashed: bool  # where the colours are used up and begin anew


def line_of(series: ReportSeries, baseline: str) -> Line:
    """The line of a baseline; only those that charts draw use up colours."""
    drawn = drawn_baselines(series)
    turn = list(dict.fromkeys([*drawn, *series.baselines])).index(baseline)
    return Line(BASELINES[turn % len(BASELINES)], turn >= len(BASELINES))
