"""`trading-pipeline ledger`: what a person is told of journals, whole and harmed."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from trading_pipeline.cli.main import app
from trading_pipeline.settings import Settings
from trading_pipeline.settings_markets import MarketSettings
from trading_pipeline.steps.trials import Evaluation, journal
from trading_pipeline_tests.defs.small_market import MARKET

ROOT = Path(__file__).parents[2]
DAYS = pd.date_range("2002-07-01", periods=40, freq="B", tz="UTC")


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TP_HOME", str(tmp_path))
    monkeypatch.setenv("TP_CONFIG", str(ROOT / "pipeline.toml"))


@pytest.fixture
def journalled(home):
    """Three trials and a paper session; a report vouches for the last trial."""
    for config, name in [("a" * 64, "network tiny"), ("b" * 64, "ridge tiny"), ("c" * 64, "")]:
        rising = Evaluation(config, name, np.linspace(1e5, 1.2e5, len(DAYS)))
        done = journal(home, MARKET, DAYS, [rising])
    with home.ledger() as ledger:
        ledger.append("paper/small/x", "start", DAYS[0].to_pydatetime(), {}, DAYS[0])
    home.report(MARKET).mkdir(parents=True)
    report = {"lineage": {"trial": done.event}}
    (home.report(MARKET) / "report.json").write_text(json.dumps(report))
    return home


def run(*arguments):
    return CliRunner().invoke(app, ["ledger", *arguments])


def sql(home, text):
    with sqlite3.connect(home.path / "ledger.sqlite") as connection:
        assert connection.execute(text).rowcount > 0


def test_a_ledger_that_is_whole_says_what_it_holds(journalled):
    shown = run("verify")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "paper/small/x: 1 event, the chain is whole",
        "trials: 3 events, the chain is whole",
        "daily returns: 3 of 3 files are as they were written",
    ]


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        ("UPDATE events SET payload = '{}' WHERE seq = 2", "trials: event 2 was changed (its hash"),
        (
            "DELETE FROM events WHERE seq = 2",
            "trials: event 2 is missing (a gap: the next one is 3",
        ),
        (
            "UPDATE events SET prev_hash = hash WHERE seq = 3",
            "trials: event 3 does not follow the one before it (another order",
        ),
        (
            "UPDATE events SET kind = 'stop' WHERE stream LIKE 'paper%'",
            "paper/small/x: event 1 was",
        ),
        ("DELETE FROM events WHERE seq = 3", "names event 3 of trials ("),
        ("DELETE FROM events WHERE stream = 'trials'", "names event 3 of trials ("),
    ],
)
def test_what_was_harmed_is_named_by_stream_and_number(journalled, harm, complaint):
    sql(journalled, harm)
    shown = run("verify")
    assert shown.exit_code == 1
    assert f"NOT WHOLE: {complaint}" in shown.stdout or (
        "NOT WHOLE: " in shown.stdout and complaint in shown.stdout
    )


def test_returns_that_were_altered_are_named(journalled):
    path, *_ = (journalled.path / "trials").iterdir()
    path.write_bytes(b"PAR1")
    shown = run("verify")
    assert shown.exit_code == 1
    assert f"NOT WHOLE: {path} was altered" in shown.stdout


def test_returns_of_another_home_are_noted_where_a_ledger_is_shared(journalled, monkeypatch):
    """The ledger is whole: nobody would find those files here."""
    monkeypatch.setenv("TP_LEDGER_URL", f"sqlite:///{journalled.path / 'ledger.sqlite'}")
    path, *_ = (journalled.path / "trials").iterdir()
    path.unlink()
    shown = run("verify")
    assert (shown.exit_code, "NOT WHOLE" in shown.stdout) == (0, False)
    assert "daily returns: 2 of 2 files are as they were written" in shown.stdout
    assert "note: 1 file of daily returns not in" in shown.stdout


def test_a_ledger_that_was_removed_is_missed_by_the_reports(journalled):
    (journalled.path / "ledger.sqlite").unlink()
    shown = run("verify")
    assert shown.exit_code == 1
    assert "names event 3 of a ledger that is gone" in shown.stdout
    assert not (journalled.path / "ledger.sqlite").exists()


def test_without_a_ledger_nothing_is_made(home):
    assert run("verify").exit_code == 0
    listed = run("trials")
    assert listed.exit_code == 2
    assert "trials unknown: there is no ledger" in listed.output
    assert not (home.path / "ledger.sqlite").exists()


@pytest.mark.parametrize("command", ["verify", "trials"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_home_that_does_not_exist_is_refused_and_not_made(
    journalled, monkeypatch, command, shared
):
    """A typing error is no ledger that is whole; nor with one that several homes share."""
    if shared:
        monkeypatch.setenv("TP_LEDGER_URL", f"sqlite:///{journalled.path / 'ledger.sqlite'}")
    typo = journalled.path / "walk-forwrd" / "mine"
    shown = run(command, "--home", str(typo))
    assert shown.exit_code == 2
    assert "--home: there is no folder" in shown.output
    assert not typo.parent.exists()


def test_trials_are_listed_with_what_they_are(journalled, tmp_path):
    shown = run("trials", "--home", str(tmp_path))
    assert shown.exit_code == 0
    assert "aaaaaaaaaaaa network tiny" in shown.stdout
    assert "bbbbbbbbbbbb ridge tiny" in shown.stdout
    assert "3 trials: 3 on " in shown.stdout


def test_the_number_of_trials_cannot_be_set(monkeypatch):
    """No setting, no entry of a market, no option of a command, no variable."""
    fields = [*Settings.model_fields, *MarketSettings.model_fields]
    commands = list(typer.main.get_command(app).commands.values())
    commands += [each for group in commands for each in getattr(group, "commands", {}).values()]
    options = [param.name for command in commands for param in command.params]
    assert [name for name in [*fields, *options] if "trial" in name] == []
    monkeypatch.setenv("TP_TRIALS", "1")
    refused = run("trials")
    assert refused.exit_code == 2
    assert "unknown variable TP_TRIALS" in refused.output
