"""Who earned it, and where the money went: by symbol and side, and by kind of cost.

Money adds up exactly; what it is a year, as a share of the mean equity, has an interval from the
resampled dates that all numbers of a report share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.confidence import Estimate, Sampled, interval
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.performance import FEWEST_TRADES, Resampling
from trading_pipeline.core.evaluation.portfolio.earnings import SIDES, Earnings

INTEREST = "interest"
_NOTHING = 1e-9  # of the capital: less than this is rounding
_UNEXPLAINED = 1e-6  # of the capital: more than this is an error, and is said

Row = dict[str, Any]


def attribution(earnings: Earnings, trades: pd.DataFrame, resampling: Resampling) -> Row:
    """What each side, and each symbol on each side, contributed to the change of equity.

    Args:
        trades: closed ones, columns symbol, side, closed_at, pnl.

    Returns:
        total (the change of equity), interest (of the account), sides and symbols: rows of symbol
        (None for a whole side), side, pnl, share (of the total), a_year (fraction of mean equity),
        trades (closed ones), win_rate, and the money of each kind. The pnl of the sides, or of the
        symbols, and the interest make the total. Symbols that never traded are left out; the
        others stand in the order of their pnl's size.
    """
    by_side = earnings.money.sum(axis=3)  # (P, 2, D)
    rows = _rows(earnings, by_side, [(None, side) for side in SIDES], trades, resampling)
    names = [(symbol, side) for side in SIDES for symbol in earnings.symbols]
    flat = earnings.money.swapaxes(2, 3).reshape(len(earnings.kinds), len(names), -1)  # (P, 2 N, D)
    groups = _rows(earnings, flat, names, trades, resampling)
    return {
        "total": earnings.total,
        "interest": float(earnings.interest.sum()),
        "sides": rows,
        "symbols": sorted(
            (row for row in groups if _took_part(row, earnings)),
            key=lambda row: -abs(row["pnl"]),
        ),
    }


def _took_part(row: Mapping[str, Any], earnings: Earnings) -> bool:
    """Whether a symbol ever held, paid or got anything on this side."""
    money = max(abs(row[kind]) for kind in earnings.kinds)
    return bool(row["trades"]) or money > _NOTHING * earnings.equity[0]


def _rows(
    earnings: Earnings,
    money: Floats,
    names: Sequence[tuple[str | None, str]],
    trades: pd.DataFrame,
    resampling: Resampling,
) -> list[Row]:
    """One row per group; money is (P, G, D), `names` the symbol and side of each group."""
    pnl = money.sum(axis=0).T
    yearly = yearly_shares(pnl, earnings.equity, resampling)
    closed, won = _closed(trades, earnings.days, names)
    rates = win_rates(closed, won, resampling)
    total = earnings.total
    kinds = money.sum(axis=2)
    return [
        {
            "symbol": symbol,
            "side": side,
            "pnl": float(kinds[:, g].sum()),
            "share": float(kinds[:, g].sum() / total) if total else None,
            "a_year": yearly[g].to_dict(),
            "trades": int(closed[:, g].sum()),
            "win_rate": rates[g].to_dict(),
            **{
                kind: float(amount)
                for kind, amount in zip(earnings.kinds, kinds[:, g], strict=True)
            },
        }
        for g, (symbol, side) in enumerate(names)
    ]


def yearly_shares(money: Floats, equity: Floats, resampling: Resampling) -> list[Estimate]:
    """Money a year as a fraction of the mean equity, G groups.

    Args:
        money: (D, G) of each day; equity: (D,) before it, >= 0.
    """
    year, totals = resampling.days_per_year, resampling.totals
    held = _divided(year * totals(money), totals(equity[:, None]))
    values = _divided(year * money.sum(axis=0), np.full(money.shape[1], equity.sum()))
    return [
        interval(Sampled(float(value), again), resampling.widening)
        for value, again in zip(values, held.T, strict=True)
    ]


def win_rates(closed: Floats, won: Floats, resampling: Resampling) -> list[Estimate]:
    """Share of the closed trades that made money, G groups, by the day on which they closed.

    Trades of one day are drawn together. Fewer than 20 trades have no interval, none no value.

    Args:
        closed: (D, G) how many were closed; won: (D, G) how many of them made money.
    """
    again = _divided(resampling.totals(won), resampling.totals(closed))
    values = _divided(won.sum(axis=0), closed.sum(axis=0))
    enough = closed.sum(axis=0) >= FEWEST_TRADES
    return [
        interval(Sampled(float(value), samples), resampling.widening, (0.0, 1.0))
        if known
        else Estimate(float(value))
        for value, samples, known in zip(values, again.T, enough, strict=True)
    ]


def _divided(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, NaN where there is nothing to divide by."""
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    return np.asarray(np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom > 0))


def _closed(
    trades: pd.DataFrame, days: pd.DatetimeIndex, names: Sequence[tuple[str | None, str]]
) -> tuple[Floats, Floats]:
    """Closed trades, and those that won, of each day and group: two (D, G)."""
    closed, won = np.zeros((2, len(days), len(names)))
    if trades.empty:
        return closed, won
    # Trades that closed before the first day, at the first bar, belong to it.
    day = days.searchsorted(pd.DatetimeIndex(trades["closed_at"])).clip(max=len(days) - 1)
    whole = names[0][0] is None
    keys = (
        (None if whole else s, side)
        for s, side in zip(trades["symbol"], trades["side"], strict=True)
    )
    place = {name: g for g, name in enumerate(names)}
    group = np.array([place[key] for key in keys])
    np.add.at(closed, (day, group), 1)
    np.add.at(won, (day, group), (trades["pnl"] > 0).to_numpy(np.float64))
    return closed, won


def money_table(earnings: Earnings, resampling: Resampling) -> list[Row]:
    """Where the money went: rows of kind, money, a_year; the last one is the total.

    Kinds: what prices moved (before slippage), slippage, fees, each cash flow, interest; and
    'unexplained' if the account does not add up.
    """
    parts = dict(zip(earnings.kinds, earnings.money.sum(axis=(1, 3)), strict=True))
    parts[INTEREST] = earnings.interest
    if np.abs(earnings.unexplained).sum() > _UNEXPLAINED * earnings.equity[0]:
        parts["unexplained"] = earnings.unexplained
    parts["total"] = earnings.money.sum(axis=(0, 1, 3)) + earnings.interest + earnings.unexplained
    yearly = yearly_shares(np.stack(list(parts.values()), axis=1), earnings.equity, resampling)
    return [
        {"kind": kind, "money": float(amount.sum()), "a_year": estimate.to_dict()}
        for (kind, amount), estimate in zip(parts.items(), yearly, strict=True)
    ]


def is_cost(kind: str) -> bool:
    """Whether a kind of money is paid for trading or holding, rather than earned."""
    return kind not in ("price", "dividend", "total")
