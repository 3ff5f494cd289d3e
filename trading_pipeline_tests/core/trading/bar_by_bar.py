"""A trader walked through a panel bar by bar, as paper trading does."""

import json

import numpy as np

from trading_pipeline.core.trading.engine.dtypes import new_account, new_positions
from trading_pipeline.core.trading.inputs import Inputs, prepare
from trading_pipeline.core.trading.trader import Bar, Signals, Trader


def walk(panel, trader, *, start, stop, restart, **inputs):
    """Fill and decide bar by bar; `restart` sends the state through JSON after every call."""
    filled, decided = [], []
    for row in range(start, stop):
        filled.append(trader.fill(Bar.of(panel, row)))
        trader = through_json(trader) if restart else trader
        if row == stop - 1:
            break
        now = {name: None if grid is None else grid[: row + 1] for name, grid in inputs.items()}
        seen = prepare(panel.until(row + 1))
        decided.append(trader.decide(Signals.of(seen, Inputs(**now), row)))
        trader = through_json(trader) if restart else trader
    return trader, filled, decided


def through_json(trader):
    """Another trader of the same terms, given the state as JSON keeps it."""
    plain = json.loads(json.dumps(trader.to_dict(), allow_nan=False))
    other = Trader.__new__(Trader)
    other.symbols, other.session, other.rules = trader.symbols, trader.session, trader.rules
    other.account, other.positions = new_account(1.0), new_positions(len(trader.symbols))
    other._close = np.zeros(len(trader.symbols))
    return other.restore(plain)
