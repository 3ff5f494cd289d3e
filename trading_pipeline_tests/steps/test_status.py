"""What an operator sees of a session, and says to it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from trading_pipeline.adapters.kill_switch import PAUSED, record_intent
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.cli.paper import _table
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps import risk_state
from trading_pipeline.steps.dashboard import Dashboard
from trading_pipeline.steps.status import next_close, status_of, word_on_recipe
from trading_pipeline.steps.watchdog import Attendance
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import FIRST, MARKET


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    kills.trade(folder, 0, last=FIRST + 4)
    with Ledger(folder / "ledger.sqlite") as opened:
        yield opened


def test_the_status_is_that_of_the_newest_bar(ledger):
    """A session that ended has given the lease back, and its heartbeat ages."""
    last = ledger.last(kills.STREAM)
    known = status_of(ledger, MARKET, "", last.recorded_at + timedelta(hours=1))
    mark = ledger.last(kills.STREAM, "mark").payload
    assert known.stream == kills.STREAM
    assert known.last_bar == kills.panel().timestamps[FIRST + 4]
    assert known.next_bar == kills.panel().timestamps[FIRST + 5]
    assert (known.equity, known.cash) == (mark["equity"], mark["cash"])
    assert known.positions == mark["positions"] != {}
    orders = ledger.last(kills.STREAM, "decision").payload["orders"]
    assert known.orders == [each | {"status": "new", "answer": "new"} for each in orders]
    assert known.holder == ""
    assert timedelta(minutes=59) <= known.heartbeat <= timedelta(hours=1)
    assert known.wanted == "never started"  # by nothing that notes it
    assert known.values.keys() == known.positions.keys()
    worth = known.cash + sum(known.values.values())
    assert worth == pytest.approx(known.equity)


@pytest.mark.slow
def test_the_status_says_which_limits_act_and_why(tmp_path):
    """A week of falling prices: the rules are those of the decision, with figure and limit."""
    kills.trade(tmp_path, 0, last=FIRST + 8)
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        known = status_of(opened, MARKET, "s", kills.BEGIN)
    assert known.risk == "reduce-only"
    assert "weekly_loss" in known.limits
    assert "reached the limit of 2.00%" in known.limits["weekly_loss"]
    assert 0.02 < known.drawdown < 1
    shown = str([*_table(known, "not proven").columns[1].cells])
    assert "weekly loss: nothing new this week" in shown, "by the report's name"
    assert "reached the limit of 2.00 %" in shown
    assert "volatility target, Kelly cap, drawdown control" in shown
    assert "_" not in shown, "no name of a table's column"


def test_the_status_says_what_a_broker_made_of_the_orders(tmp_path, monkeypatch):
    answer = {"status": "rejected", "reason": "no money", "filled_quantity": 0.0}
    monkeypatch.setattr(kills.Venue, "submit", lambda self, order: answer)
    kills.trade(tmp_path, 0, last=FIRST)
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        known = status_of(opened, MARKET, "s", kills.BEGIN)
    assert {each["answer"] for each in known.orders} == {"rejected: no money"}
    assert ", rejected: no money" in str([*_table(known, "not proven").columns[1].cells])


def test_a_state_of_another_version_is_shown_without_its_risk(ledger, monkeypatch):
    monkeypatch.setattr(risk_state, "new_account", lambda capital: risk_state.new_positions(3))
    known = status_of(ledger, MARKET, "", kills.BEGIN)
    assert (known.risk, known.limits, known.drawdown) == ("", {}, None)
    assert known.equity > 0


def test_the_status_names_who_wanted_what_and_why(ledger):
    now = kills.BEGIN + timedelta(days=1)
    record_intent(ledger, MARKET.name, PAUSED, "odd prices", now, "ann on desk")
    known = status_of(ledger, MARKET, "s", now)
    assert known.intent == "paused"
    assert known.intent_said == "since 2030-01-02 00:00 by ann on desk: odd prices"
    assert _table(known, "not proven").row_count == 15


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        ({"edge": "proven", "adds": "not proven"}, "proven: an edge"),
        ({"edge": "not proven", "adds": "proven"}, "proven: adds to the baselines"),
        ({"edge": "not proven", "adds": "not proven"}, "not proven"),
        ({}, "not proven: there is no backtest report"),
        (None, "not proven: there is no backtest report"),
    ],
)
def test_a_recipe_that_is_not_proven_is_called_that(verdict, word, tmp_path):
    if verdict is not None:
        (tmp_path / "report.json").write_text(json.dumps({"verdict": verdict}))
    assert word_on_recipe(tmp_path) == word


def test_a_market_without_a_session_says_how_to_start_one(ledger):
    with pytest.raises(LedgerError, match="has no paper session other; start one with"):
        status_of(ledger, MARKET, "other", kills.BEGIN)


def test_brackets_of_an_operators_words_are_shown_and_are_no_markup(ledger):
    """`[/risk]` would be the end of a style that nobody began: a traceback while it is halted."""
    said, name = "cut to [50%] per [/risk] memo", "paper/killed/[/x]"
    known = status_of(ledger, MARKET, "", kills.BEGIN)
    screen = Console(width=200, record=True)
    screen.print(_table(replace(known, stream=name, intent_said=said), "not proven"))
    shown = screen.export_text()
    assert said in shown
    assert name in shown


def test_a_session_that_waits_for_its_first_bar_is_shown(tmp_path):
    """Of daily bars for most of a day: it was an error that there is none."""
    coins = replace(MARKET, calendar="24/7")
    noon = datetime(2024, 3, 5, 12, tzinfo=UTC)
    terms = {"session": "paper", "capital": 5e4}
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        told = Attendance(opened, coins.name, "paper", "run", terms, "ann", "", lambda: noon)
        assert told()
        for name in ("", "paper"):
            known = status_of(opened, coins, name, noon)
            assert known.stream == "paper/killed/paper"
            assert (known.equity, known.positions, known.last_bar) == (5e4, {}, None)
            assert known.next_bar == datetime(2024, 3, 5, tzinfo=UTC), "it is open"
            assert known.next_close == datetime(2024, 3, 6, tzinfo=UTC)
            assert "started 2024-03-05 12:00 by ann" in known.wanted
        shown = Dashboard(opened, coins, "", tmp_path).state(noon)
        assert shown["equity"] == 5e4
        with pytest.raises(LedgerError, match="has no paper session other"):
            status_of(opened, coins, "other", noon)
    assert next_close(coins, noon) == datetime(2024, 3, 6, tzinfo=UTC)
    friday = datetime(2024, 3, 8, 22, tzinfo=UTC)
    assert next_close(replace(MARKET, calendar="XNYS"), friday) == datetime(
        2024, 3, 11, 20, tzinfo=UTC
    ), "in summer time"
