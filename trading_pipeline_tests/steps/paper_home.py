"""A home in which a session has traded, beside the bars and predictions of its days."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.on_paper import executions_of, trades_of
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.trader import Bar, Filled, Trader
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.session import Session
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import CAPITAL, FIRST, FOLDS, LAST, MARKET

PLAN = Plan(MARKET, preset="tiny")


def worse(trader: Trader, bar: Bar) -> Filled:
    """A broker that fills at forty basis points beyond the engine's prices."""
    trades = [
        each._replace(
            price=(price := each.price * (1 + 0.004 * np.sign(each.quantity))),
            fee=abs(each.quantity) * price * MARKET.costs.fee,
        )
        for each in trades_of(deepcopy(trader).fill(bar).fills)
    ]
    return trader.book(bar, executions_of(trades, bar))


def trade(
    home: Home,
    name: str = "s",
    execute: Callable[[Trader, Bar], Filled] = Trader.fill,
    last: int = LAST,
    at: datetime = kills.BEGIN,
) -> None:
    """A session, or its next bars."""
    ticks, recordings, stream = iter(range(10**9)), home.recordings(MARKET), f"paper/killed/{name}"

    def load(key: str) -> dict[str, Any]:
        return {"fingerprint": f"model {key}", "seed": len(key)}

    with home.ledger() as ledger:
        seen = Recording.read(ledger, stream, recordings)
        bars = seen.continued(kills.panel()) if seen else kills.panel()
        said = seen.predictions if seen else None
        session = Session(
            ledger,
            MARKET,
            kills.Scripted(bars, MARKET, FOLDS, load, said),
            recordings,
            session=name,
            capital=CAPITAL,
            clock=lambda: at + timedelta(seconds=next(ticks)),
            execute=execute,
        )
        for _ in session.run(FIRST, last):
            pass


def predict(home: Home, name: str = "s", bars: int = LAST - FIRST + 1) -> None:
    """Store what the session predicted of its first bars as the walk-forward's predictions."""
    with home.ledger() as ledger:
        seen = Recording.read(ledger, f"paper/killed/{name}", home.recordings(MARKET))
    assert seen is not None
    table = seen.predictions
    table = table[table["timestamp"] < kills.panel().timestamps[FIRST] + pd.Timedelta(days=bars)]
    heads = dict.fromkeys(("p_down", "p_flat", "p_up", "position", "risk"), 0.0)
    table = table.assign(model="scripted", fold="one", **heads)
    home.predictions(MARKET).write("2024-03-11", table, "f" * 64)


def traded(panel: Panel) -> np.ndarray:
    """Who may be bought, in place of the rule that asks for years of bars."""
    return panel.traded


NOW = datetime(2024, 4, 1, tzinfo=UTC)
