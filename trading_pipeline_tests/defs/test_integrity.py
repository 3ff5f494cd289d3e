"""Checks of files and journals: what is whole passes, and each way of not being so is named."""

import json
import sqlite3
from contextlib import closing

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.predictions import COLUMNS
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.defs.checks import integrity
from trading_pipeline.defs.checks.integrity import (
    integrity_checks,
    journals_are_whole,
    parts_are_the_whole,
    predictions_keep_their_contract,
    refits_are_whole,
)
from trading_pipeline.steps import divergence, past_session
from trading_pipeline.steps.integrity import table_faults
from trading_pipeline.steps.refits import INTERVALS
from trading_pipeline_tests.steps import kills, paper_home
from trading_pipeline_tests.steps.kills import MARKET
from trading_pipeline_tests.steps.paper_home import PLAN

FOLD = "2024-01-01"


def predictions(n: int = 6) -> pd.DataFrame:
    """Rows as a model writes them."""
    noise = np.random.default_rng(0)
    heads = noise.dirichlet([2, 3, 2], n)
    stamps = pd.date_range("2024-01-01", periods=n, tz="UTC")
    told = {
        "timestamp": stamps,
        "symbol": "AAA",
        "model": "ridge",
        "fold": FOLD,
        "score": noise.normal(0, 0.1, n),
        **dict(zip(("p_down", "p_flat", "p_up"), heads.T, strict=True)),
        "position": noise.uniform(-1, 1, n),
        "volatility": 0.02,
        "risk": 0.1,
        "half_life": 5.0,
    }
    return pd.DataFrame(told)


