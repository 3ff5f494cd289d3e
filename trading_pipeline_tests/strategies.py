"""Hypothesis strategies that speak the domain."""

from math import inf

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trading_pipeline.core.market.actions import check_actions, empty_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
FIRST = pd.Timestamp("2020-01-06", tz="UTC")  # a Monday


COSTS = st.builds(
    Costs,
    fee=st.sampled_from([0.0, 0.001, 0.02]),
    maker_fee=st.sampled_from([None, 0.0, 0.0005]),
    fee_per_share=st.sampled_from([0.0, 0.01]),
    minimum_fee=st.sampled_from([0.0, 1.0, 25.0]),
    slippage=st.sampled_from([0.0, 0.0005, 0.02]),
    impact=st.sampled_from([0.0, 0.5, 3.0]),
    participation=st.sampled_from([inf, 0.1, 0.01, 1.0]),
    borrow=st.sampled_from([0.0, 0.3]),
    funding=st.sampled_from([0.0, 0.4, -0.4]),
    debit=st.sampled_from([0.0, 0.3]),
    leverage=st.sampled_from([0.5, 1.0, 3.0]),
    lot=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    min_notional=st.sampled_from([0.01, 1.0, 500.0]),
    delisting_loss=st.sampled_from([0.0, 0.3]),
    delisted_after=st.sampled_from([1, 5, 30]),
)
STOPS = {
    "stop_loss": st.sampled_from([inf, 0.3, 2.0]),
    "take_profit": st.sampled_from([inf, 0.5, 3.0]),
    "trailing_stop": st.sampled_from([inf, 0.3, 2.0]),
}
LOOSE = {"daily_loss": 0.9, "weekly_loss": 0.9, "monthly_loss": 0.9, "halve": 0.9, "flat": 0.95}


@st.composite
def closes(draw: st.DrawFn, min_size: int = 2, max_size: int = 120) -> pd.Series:
    """A positive price path that moves at most 20 % a bar; flat bars are allowed."""
    size = draw(st.integers(min_size, max_size))
    steps = draw(hnp.arrays(float, size, elements=st.floats(-0.2, 0.2)))
    return pd.Series(100 * np.exp(np.cumsum(steps)))


@st.composite
def bars(
    draw: st.DrawFn,
    min_bars: int = 2,
    max_bars: int = 40,
    max_symbols: int = 3,
    gaps: bool = True,
) -> pd.DataFrame:
    """Canonical daily bars of 1 to 4 symbols over the same days, every day of the week.

    With gaps, symbols lack single bars and are listed late; every symbol keeps at least one.
    """
    size = draw(st.integers(min_bars, max_bars))
    stamps = pd.date_range(FIRST, periods=size, unit="us")
    names = SYMBOLS[: draw(st.integers(1, max_symbols))]
    tables = [_bars_of(draw, name, stamps, gaps) for name in names]
    return check_bars(pd.concat(tables))


def _bars_of(draw: st.DrawFn, symbol: str, stamps: pd.DatetimeIndex, gaps: bool) -> pd.DataFrame:
    size = len(stamps)
    # One draw for all: step to the close, gap to the open, two shadows, volume.
    unit = draw(hnp.arrays(float, (size, 5), elements=st.floats(-1, 1, width=32)))
    close = 100 * np.exp(np.cumsum(0.2 * unit[:, 0]))
    open_ = np.concatenate([close[:1], close[:-1]]) * np.exp(0.05 * unit[:, 1])
    table = pd.DataFrame(
        {
            "timestamp": stamps,
            "symbol": symbol,
            "open": open_,
            "high": np.maximum(open_, close) * np.exp(0.05 * np.abs(unit[:, 2])),
            "low": np.minimum(open_, close) * np.exp(-0.05 * np.abs(unit[:, 3])),
            "close": close,
            "volume": np.round(1e6 * np.abs(unit[:, 4])),
        }
    )
    if not gaps:
        return table
    present = draw(hnp.arrays(bool, size, elements=st.sampled_from([True, True, True, False])))
    present[: draw(st.integers(0, size - 1))] = False
    present[-1] = True
    return table[present]


@st.composite
def actions(draw: st.DrawFn, of: pd.DataFrame, max_events: int = 6) -> pd.DataFrame:
    """Canonical corporate actions on days of the bars `of`, dividends at most 10 % of a close."""
    stamps, symbols, lowest = of["timestamp"].unique(), of["symbol"].unique(), of["close"].min()
    event = st.tuples(
        st.sampled_from(list(stamps)),
        st.sampled_from(list(symbols)),
        st.one_of(
            st.tuples(st.just("split"), st.sampled_from([2.0, 3.0, 1.5, 0.1])),
            st.tuples(st.just("dividend"), st.floats(0.001, 0.1).map(lambda part: part * lowest)),
        ),
    )
    drawn = draw(st.lists(event, max_size=max_events, unique_by=lambda e: (e[0], e[1], e[2][0])))
    rows = [(stamp, symbol, *action) for stamp, symbol, action in drawn]
    if not rows:
        return empty_actions()
    return check_actions(pd.DataFrame(rows, columns=["timestamp", "symbol", "kind", "value"]))


@st.composite
def bars_and_actions(
    draw: st.DrawFn, min_bars: int = 2, max_bars: int = 40, max_symbols: int = 3, gaps: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars and corporate actions that go with them."""
    table = draw(bars(min_bars, max_bars, max_symbols, gaps))
    return table, draw(actions(table))


@st.composite
def panels(
    draw: st.DrawFn, min_bars: int = 2, max_bars: int = 40, max_symbols: int = 3, gaps: bool = True
) -> Panel:
    """Panels with splits and dividends."""
    return Panel.of(*draw(bars_and_actions(min_bars, max_bars, max_symbols, gaps)))
