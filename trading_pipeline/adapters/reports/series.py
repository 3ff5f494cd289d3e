"""What a report draws, beside the numbers that it states."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Rules that protect the account, in the order that the report lists them. Others (too small an
# order, no score) are bookkeeping; they stand in vetoes.csv.
RISK_RULES = (
    "daily_loss",
    "weekly_loss",
    "monthly_loss",
    "drawdown_half",
    "drawdown_flat",
    "stop_loss",
    "take_profit",
    "kill_switch",
    "bankrupt",
)


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

    def __post_init__(self) -> None:
        n_bars = len(self.timestamps)
        shapes = {
            "equity": (self.equity.shape, (n_bars,)),
            "cash": (self.cash.shape, (n_bars,)),
            "weights": (self.weights.shape, (n_bars, len(self.symbols))),
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


def risk_events(series: ReportSeries) -> pd.DataFrame:
    """When a rule of RISK_RULES acted: columns at, rule, symbols (how many); sorted, unique."""
    parts = [
        _acted(series.vetoes, "decided_at", "rule"),
        _acted(series.orders, "decided_at", "reasons"),
        _acted(series.fills, "filled_at", "reasons"),
    ]
    acted = pd.concat(parts, ignore_index=True)
    events = acted.groupby(["at", "rule"], as_index=False)["symbol"].nunique()
    return events.rename(columns={"symbol": "symbols"})


def _acted(table: pd.DataFrame, at: str, names: str) -> pd.DataFrame:
    """One row per bar, symbol and risk rule named in a column of names joined by '|'."""
    if table.empty or names not in table:
        return pd.DataFrame({"at": pd.DatetimeIndex([], tz="UTC"), "symbol": [], "rule": []})
    rows = pd.DataFrame(
        {"at": table[at], "symbol": table["symbol"], "rule": table[names].str.split("|")}
    ).explode("rule")
    return rows[rows["rule"].isin(RISK_RULES)]


def monthly_returns(timestamps: pd.DatetimeIndex, equity: Floats) -> pd.DataFrame:
    """Simple returns of calendar months, the first from the first bar: years × months 1-12."""
    held = pd.Series(np.maximum(equity, 0.0), index=timestamps)
    month = timestamps.year * 100 + timestamps.month
    ends = held.groupby(np.asarray(month)).last()
    after = ends.to_numpy()
    before = np.concatenate([[held.iloc[0]], after[:-1]])
    returns = np.divide(after, before, out=np.ones(len(after)), where=before > 0) - 1
    table = pd.Series(
        returns, index=pd.MultiIndex.from_arrays([ends.index // 100, ends.index % 100])
    ).unstack()
    return table.reindex(columns=range(1, 13))


def drawdowns(equity: Floats) -> Floats:
    """Fall from the highest equity so far, (T,) in [-1, 0]."""
    return np.maximum(equity, 0.0) / np.maximum.accumulate(equity) - 1


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
