"""Small markets for the tests of trading: panels from a few numbers, and random ones."""

from dataclasses import fields
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.simulate import simulate, simulate_orders
from trading_pipeline.core.market.actions import ACTION_COLUMNS, check_actions, empty_actions
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.inputs import Inputs
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Trader

FREE = Costs(fee=0, slippage=0, borrow=0, debit=0, min_notional=0, participation=inf)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
NAMES = (*SYMBOLS, *(3 * letter for letter in "GHIJKLMNOPQRSTUVWXYZ"))  # for a cross-section


def stamps(T: int, start: str = "2024-01-01", step: str = "1D") -> pd.DatetimeIndex:
    """2024-01-01 is a Monday, and the first day of a month."""
    return pd.date_range(start, periods=T, freq=step, tz="UTC").as_unit("us")


def panel_of(
    close: Any,
    open_: Any = None,
    high: Any = None,
    low: Any = None,
    split: dict[tuple[int, int], float] | None = None,
    dividend: dict[tuple[int, int], float] | None = None,
    start: str = "2024-01-01",
    volume: Any = None,
) -> Panel:
    """A panel of (T,) or (T, N) closes; other prices span open and close unless given."""
    close = np.array(close, dtype=float).reshape(len(close), -1)
    shape = close.shape
    open_ = close if open_ is None else np.array(open_, dtype=float).reshape(shape)
    high = np.fmax(open_, close) if high is None else np.array(high, dtype=float).reshape(shape)
    low = np.fmin(open_, close) if low is None else np.array(low, dtype=float).reshape(shape)
    grids = {"open": open_, "high": high, "low": low, "close": close}
    traded = np.full(shape, 1e6) if volume is None else np.array(volume, float).reshape(shape)
    grids["volume"] = np.where(np.isnan(close), np.nan, traded)
    t, n = np.nonzero(~np.isnan(close))
    at = stamps(len(close), start)
    names = np.array(NAMES, dtype=object)[n]
    bars = pd.DataFrame({"timestamp": at[t], "symbol": pd.Series(names, dtype="str")})
    bars = bars.assign(**{name: grid[t, n] for name, grid in grids.items()})
    events = [(at[t], NAMES[n], "split", value) for (t, n), value in (split or {}).items()]
    events += [(at[t], NAMES[n], "dividend", cash) for (t, n), cash in (dividend or {}).items()]
    actions = empty_actions()
    if events:
        actions = check_actions(pd.DataFrame(events, columns=list(ACTION_COLUMNS)))
    return Panel.of(bars, actions, symbols=NAMES[: shape[1]])


def panel_of_opens(opens):
    """A panel of (T, N) opens, each bar's other prices equal to it."""
    opens = np.asarray(opens, dtype=float)
    ones = np.ones_like(opens)
    return Panel(
        timestamps=stamps(len(opens)),
        symbols=tuple(f"S{n:02d}" for n in range(opens.shape[1])),
        open=opens,
        high=opens,
        low=opens,
        close=opens,
        volume=1e6 * ones,
        split=ones,
        dividend=0 * ones,
        factor=ones,
        total_return_units=False,
    )


