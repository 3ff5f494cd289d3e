"""A trader walked through a panel bar by bar, as paper trading does."""

import json

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
    return Trader.from_dict(json.loads(json.dumps(trader.to_dict(), allow_nan=False)))
