"""Tables of orders: a few to work by hand over a few bars, and random ones of every kind."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.backtest.accounting import accounting_error
from trading_pipeline_tests.core.trading.markets import FREE, panel_of, simulated_orders, stamps

SLIP = replace(FREE, slippage=0.01)  # what a market order loses, to tell it from a limit order
CALM = (100, 100, 100, 100)
OFF = dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat"), inf)
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
    book = simulated_orders(
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


def random_orders(seed, panel):
    """A table: every kind, either side, some with brackets, on any bar, of any size."""
    rng = np.random.default_rng(seed + 31)
    t, n = np.nonzero(rng.random(panel.close.shape) < 0.25)
    M = len(t)
    price = pd.DataFrame(panel.close).ffill().bfill().fillna(50.0).to_numpy()[t, n]
    side = rng.choice(["buy", "sell"], M)
    kind = rng.choice(["market", "limit", "stop"], M)
    away = price * np.exp(rng.normal(0, 0.04, M))  # on either side of the price
    up = np.where(side == "buy", 1.0, -1.0)
    width = np.abs(rng.normal(0, 0.06, M))
    bracket = rng.random(M) < 0.4
    half = rng.random(M) < 0.3
    return pd.DataFrame(
        {
            "decided_at": panel.timestamps[t],
            "symbol": pd.Series(np.array(panel.symbols, dtype=object)[n], dtype="str"),
            "side": side,
            "quantity": np.where(rng.random(M) < 0.05, 0, rng.choice([3, 40, 250, 1500], M)),
            "type": kind,
            "limit_price": np.where(kind == "limit", away, np.nan),
            "stop_price": np.where(kind == "stop", away, np.nan),
            "bars": rng.choice([1, 1, 3, 10], M),
            "stop_loss": np.where(bracket, price * np.exp(-up * width), np.nan),
            "take_profit": np.where(bracket & ~half, price * np.exp(up * width), np.nan),
        }
    )