def random_panel(
    seed: int, T: int = 160, N: int = 4, missing: float = 0.03, actions: bool = True
) -> Panel:
    """A market with gaps, ranges, missing bars, a late listing, splits and dividends."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0.0003, 0.02, (T, N)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.01, (T, N)))
    high = np.fmax(open_, close) * np.exp(np.abs(rng.normal(0, 0.01, (T, N))))
    low = np.fmin(open_, close) * np.exp(-np.abs(rng.normal(0, 0.01, (T, N))))
    gone = rng.random((T, N)) < missing
    gone[: T // 3, N - 1] = True
    gone[:, 0] = False  # so that every row has a bar
    for grid in (close, open_, high, low):
        grid[gone] = np.nan
    splits: dict[tuple[int, int], float] = {}
    dividends: dict[tuple[int, int], float] = {}
    if actions:
        for n in range(N):
            days = np.flatnonzero(~gone[:, n])[1:]
            splits[int(rng.choice(days)), n] = 2.0
            for day in rng.choice(days, 3, replace=False):
                dividends[int(day), n] = 0.4
        for (t, n), ratio in splits.items():
            for grid in (close, open_, high, low):
                grid[t:, n] /= ratio
    return panel_of(close, open_, high, low, splits, dividends)


def rough_panel(seed: int, T: int = 100, N: int = 4, start: str = "2024-01-01") -> Panel:
    """As `random_panel`, and worse: crashes and squeezes overnight and within the bar, symbols that
    vanish for good, volume that is tiny, zero or unknown, dividends near the price and above it,
    splits that do not divide."""
    rng = np.random.default_rng(seed)
    calm = random_panel(seed, T, N, missing=rng.choice([0.0, 0.03, 0.15]))
    grids = {name: getattr(calm, name).copy() for name in ("open", "high", "low", "close")}
    for n in range(N):
        for t in rng.choice(T, 3, replace=False):  # the night before bar t
            jump = rng.choice([0.4, 0.7, 1.4, 2.2])
            for grid in grids.values():
                grid[t:, n] *= jump
        for t in rng.choice(T, 4, replace=False):  # and reversals within a bar
            grids["high"][t, n] *= rng.choice([1.0, 1.3])
            grids["low"][t, n] *= rng.choice([1.0, 0.75])
    for n in range(1, N):
        end = int(rng.integers(T // 3, T)) if rng.random() < 0.4 else T
        for grid in grids.values():
            grid[end:, n] = np.nan
    volume = 10 ** rng.uniform(1, 6, (T, N))
    volume[rng.random((T, N)) < 0.05] = 0.0
    volume[rng.random((T, N)) < 0.02] = np.nan
    listed = ~np.isnan(grids["close"])
    split, dividend = calm.split.copy(), calm.dividend.copy()
    pay_hugely(np.random.default_rng(seed + 77), grids, dividend)
    split_oddly(np.random.default_rng(seed + 78), grids, split)
    t, n = np.nonzero((split != 1) & listed)
    splits = {(int(i), int(j)): float(split[i, j]) for i, j in zip(t, n, strict=True)}
    t, n = np.nonzero((dividend != 0) & listed)
    paid = {(int(i), int(j)): float(dividend[i, j]) for i, j in zip(t, n, strict=True)}
    prices = [grids[name] for name in ("close", "open", "high", "low")]
    return panel_of(*prices, splits, paid, start=start, volume=volume)


def pay_hugely(rng: Any, grids: dict[str, np.ndarray], dividend: np.ndarray) -> None:
    """Many dividends of each symbol, some of nearly all that it is worth, some of more."""
    T, N = dividend.shape
    for n in range(N):
        for t in np.sort(rng.choice(np.arange(1, T), 12, replace=False)):
            part = rng.choice([0.02, 0.1, 0.4, 0.97, 1.3], p=[0.4, 0.3, 0.14, 0.08, 0.08])
            if not np.isnan(grids["close"][t - 1, n]):
                dividend[t, n] += part * grids["close"][t - 1, n]
                for grid in grids.values():
                    grid[t:, n] *= max(1 - part, 0.05)


def split_oddly(rng: Any, grids: dict[str, np.ndarray], split: np.ndarray) -> None:
    """More splits of each symbol, most of them reverse or odd."""
    T, N = split.shape
    for n in range(N):
        for t in rng.choice(np.arange(1, T), 5, replace=False):
            ratio = rng.choice(
                [3.0, 1.5, 1.1, 0.7, 1 / 3, 0.1, 0.01], p=[0.1, *[0.25] * 3, *[0.05] * 3]
            )
            if not np.isnan(grids["close"][t, n]):
                split[t, n] *= ratio
                for grid in grids.values():
                    grid[t:, n] /= ratio


def random_scores(seed: int, panel: Panel, missing: float = 0.05) -> np.ndarray:
    """(T, N) scores that persist, with some missing."""
    rng = np.random.default_rng(seed + 1000)
    noise = rng.normal(size=panel.close.shape)
    scores = np.zeros_like(noise)
    for t in range(1, len(scores)):
        scores[t] = 0.9 * scores[t - 1] + noise[t]
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores


def terms_of(given: dict[str, Any]) -> tuple[Terms, dict[str, Any]]:
    """The terms among some named values, and the others."""
    names = {each.name for each in fields(Terms)}
    terms = {name: value for name, value in given.items() if name in names}
    return Terms(**terms), {name: each for name, each in given.items() if name not in names}


def simulated(panel: Panel, **given: Any) -> BacktestResult:
    """`simulate`, its terms and inputs given by their names."""
    terms, rest = terms_of(given)
    inputs = {each.name: rest.pop(each.name) for each in fields(Inputs) if each.name in rest}
    return simulate(panel, terms, Inputs(**inputs), **rest)


def simulated_orders(panel: Panel, orders: Any, **given: Any) -> BacktestResult:
    """`simulate_orders`, its terms given by their names."""
    terms, rest = terms_of(given)
    return simulate_orders(panel, orders, terms, **rest)


def new_trader(symbols: tuple[str, ...], **given: Any) -> Trader:
    """A `Trader`, its terms given by their names."""
    terms, rest = terms_of(given)
    return Trader(symbols, terms, **rest)
