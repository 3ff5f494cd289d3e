"""Blocking checks of models and reports fail when they should."""

import dagster as dg
import pandas as pd
import pytest

from trading_pipeline.defs.assets.metadata import start_text
from trading_pipeline.defs.checks.models import checkpoints_load_and_agree
from trading_pipeline.defs.checks.report import accounts_balance
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.core.learning.sample_market import MARKET, recipe
from trading_pipeline_tests.steps.small_report import write_small_report

PLAN = Plan(MARKET, preset="tiny")


@pytest.fixture(scope="module")
def checkpoint():
    return untrained()


@pytest.fixture
def stored(home, checkpoint, monkeypatch):
    """One checkpoint of a recipe that is the plan's."""
    monkeypatch.setattr(Plan, "recipe", recipe())
    home.checkpoints(MARKET).write("2006-01-01", checkpoint)
    return home


def check(home):
    """The check's evaluation, run by Dagster on an asset that exists."""
    job = dg.define_asset_job("check", dg.AssetSelection.all_asset_checks())
    location = dg.Definitions(
        assets=[dg.AssetSpec([MARKET.name, "model_checkpoint"])],
        asset_checks=[checkpoints_load_and_agree(PLAN)],
        jobs=[job],
        resources={"home": home},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = location.resolve_job_def("check").execute_in_process(
            instance=instance, raise_on_error=False
        )
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation


def test_the_page_of_a_checkpoint_shows_where_it_started(checkpoint):
    """As a table; where nothing stood out, and for a rival, in words."""
    term = {"term": "return_1, 20 bars ago × return_1, 40 bars ago", "weight": -0.0712, "t": -7.26}
    told = start_text({"terms": [*checkpoint["start"]["terms"], term], "gain": 0.35})
    assert [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines()[2:4]
    ] == [
        ["rsi_14", "+0.1000", "+6.0"],
        [term["term"], "-0.0712", "-7.3"],
    ]
    assert told.endswith("what the encoders add counts 0.35")
    assert start_text({"terms": [], "gain": 0.0}).startswith("no term stood out")
    assert start_text({}) == "none: this model is no network"


def test_a_whole_checkpoint_of_the_recipe_passes(stored):
    assert check(stored).passed


def test_a_flipped_byte_fails(stored):
    path = stored.checkpoints(MARKET).path("2006-01-01")
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    result = check(stored)
    assert not result.passed
    assert "not the file that was written" in result.description


def test_a_checkpoint_of_another_recipe_fails(stored, monkeypatch):
    monkeypatch.setattr(Plan, "recipe", recipe(steps=9))
    result = check(stored)
    assert not result.passed
    assert "settings differ in ['steps']" in result.description


def test_a_report_that_adds_up_passes_and_a_changed_one_fails(home):
    folder = home.report(MARKET)
    write_small_report(folder)
    assert accounts_balance(MARKET)(home=home).passed
    fills = pd.read_csv(folder / "fills.csv")
    fills.loc[0, "quantity"] += 1
    fills.to_csv(folder / "fills.csv", index=False)
    result = accounts_balance(MARKET)(home=home)
    assert not result.passed
    assert "cash is not what fills and cash flows leave" in result.description


@pytest.mark.parametrize("name", ["equity.csv", "fills.csv", "cash_flows.csv", "report.json"])
def test_a_report_that_lacks_a_file_fails(home, name):
    folder = home.report(MARKET)
    write_small_report(folder)
    (folder / name).unlink()
    assert f"lacks {name}" in accounts_balance(MARKET)(home=home).description


def test_equity_that_is_not_cash_and_holdings_fails(home):
    folder = home.report(MARKET)
    write_small_report(folder)
    books = pd.read_csv(folder / "equity.csv")
    books.loc[2, "equity"] *= 1.001
    books.to_csv(folder / "equity.csv", index=False)
    assert "equity is not cash and holdings" in accounts_balance(MARKET)(home=home).description
