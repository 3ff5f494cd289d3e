"""What became of each order agrees with the tables of fills, lapsed orders and vetoes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.outcomes import OUTCOMES, outcomes_of
from trading_pipeline.core.trading.order_table import orders_from
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline_tests.core.trading.markets import FREE, random_panel, simulated_orders

START = 20


def random_orders(panel, seed, count=400):
    """Orders of all kinds at random bars from START on, many of them impossible to fill."""
    rng = np.random.default_rng(seed)
    T, N = panel.close.shape
    key = rng.choice((T - START) * N, count, replace=False)
    t, n = START + key // N, key % N
    price = np.nan_to_num(panel.close[t, n], nan=50.0)
    level = price * rng.uniform(0.95, 1.05, count)
    kind = rng.choice(["market", "limit", "stop"], count)
    bracket = rng.random(count) < 0.3
    return pd.DataFrame(
        {
            "decided_at": panel.timestamps[t],
            "symbol": np.array(panel.symbols)[n],
            "side": rng.choice(["buy", "sell"], count),
            "quantity": rng.choice([0, 0.5, 10, 300, 5000], count, p=[0.05, 0.05, 0.6, 0.2, 0.1]),
            "type": kind,
            "limit_price": np.where(kind == "limit", level, np.nan),
            "stop_price": np.where(kind == "stop", level, np.nan),
            "bars": rng.integers(1, 6, count),
            "stop_loss": np.where(bracket, price * 0.9, np.nan),
        }
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("profile", [None, PROFILES["conservative"]])
def test_outcomes_agree_with_fills_lapsed_orders_and_vetoes(seed, profile):
    panel = random_panel(seed, actions=False)
    placed = orders_from(random_orders(panel, seed), panel)
    result = simulated_orders(
        panel,
        placed,
        start=START,
        stop=len(panel.timestamps),
        capital=1e5,
        costs=replace(FREE, lot=1.0, min_notional=100.0, participation=0.002),
        bars_per_year=252,
        shortable=seed == 1,
        horizon=5,
        profile=profile,
    )
    found = outcomes_of(placed, result, START)
    keys = zip(found["decided_at"], found["symbol"], strict=True)
    found["id"] = [order_id("s", at, name, 0) for at, name in keys]
    filled = result.fills("s").groupby("client_order_id")["quantity"].sum().abs()
    vetoes = result.vetoes()
    vetoed = set(zip(vetoes["decided_at"], vetoes["symbol"], strict=True))
    lapsed = set(result.lapsed("s")["client_order_id"])
    assert set(found["outcome"]) <= set(OUTCOMES)
    assert len(set(found["outcome"])) >= 6
    taken = found[found["outcome"] != "refused"]
    np.testing.assert_allclose(taken["filled"], taken["id"].map(filled).fillna(0.0))
    for row in found.itertuples():
        if row.outcome == "lapsed":
            assert row.id in lapsed or "buying_power" in row.reasons
        elif row.outcome == "refused":
            assert (row.decided_at, row.symbol) in vetoed or row.reasons == "lot"
        elif row.outcome == "filled":
            assert row.id not in lapsed
            assert row.filled == pytest.approx(row.quantity)
        elif row.outcome == "filled in part":
            assert 0 < row.filled < row.quantity
            assert row.reasons
        else:
            assert row.filled == 0
