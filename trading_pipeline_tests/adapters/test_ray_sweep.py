"""A sweep on Ray: the books of this process, bit for bit, and errors that say what to do."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from trading_pipeline.adapters import ray_sweep
from trading_pipeline.adapters.ray_sweep import sweep_on_ray
from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.sweep import grid_of_limits, joined, sweep
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import SettingsError, TradingError
from trading_pipeline_tests.core.trading.markets import SYMBOLS, random_panel, random_scores

MARKET = Market(
    name="many",
    source="parquet",
    symbols=SYMBOLS[:4],
    start=date(2024, 1, 1),
    calendar="24/7",
    costs=Costs(fee=0.0005),
)
TERMS = Terms.of(MARKET, 100_000.0)
PROFILES_OF_TEST = grid_of_limits(
    PROFILES["moderate"], {"stop_loss": [1, 2, 3], "trailing_stop": [2, 3]}
).profiles


@pytest.fixture(scope="module")
def basis():
    panel = random_panel(3, T=200)
    return Basis.of(panel, random_scores(3, panel), panel.traded, MARKET)


def assert_same(got, expected):
    assert got.names == expected.names
    assert got.profiles == expected.profiles
    assert got.timestamps.equals(expected.timestamps)
    assert (got.start, got.stop) == (expected.start, expected.stop)
    assert got.log.tobytes() == expected.log.tobytes()
    assert got.accounts.tobytes() == expected.accounts.tobytes()


def test_parts_of_a_sweep_are_the_sweep(basis):
    names = list(PROFILES_OF_TEST)
    parts = [
        sweep(basis, TERMS, {name: PROFILES_OF_TEST[name] for name in part})
        for part in (names[:1], names[1:4], names[4:])
    ]
    whole = sweep(basis, TERMS, PROFILES_OF_TEST)
    assert len({path.tobytes() for path in whole.equity}) > 2
    assert_same(joined(parts), whole)


@pytest.mark.slow
@pytest.mark.long
def test_workers_of_ray_trade_the_books_of_this_process(basis, monkeypatch):
    """On two workers of a cluster of its own, in tasks of two profiles; and what stops a worker
    is raised here as what it is."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_sweep, "_TASK", 2)
    seen = []
    got = sweep_on_ray(
        basis, TERMS, PROFILES_OF_TEST, lambda done, total, note: seen.append((done, total))
    )
    assert_same(got, sweep(basis, TERMS, PROFILES_OF_TEST))
    assert seen == [(2, 6), (4, 6), (6, 6)]
    spoiled = replace(basis.inputs, score=np.full_like(basis.inputs.score, np.inf))
    with pytest.raises(TradingError, match="infinite"):
        sweep_on_ray(
            replace(basis, inputs=spoiled), TERMS, PROFILES_OF_TEST, lambda *progress: None
        )


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(basis, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(SettingsError, match=r"no Ray cluster answers at 127.0.0.1:9 .*ray start"):
        sweep_on_ray(basis, TERMS, PROFILES_OF_TEST, lambda *progress: None)
