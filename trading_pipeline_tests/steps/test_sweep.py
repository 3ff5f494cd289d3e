"""Sweeping stored predictions: variants are trials, each counted once, and bars are only read."""

import json
import sqlite3
from dataclasses import replace
from datetime import date
from math import inf
from shutil import copyfile

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.sweep import grid_of_limits, sweep
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.errors import BrokenChain, LedgerError, TradingError
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.sweep import OWN, sweep_predictions
from trading_pipeline.steps.trials import Evaluation, counted, journal
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


def in_threads(basis, terms, profiles, watch):
    return sweep(basis, terms, profiles, threads=2, watch=watch)


def swept(home, stored, market=MARKET, **limits):
    grid = grid_of_limits(profile_of(market), limits)
    watching = lambda label: Progress().start(label, lambda line: None)  # noqa: E731
    panel, table, able = stored
    return sweep_predictions(
        home, Plan(market), panel, table, able, grid, 1e5, in_threads, watching
    )


def config_hash(market):
    return Plan(market).recipe.config_hash(catalog_hash())


def tried(home):
    with home.trials() as book:
        return book.distinct()


def sql(home, text):
    """Change the ledger behind its back, in the one file of it."""
    with sqlite3.connect(home.path / "ledger.sqlite") as connection:
        assert connection.execute(text).rowcount > 0


def test_the_own_profile_is_marked_where_it_is_among_the_variants(home, stored):
    got = swept(home, stored, stop_loss=[1, 3, inf])
    assert list(got.table["stop_loss"]) == [1, 3, inf]
    assert list(got.table["own"]) == [False, True, False]
    assert (got.new_trials, got.luck.trials, got.days) == (3, 3, 199)
    assert next(iter(got.table.columns)) == "stop_loss"


def test_the_own_profile_is_the_first_row_where_it_is_not(home, stored):
    got = swept(home, stored, stop_loss=[1, 2])
    assert list(got.table.index) == [OWN, "stop_loss=1", "stop_loss=2"]
    assert list(got.table["stop_loss"]) == [3, 1, 2]
    assert list(got.table["own"]) == [True, False, False]


@pytest.mark.slow
def test_every_variant_is_a_trial_and_the_same_one_counts_once(home, stored):
    first = swept(home, stored, stop_loss=[1, 0.7])
    assert (first.new_trials, first.luck.trials) == (3, 3)
    again = swept(home, stored, stop_loss=[0.7, 1])
    assert (again.new_trials, again.luck.trials) == (0, 3)
    more = swept(home, stored, stop_loss=[1, 0.7, 0.5], take_profit=[5])
    assert (more.new_trials, more.luck.trials) == (1, 4)
    trials = [each.trial for each in tried(home)]
    assert {each.kind for each in trials} == {"walk_forward", "sweep"}
    names = {each.name for each in trials}
    assert {"network small, moderate", "network small, moderate, stop_loss=1 take_profit=5"} < names
    assert len(names) == 4
    assert len({each.sharpe for each in trials}) == 4
    assert counted(home, MARKET).trials.returns.shape == (199, 4)


def test_the_sharpe_ratio_of_a_trial_is_that_of_the_table(home, stored):
    got = swept(home, stored, stop_loss=[1, 0.7])
    assert [each.trial.sharpe for each in tried(home)] == list(got.table["sharpe"])


@pytest.mark.slow
def test_the_own_row_is_the_trial_of_the_report(home, stored):
    """And a variant is that of a market whose pipeline.toml says so."""
    told = replace(MARKET, limits=MARKET.limits | {"stop_loss": 1.0})
    first = swept(home, stored, stop_loss=[1, 3])
    assert {each.trial.config_hash for each in tried(home)} == {
        config_hash(MARKET),
        config_hash(told),
    }
    stamps = stored[0].timestamps
    report = Evaluation(config_hash(told), "as in pipeline.toml", np.linspace(1, 2, len(stamps)))
    assert journal(home, told, stamps, [report]).trials.count == 2
    assert swept(home, stored, told, stop_loss=[1, 3]).new_trials == 0
    assert first.new_trials == 2


def test_the_ledger_is_written_at_once_and_at_the_end(home, stored):
    """Where a score is infinite nothing can be traded, and nothing is journalled."""
    panel, table, able = stored
    broken = table.assign(score=table["score"].where(table.index != 5, np.inf))
    with pytest.raises(TradingError, match="infinite"):
        swept(home, (panel, broken, able), stop_loss=[1])
    assert tried(home) == []


def test_a_sweep_refuses_a_broken_chain_before_it_trades(home, stored, monkeypatch):
    swept(home, stored, stop_loss=[1])
    sql(home, "UPDATE events SET kind = 'walk_forward'")
    monkeypatch.setitem(globals(), "in_threads", None)
    with pytest.raises(BrokenChain, match="event 2 was changed"):
        swept(home, stored, stop_loss=[2])


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "emptied", "removed", "no database"])
def test_a_sweep_whose_trials_are_unknown_is_refused_before_it_trades(
    home, stored, monkeypatch, harm
):
    """A report knows of more trials than are left: luck would be deflated by too few. Nothing is
    journalled, so that a ledger that is put back goes on where it was."""
    first = swept(home, stored, stop_loss=[1, 2])
    stamps = stored[0].timestamps
    rising = Evaluation("a" * 64, "reported", np.linspace(1, 2, len(stamps)))
    event = journal(home, MARKET, stamps, [rising]).event
    home.report(MARKET).mkdir(parents=True)
    report = {"lineage": {"trial": event}}
    (home.report(MARKET) / "report.json").write_text(json.dumps(report))
    path = home.path / "ledger.sqlite"
    copyfile(path, home.path / "copy")
    if harm == "removed":
        path.unlink()
    elif harm == "no database":
        path.write_bytes(b"no database at all" * 100)
    else:
        sql(home, f"DELETE FROM events WHERE seq > {3 if harm == 'cut' else 0}")
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "in_threads", None)
        with pytest.raises(LedgerError, match="trials are unknown"):
            swept(home, stored, stop_loss=[1, 0.5])
    assert path.exists() == (harm != "removed")
    for file in home.path.glob("ledger.sqlite*"):
        file.unlink()
    copyfile(home.path / "copy", path)
    more = swept(home, stored, stop_loss=[1, 0.5])
    assert (first.luck.trials, more.new_trials, more.luck.trials) == (3, 1, 5)


def test_what_is_left_out_is_reported(home, stored):
    got = swept(home, stored, halve=[0.1, 0.2], flat=[0.15, 0.25])
    assert list(got.left_out) == ["halve=0.2 flat=0.15"]
    assert len(got.table) == 4
