"""Sweeping stored predictions: variants are trials, each counted once, and bars are only read."""

from dataclasses import replace
from datetime import UTC, date, datetime
from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.trials import Trial, distinct_trials, record_trials
from trading_pipeline.core.backtest.sweep import grid_of_limits
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.errors import LedgerError, TradingError
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.sweep import OWN, sweep_predictions
from trading_pipeline_tests.core.trading.markets import SYMBOLS, random_panel, random_scores

MARKET = Market(
    name="small", source="parquet", symbols=SYMBOLS[:4], start=date(2024, 1, 1), calendar="24/7",
    limits={"stop_loss": 3.0, "take_profit": 5.0},
)  # fmt: skip


@pytest.fixture(scope="module")
def stored():
    """A panel, a predictions table, and who may be bought."""
    panel = random_panel(3, T=200)
    score = random_scores(3, panel)
    t, n = np.nonzero(np.isfinite(score))
    symbols = np.array(panel.symbols)[n]
    table = pd.DataFrame(
        {"timestamp": panel.timestamps[t], "symbol": symbols, "score": score[t, n]}
    )
    return panel, table, panel.traded


def swept(ledger, stored, market=MARKET, **limits):
    grid = grid_of_limits(profile_of(market), limits)
    watching = lambda label: Progress().start(label, lambda line: None)  # noqa: E731
    panel, table, able = stored
    return sweep_predictions(ledger, Plan(market), panel, table, able, grid, 1e5, 2, watching)


def config_hash(market):
    return Plan(market).recipe.config_hash(catalog_hash())


def test_the_own_profile_is_marked_where_it_is_among_the_variants(home, stored):
    with home.ledger() as ledger:
        got = swept(ledger, stored, stop_loss=[1, 3, inf])
    assert list(got.table["stop_loss"]) == [1, 3, inf]
    assert list(got.table["own"]) == [False, True, False]
    assert (got.new_trials, got.luck.trials, got.days) == (3, 3, 199)
    assert next(iter(got.table.columns)) == "stop_loss"


def test_the_own_profile_is_the_first_row_where_it_is_not(home, stored):
    with home.ledger() as ledger:
        got = swept(ledger, stored, stop_loss=[1, 2])
    assert list(got.table.index) == [OWN, "stop_loss=1", "stop_loss=2"]
    assert list(got.table["stop_loss"]) == [3, 1, 2]
    assert list(got.table["own"]) == [True, False, False]


def test_every_variant_is_a_trial_and_the_same_one_counts_once(home, stored):
    with home.ledger() as ledger:
        first = swept(ledger, stored, stop_loss=[1, 0.7])
        assert (first.new_trials, first.luck.trials) == (3, 3)
        again = swept(ledger, stored, stop_loss=[0.7, 1])
        assert (again.new_trials, again.luck.trials) == (0, 3)
        more = swept(ledger, stored, stop_loss=[1, 0.7, 0.5], take_profit=[5])
        assert (more.new_trials, more.luck.trials) == (1, 4)
        kinds = {each.kind for each in distinct_trials(ledger)}
        sharpes = [each.sharpe for each in distinct_trials(ledger)]
    assert kinds == {"walk_forward", "sweep"}
    assert len(set(sharpes)) == 4


def test_the_own_row_is_the_trial_of_the_report(home, stored):
    """And a variant is that of a market whose pipeline.toml says so."""
    told = replace(MARKET, limits=MARKET.limits | {"stop_loss": 1.0})
    now = datetime(2024, 6, 1, tzinfo=UTC)
    with home.ledger() as ledger:
        first = swept(ledger, stored, stop_loss=[1, 3])
        hashes = {each.config_hash: each for each in distinct_trials(ledger)}
        assert set(hashes) == {config_hash(MARKET), config_hash(told)}
        panel = hashes[config_hash(told)].panel
        trial = Trial(config_hash(told), panel, "walk_forward", 0.5)
        record_trials(ledger, [trial], at=now, recorded_at=now)
        assert len(distinct_trials(ledger)) == 2
        assert swept(ledger, stored, told, stop_loss=[1, 3]).new_trials == 0
    assert first.new_trials == 2


def test_the_ledger_is_written_at_once_and_at_the_end(home, stored):
    """Where a score is infinite nothing can be traded, and nothing is journalled."""
    panel, table, able = stored
    broken = table.assign(score=table["score"].where(table.index != 5, np.inf))
    with home.ledger() as ledger:
        with pytest.raises(TradingError, match="infinite"):
            swept(ledger, (panel, broken, able), stop_loss=[1])
        assert distinct_trials(ledger) == []


def test_trials_are_written_all_or_none(home):
    from trading_pipeline.adapters.store.trials import record_trials

    now = datetime(2024, 6, 1, tzinfo=UTC)
    trials = [Trial("a", "p", "sweep", 0.5), Trial("b", "p", "sweep", float("nan"))]
    with home.ledger() as ledger:
        with pytest.raises(LedgerError):
            record_trials(ledger, trials, at=now, recorded_at=now)
        assert distinct_trials(ledger) == []
        record_trials(ledger, trials[:1], at=now, recorded_at=now)
        assert distinct_trials(ledger) == trials[:1]


def test_what_is_left_out_is_reported(home, stored):
    with home.ledger() as ledger:
        got = swept(ledger, stored, halve=[0.1, 0.2], flat=[0.15, 0.25])
    assert list(got.left_out) == ["halve=0.2 flat=0.15"]
    assert len(got.table) == 4