BROKEN = {
    "score is no number": {"score": np.nan},
    "volatility is not positive": {"volatility": 0.0},
    "half_life is not positive": {"half_life": np.nan},
    "p_down + p_flat + p_up is not 1": {"p_up": 0.9, "p_down": 0.9},
    "p_flat is not within 0 and 1": {"p_flat": -0.1},
    "risk is not within 0 and 1": {"risk": 1.1},
    "position is not within -1 and 1": {"position": np.inf},
    "the bar is of before the fold": {"timestamp": pd.Timestamp("2023-12-31", tz="UTC")},
    "fold is another one": {"fold": "2023-01-01"},
    "(timestamp, symbol) is there twice": {"timestamp": pd.Timestamp("2024-01-06", tz="UTC")},
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_row_of_predictions_that_breaks_a_rule_is_named(rule):
    rows = predictions()
    assert list(table_faults(rows, FOLD)) == []
    for name, value in BROKEN[rule].items():
        rows.loc[3, name] = value
    faults = list(table_faults(rows, FOLD))
    assert any(fault.startswith(f"{rule} in ") and "first AAA at " in fault for fault in faults)


@pytest.mark.parametrize("column", COLUMNS)
def test_predictions_that_lack_a_column_are_named(column):
    (fault,) = table_faults(predictions().drop(columns=column), FOLD)
    assert fault == f"columns {column} are missing"


def evaluated(home, rival, fold):
    """The check, as a run of a fold or of none has Dagster evaluate it."""
    check = predictions_keep_their_contract(MARKET, rival)
    name = f"{rival}_predictions" if rival else "predictions"
    job = dg.define_asset_job("check", dg.AssetSelection.all_asset_checks())
    location = dg.Definitions(
        assets=[dg.AssetSpec([MARKET.name, name])],
        asset_checks=[check],
        jobs=[job],
        resources={"home": home},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = location.resolve_job_def("check").execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={"dagster/partition": fold} if fold else None,
        )
        (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


@pytest.mark.parametrize("rival", [None, "ridge"])
@pytest.mark.slow
def test_the_check_reads_the_predictions_of_its_own_model_and_fold(home, rival):
    own = home.beside(rival) if rival else home
    own.predictions(MARKET).write(FOLD, predictions(), "f" * 64)
    later = predictions().assign(fold="2025-01-01", score=np.inf)
    later["timestamp"] += pd.Timedelta(days=366)
    own.predictions(MARKET).write("2025-01-01", later, "f" * 64)
    assert evaluated(home, rival, FOLD).passed
    for fold in ("2025-01-01", None):
        found = evaluated(home, rival, fold)
        assert not found.passed
        assert "2025-01-01: score is no number in 6 of 6 rows" in found.description
    own.predictions(MARKET).path(FOLD).write_bytes(b"no Parquet")
    assert not evaluated(home, rival, FOLD).passed


@pytest.mark.slow
def test_a_journal_that_was_changed_is_found(home):
    check = journals_are_whole(MARKET)
    assert check(home=home).passed  # there is none
    kills.trade(home.path, 0, last=kills.FIRST + 2)
    found = check(home=home)
    assert found.passed
    assert found.metadata["events"].value > 5
    with closing(sqlite3.connect(home.path / "ledger.sqlite")) as database, database:
        database.execute("UPDATE events SET payload = '{}' WHERE seq = 2 AND stream LIKE 'paper/%'")
    found = check(home=home)
    assert not found.passed
    assert "event 2" in found.description


@pytest.fixture
def diverged(home, monkeypatch):
    """A home with the written divergence of a session; its file."""
    monkeypatch.setattr(divergence, "read_panel", lambda home, market: kills.panel())
    monkeypatch.setattr(past_session, "eligibility_of", lambda n_steps: paper_home.traded)
    paper_home.trade(home, execute=paper_home.worse)
    paper_home.predict(home)
    with home.ledger() as ledger:
        return divergence.report(home, PLAN, ledger).file


@pytest.mark.parametrize("change", ["fill", "paper", "no number", "half a file"])
@pytest.mark.slow
@pytest.mark.sampled(4)
def test_a_divergence_whose_parts_are_not_the_whole_is_found(home, diverged, change):
    check = parts_are_the_whole(MARKET)
    found = check(home=home)
    assert found.passed
    assert found.metadata["reports"].value == 1
    told = json.loads(diverged.read_text())
    if change == "fill":
        told["parts"]["fill"] += 0.01
    elif change == "paper":
        told["paper"] += 0.01
    elif change == "no number":
        told["difference"] = None
    text = json.dumps(told)
    diverged.write_text(text[:50] if change == "half a file" else text)
    found = check(home=home)
    assert not found.passed
    assert diverged.name in found.description


@pytest.fixture
def compared(home):
    """A comparison of refits as it is written."""
    estimate = {"value": 0.5, "low": 0.1, "high": 0.9}
    table = {
        name: {"fits": fits, "sharpe": {**estimate}, "rank_ic": {**estimate}}
        for fits, name in enumerate(INTERVALS, start=1)
    }
    file = home.report(MARKET) / "refits.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"intervals": table}))
    return file


@pytest.mark.parametrize("change", ["an interval is gone", "bounds", "order", "half a file"])
def test_a_comparison_of_refits_that_is_not_whole_is_found(home, compared, change):
    check = refits_are_whole(MARKET)
    assert check(home=home).passed
    told = json.loads(compared.read_text())
    if change == "an interval is gone":
        del told["intervals"]["monthly"]
    elif change == "bounds":
        told["intervals"]["yearly"]["sharpe"]["value"] = 0.95
    elif change == "order":
        told["intervals"]["never"]["fits"] = 99
    text = json.dumps(told)
    compared.write_text(text[:50] if change == "half a file" else text)
    assert not check(home=home).passed
    compared.unlink()
    assert check(home=home).passed  # it is made on demand


def test_whatever_can_be_wrong_is_checked():
    """By asset; the rest are those that the checks of bars, models and reports look at."""
    keys = [key for each in integrity_checks(MARKET) for key in each.check_keys]
    rivals = {f"{model}_predictions" for model in LEARNED_BASELINES}
    assert {key.asset_key.path[-1] for key in keys} == rivals | {
        "predictions",
        "production_model",
        "paper_account",
        "paper_divergence",
        "refit_comparison",
    }
    assert {integrity.JOURNAL, integrity.SERVICE} < {key.name for key in keys}
