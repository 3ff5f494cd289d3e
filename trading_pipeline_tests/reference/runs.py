"""Reference runs over a panel, and the comparison of one with a backtest result."""

import numpy as np

from trading_pipeline.core.trading.engine.reasons import kind_of
from trading_pipeline_tests.reference.account import Account, Bar
from trading_pipeline_tests.reference.decisions import Decisions
from trading_pipeline_tests.reference.fills import trade_one_bar
from trading_pipeline_tests.reference.limits import Limits
from trading_pipeline_tests.reference.orders import place_table


def bars_of(panel, t):
    """Bars, splits and dividends of one row, by symbol."""
    bars, splits, dividends = {}, {}, {}
    for n, symbol in enumerate(panel.symbols):
        names = ("open", "high", "low", "close", "volume")
        prices = [float(getattr(panel, name)[t, n]) for name in names]
        if not np.isnan(panel.close[t, n]):
            bars[symbol] = Bar(*prices)
        if panel.conversion[t, n] != 1:
            splits[symbol] = float(panel.conversion[t, n])
        if panel.dividend[t, n] != 0:
            dividends[symbol] = float(panel.dividend[t, n])
    return bars, splits, dividends


def by_symbol(panel, grid, t):
    return {symbol: grid[t, n] for n, symbol in enumerate(panel.symbols)}


def walk(panel, *, start, stop, capital, costs, bars_per_year, horizon, profile, decide):
    """Trade every row; `decide(account, limits, t, closes)` at all but the last."""
    terms = {"bars_per_year": bars_per_year, "horizon": horizon, "profile": profile}
    account = Account(panel.symbols, capital=capital, costs=costs, **terms)
    limits = Limits(capital, profile, bars_per_year)
    for t in range(start, stop):
        bars, splits, dividends = bars_of(panel, t)
        limits.enter(panel.timestamps[t])
        day = int(panel.timestamps[t].timestamp() // 86400)
        trade_one_bar(account, t - start, day, bars, splits, dividends)
        limits.close(account.equity())
        account.outcome.equity.append(account.equity())
        if t < stop - 1:
            decide(account, limits, t, {symbol: bar.close for symbol, bar in bars.items()})
    return account.outcome


def run_orders(panel, table, *, shortable, volatility, eligible, **terms):
    """What `simulate_orders` must agree with."""
    by_bar = {}
    for row in table.to_dict("records"):
        by_bar.setdefault(row["decided_at"], []).append(row)

    def decide(account, limits, t, closes):
        rows = by_bar.get(panel.timestamps[t], [])
        able, sigmas = by_symbol(panel, eligible, t), by_symbol(panel, volatility, t)
        place_table(account, limits, rows, closes, able, sigmas, shortable)

    return walk(panel, decide=decide, **terms)


def run_signals(panel, *, mandate, shortable, profile, known, **terms):
    """What `simulate` must agree with; `known` holds its inputs by name."""
    long_only = mandate == "long_only" or (profile is not None and profile.long_only)
    decisions = Decisions(panel, known, shorts=shortable and not long_only)
    return walk(panel, decide=decisions.decide, profile=profile, **terms)


def assert_agrees(book, outcome, tolerance=1e-10, rounding=1e-9):
    """Fail unless the result says what the reference run does, event for event."""
    names = book.symbols
    fills = {}
    for event in book.events[book.events["quantity"] != 0]:
        slot = ("order", "exit", "in_lieu")[event["slot"]]
        fills[int(event["bar"]), names[event["symbol"]], slot] = event
    assert fills.keys() == outcome.fills.keys()
    for key, expected in outcome.fills.items():
        assert kind_of(fills[key]["reasons"]) == expected["why"], key
        for name in ("quantity", "price", "fee", "slippage"):
            np.testing.assert_allclose(
                fills[key][name], expected[name], rtol=rounding, atol=1e-9, err_msg=f"{name} {key}"
            )
    np.testing.assert_allclose(book.equity, outcome.equity, rtol=tolerance, atol=1e-6)
    ordered = book.orders("s")
    rows = book.timestamps.get_indexer(ordered["decided_at"])
    keys = list(zip(rows.tolist(), ordered["symbol"], strict=True))
    assert set(keys) == set(outcome.orders)
    signed = np.where(ordered["side"] == "buy", ordered["quantity"], -ordered["quantity"])
    level = ordered["limit_price"].fillna(ordered["stop_price"])
    for key, quantity, kind, price in zip(keys, signed, ordered["type"], level, strict=True):
        expected = outcome.orders[key]
        assert kind == expected[1], key
        np.testing.assert_allclose(quantity, expected[0], rtol=rounding, err_msg=str(key))
        np.testing.assert_allclose(price, np.nan if expected[2] is None else expected[2], rtol=1e-9)
    vetoes = book.vetoes()
    rows = book.timestamps.get_indexer(vetoes["decided_at"]).tolist()
    assert set(zip(rows, vetoes["symbol"], vetoes["rule"], strict=True)) == outcome.vetoes
    lapsed = book.lapsed("s")
    rows = book.timestamps.get_indexer(lapsed["lapsed_at"]).tolist()
    assert set(zip(rows, lapsed["symbol"], strict=True)) == outcome.lapsed
    flows = book.cash_flows()
    rows = book.timestamps.get_indexer(flows["at"]).tolist()
    paid = dict(
        zip(zip(rows, flows["symbol"], flows["kind"], strict=True), flows["amount"], strict=True)
    )
    for key in paid.keys() | outcome.flows.keys():
        money = paid.get(key, 0.0), outcome.flows.get(key, 0.0)
        np.testing.assert_allclose(*money, rtol=rounding, atol=1e-8, err_msg=str(key))
