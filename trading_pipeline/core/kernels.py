"""Compiles every kernel, so that no first command waits for it.

    python -m trading_pipeline.core.kernels

numba keeps what it compiled beside the code, for this processor and this code. What is there
already takes seconds.
"""

from datetime import date

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.paths import trade_paths
from trading_pipeline.core.backtest.simulate import simulate_orders
from trading_pipeline.core.features.catalog import compute_features
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.synthetic import synthetic_market
from trading_pipeline.core.trading.engine.dtypes import Order
from trading_pipeline.core.trading.engine.evidence import ShadowBar
from trading_pipeline.core.trading.kelly import RunningEvidence
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Bar, Signals, Trader

_ROWS = 80  # of bars


def compile_kernels() -> None:
    """Take made-up bars through features, a backtest, a paper session and a broker's books."""
    days = pd.date_range("2020-01-01", periods=_ROWS, tz="UTC")
    made = synthetic_market(days, ("AAA", "BBB"), seed=0)
    panel, score = made.panel, np.full(made.signal.shape, np.nan)
    score[_ROWS // 2 :] = made.signal[_ROWS // 2 :]
    market = Market(
        name="made_up",
        source="none",
        symbols=panel.symbols,
        start=date(2020, 1, 1),
        calendar="24/7",
    )
    compute_features(panel.adjusted_bars(), threads=1)
    basis, terms = Basis.of(panel, score, panel.traded, market), Terms.of(market, capital=1e5)
    basis.trade(terms)
    trade_paths(basis, [terms], [basis.evidence.share])
    simulate_orders(panel, Order.zeros(0), terms, start=basis.start, stop=basis.stop)
    _trade_one_bar(basis, terms)


def _trade_one_bar(basis: Basis, terms: Terms) -> None:
    """The newest, by itself."""
    panel, row = basis.panel, len(basis.panel.timestamps) - 1
    trader, bar = Trader(panel.symbols, terms, session="none"), Bar.of(panel, row)
    trader.fill(bar)
    trader.decide(Signals.of(basis.prepared, basis.inputs, row))
    Trader(panel.symbols, terms, session="none").book(bar, [])
    one = np.ones(len(panel.symbols))
    whole, recent = one.astype(np.int64), np.zeros((len(one), row))
    grids = (one, one, one.astype(bool), one, one, one, one, one)
    known = ShadowBar(*grids, recent, span=(0, row), groups=whole, half_life=1.0)
    RunningEvidence(panel, basis.prepared, basis.inputs, terms).step(row, known)


if __name__ == "__main__":
    compile_kernels()
