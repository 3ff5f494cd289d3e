"""Orders as tables of one row each, traded over a few bars, for tests worked by hand."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.result import accounting_error
from trading_pipeline.core.backtest.simulate import simulate_orders
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import FREE, panel_of, stamps

SLIP = replace(FREE, slippage=0.01)  # what a market order loses, to tell it from a limit order
CALM = (100, 100, 100, 100)
OFF = dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat"), 0.99)
BARE = replace(PROFILES["moderate"], stop_loss=inf, take_profit=inf, **OFF)


def order(day=0, side="buy", quantity=10, symbol="AAA", **terms):
    return {
        "decided_at": stamps(400)[day],
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "type": "market",
        "limit_price": np.nan,
        "stop_price": np.nan,
        "bars": 1,
        "stop_loss": np.nan,
        "take_profit": np.nan,
    } | terms


def limit(price, **terms):
    return order(type="limit", limit_price=price, **terms)


def stop(price, **terms):
    return order(type="stop", stop_price=price, **terms)


def run(orders, *bars, costs=SLIP, capital=1e5, volatility=None, profile=None, **options):
    """Bars of one symbol: open, high, low, close; σ is 4 % unless said otherwise."""
    open_, high, low, close = np.array(bars, dtype=float).T
    panel = panel_of(close, open_, high, low, **options)
    return traded(panel, orders, costs, capital, volatility, profile)


def traded(panel, orders, costs=SLIP, capital=1e5, volatility=None, profile=None, **terms):
    sigma = np.full(panel.close.shape, 0.04) if volatility is None else volatility
    book = simulate_orders(
        panel,
        pd.DataFrame(orders),
        start=0,
        stop=len(panel.close),
        capital=capital,
        costs=costs,
        bars_per_year=252,
        shortable=True,
        profile=profile,
        volatility=sigma,
        **terms,
    )
    assert accounting_error(book) < 1e-12
    return book


def fills(book):
    """(bar, kind, quantity, price) of every fill."""
    table = book.fills("s")
    rows = book.timestamps.get_indexer(table["filled_at"]).tolist()
    return list(zip(rows, table["kind"], table["quantity"], table["price"], strict=True))


def fill(bar, quantity, price, kind="order"):
    return (bar, kind, pytest.approx(quantity), pytest.approx(price))
