"""A report is made again in a clean folder, from its bars alone."""

import json
import re
from datetime import UTC, datetime

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from trading_pipeline.cli.main import app
from trading_pipeline.defs import runs
from trading_pipeline.defs.materializations import materializations
from trading_pipeline.errors import StoreError
from trading_pipeline.steps import rebuild
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.trace import SAME, trace
from trading_pipeline.steps.trials import Evaluation, journal
from trading_pipeline_tests.defs.small_market import FIRST, MARKET, SECOND, SmallMarket, bars_until

pytestmark = pytest.mark.slow
END, LATER = "2002-09-01", "2002-09-14"  # two folds, and the beginning of a third


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two shares traded by a ridge regression, which is fitted for real, in a moment.

    After the report other configurations were tried, and bars came and were corrected.
    """
    home = Home(root=str(tmp_path_factory.mktemp("original")))
    with dg.DagsterInstance.ephemeral() as instance:
        small = SmallMarket(home, instance, model="ridge")
        small.store(bars_until(END))
        runs.train(small.runner, small.plan)
        tried(home, "a")
        runs.backtest(small.runner, small.plan, 70_000.0)
        tried(home, "b")
        report = home.report(MARKET) / "report.json"
        summary = json.loads(report.read_text())
        figure = trace(summary, "strategy.sharpe", home)
        runs_of_it = list(materializations(instance, summary, ["ridge"]))
    bars = bars_until(LATER)
    bars.loc[100:110, "volume"] *= 2
    home.bars(MARKET).merge(bars, datetime.now(UTC))
    return rebuild.read_original(report), figure, runs_of_it


def tried(home: Home, config: str) -> None:
    days = pd.date_range("2002-07-01", periods=40, freq="B", tz="UTC")
    journal(home, MARKET, days, [Evaluation(config, config, np.linspace(1e5, 2e5, 40), "sweep")])


def events_of(home: Home) -> list:
    with home.ledger() as ledger:
        return ledger.read("trials")


@pytest.mark.long
def test_a_report_is_made_again_bit_for_bit(made, tmp_path, monkeypatch):
    """Bars of later, corrections and trials of later are not in it; the ledger stays as it was."""
    monkeypatch.setenv("DAGSTER_HOME", "of another home")
    original, new = made[0], Home(root=str(tmp_path / "again"))
    before = events_of(original.home)
    done = CliRunner().invoke(app, ["rebuild", str(original.path), "--out", new.root])
    assert done.exit_code == 0, done.output
    said = re.search(r"reproduced: ([\d,]+) figures are equal, bit for bit", done.stdout)
    assert int(said[1].replace(",", "")) > 1000
    assert original.summary["trials"] == 2
    assert [each.seq for each in before] == [1, 2, 3]
    assert events_of(original.home) == before
    assert events_of(new)[:2] == before[:2]  # hash by hash

    report = new.report(MARKET) / "report.json"
    told = CliRunner().invoke(app, ["trace", str(report), "strategy.sharpe.value"])
    assert told.exit_code == 0, told.output
    for part in ("raw_bars", "features", f"model_checkpoint {SECOND}", "backtest_report"):
        assert re.search(rf"^  {part} +run \w{{8}}-", told.stdout, re.M), part
    assert told.stdout.count(SAME) == 11  # seven sources, and two files of two folds

    changed = json.loads(report.read_text())
    changed["strategy"]["sharpe"]["value"] += 1e-12
    changed["lineage"]["models"]["ridge"][SECOND]["checkpoint"] = "0"
    report.write_text(json.dumps(changed))
    found = rebuild.compare(original, new)
    assert [each.key for each in found.differing] == ["strategy.sharpe.value"]
    assert found.departure == f"the checkpoint of ridge {SECOND}"


@pytest.mark.long
def test_bars_that_are_not_those_of_the_report_are_refused(made, tmp_path):
    original, new = made[0], Home(root=str(tmp_path))
    store = original.home.bars(MARKET)
    new.bars(MARKET).merge(store.read_as_known(original.made_at), datetime.now(UTC))
    with pytest.raises(StoreError, match="does not hold the bars that the report was made from"):
        rebuild.check_bars(original, new)  # without splits and dividends
    new.bars(MARKET).write_actions(store.read_actions())
    rebuild.check_bars(original, new)


def test_a_figure_traces_to_what_is_stored(made):
    _, figure, made_by = made
    assert figure.value["value"] is not None
    stored = {each.what: each.now for each in figure.sources}
    assert {stored[name] for name in ("code", "packages", "processor", "bars", "trial")} == {SAME}
    assert [(each.model, each.key) for each in figure.folds] == [
        ("ridge", FIRST),
        ("ridge", SECOND),
    ]
    assert {each.checkpoint for each in figure.folds} == {SAME}
    assert {each.predictions for each in figure.folds} == {SAME}
    assert figure.config["recipe.market.horizon"] == 3
    assert figure.config["capital"] == 70_000.0
    assert [(each.asset, each.fold) for each in made_by] == [
        ("model_checkpoint", FIRST),
        ("predictions", FIRST),
        ("model_checkpoint", SECOND),
        ("predictions", SECOND),
        ("backtest_report", None),
    ]


def test_what_has_changed_since_is_said(made):
    original = made[0]
    home = original.home
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trading_pipeline.steps.trace.code_version", lambda: "0.2.0+0")
        figure = trace(original.summary, "baselines.equal_weight.sharpe.value", home)
    stored = {each.what: each.now for each in figure.sources}
    assert stored["code"] == "now 0.2.0+0"
    assert stored["bars"].startswith("other: ")
    assert stored["feature table"] == "to be computed anew"
    assert figure.folds == []
