"""`trading-pipeline divergence`: what a person and a program read, and how it ends."""

import json

import pandas as pd
import pytest

from trading_pipeline.core.backtest.divergence import Divergence
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.steps import divergence as step
from trading_pipeline.steps.divergence import summary_of

PARTS = {"data": -10.0, "signal": 4.0, "timing": 0.0, "fill": -294.0, "cost": -100.0}


def worked_by_hand() -> Divergence:
    """From 100,000: +1,000 instead of +1,400 on the first day, and nothing on the second."""
    rows = [
        {"equity": 101_000.0, "paper": 1_000.0, "backtest": 1_400.0, **PARTS, "unexplained": 0.0},
        {"equity": 101_000.0, "paper": 0.0, "backtest": 0.0, **dict.fromkeys(PARTS, 0.0)}
        | {"unexplained": 0.0},
    ]
    days = pd.date_range("2024-01-02", periods=2, tz="UTC", name="day")
    return Divergence(
        market="sample",
        session="paper",
        capital=1e5,
        until=days[-1],
        days=pd.DataFrame(rows, index=days),
    )


@pytest.fixture
def found(monkeypatch):
    """By what is tolerated a day, what the command finds."""

    def make(day):
        summary = summary_of(worked_by_hand(), Tolerance(day=day))
        monkeypatch.setattr(step, "divergence_of", lambda *_: summary)
        return summary

    return make


def test_the_table_says_in_words_what_came_from_where(run, found):
    found(0.0050)
    code, said = run("divergence", "--market", "sample", "--session", "paper")
    assert code == 0
    for words in (
        "paper of sample, 2024-01-02 to 2024-01-03, from a capital of 100,000.00",
        "The session earned +1,000.00, the backtest of the same days +1,400.00.",
        "That is 400.00 less, -39.4 bp of the backtest's equity; 100.0 bp are tolerated.",
        "The day furthest apart is 2024-01-02: -40.0 bp of equity; 50.0 bp are.",
        "fill -294.00 prices and quantities that were executed",
        "2024-01-02 +1,000.00 +1,400.00 -400.00 -40.0 bp -10.00 +4.00 +0.00 -294.00 -100.00",
    ):
        assert words in said


def test_beyond_what_is_tolerated_it_ends_with_1(run, found):
    found(0.0025)
    code, said = run("divergence")
    assert code == 1
    assert (
        "2024-01-02: -40.0 bp of equity apart, and 25.0 bp a day are tolerated (most of it fill, "
        "-294.00)" in said
    )


def test_a_program_reads_json(run, found):
    summary = found(0.0050)
    code, said = run("divergence", "--json")
    assert code == 0
    assert json.loads(said) == summary
    assert summary["total"] == pytest.approx(-400 / 101_400)


def test_a_market_without_a_session_names_the_command_that_starts_one(run):
    code, said = run("divergence", "--market", "sample")
    assert code == 2
    assert "start one with `trading-pipeline paper-trade --market sample`" in said
