"""What a session has to tell, event by event of a ledger; `Alerts` tells each once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters.alerts import DOWNLOAD_FAILED
from trading_pipeline.adapters.kill_switch import HALTED, PAUSED, TRADING, record_intent
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.market.market import Market
from trading_pipeline.steps.incidents import Incidents
from trading_pipeline.steps.session_news import session_news
from trading_pipeline_tests.steps import kills

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOURLY = replace(kills.MARKET, timeframe="1h")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def wrong(ledger: Ledger, market: Market, now: datetime) -> dict[str, str]:
    """What is wrong now, by kind and rule; each is told of, as wrong or as over."""
    news = [each for each in session_news(ledger, market, "s", now) if each.kind != "order_failed"]
    kinds = [each.kind for each in news if each.kind != "limit_hit"]
    assert kinds == ["halted", "stale_data", "reconciliation"]
    assert {each.subject.partition(": ")[0] for each in news} == {market.name}
    return {
        each.subject.partition(": ")[2] or each.kind: each.text for each in news if not each.over
    }


def test_a_session_without_a_bar_has_nothing_to_tell(ledger):
    assert wrong(ledger, HOURLY, NOON) == {}


def test_halted_is_told_with_who_and_why_until_it_trades_again(ledger):
    record_intent(ledger, HOURLY.name, HALTED, "odd prices", NOON, "ann")
    said = wrong(ledger, HOURLY, NOON)["halted"]
    assert said.startswith("since 2030-01-01 12:00 by ann: odd prices. Nothing is bought until ")
    record_intent(ledger, HOURLY.name, TRADING, "", NOON, "ann")
    assert wrong(ledger, HOURLY, NOON) == {}


@pytest.mark.slow
def test_each_limit_that_acts_is_told_with_figure_and_limit(tmp_path):
    """Each by itself: a month's limit is news although the week's was told."""
    kills.trade(tmp_path, 0, last=kills.FIRST + 8)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        said = wrong(ledger, kills.MARKET, NOON)
        over = [each.subject for each in session_news(ledger, kills.MARKET, "s", NOON) if each.over]
    # Bars of 2024 in 2030 are a replay's, and not stale; drawdown control acts all the time.
    assert said.keys() == {"daily loss", "weekly loss"}
    assert "UTC: nothing new this week: the book's loss is" in said["weekly loss"]
    assert "killed: monthly loss" in over
    assert "killed: kill switch" not in over  # it is told as halted


def test_orders_that_a_broker_refuses_are_told_until_it_takes_the_next(tmp_path, monkeypatch):
    """Once it has answered to all of a decision; those that the operator called off are no news."""

    def told(last, **answers):
        def submit(_, order):
            said = answers.get(order["symbol"], "new: ")
            return dict(zip(("status", "reason"), said.split(": "), strict=True))

        monkeypatch.setattr(kills.Venue, "submit", submit)
        kills.trade(tmp_path, last, last=kills.FIRST + last)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            news = session_news(ledger, kills.MARKET, "s", NOON)
            return [(each.text, each.over) for each in news if each.kind == "order_failed"]

    ((text, over),) = told(0, AAA="rejected: no money", BBB="called_off: halted")
    assert not over
    assert text.endswith(" orders of 2024-03-11 00:00 UTC: AAA rejected: no money")
    assert text.startswith("1 of ")
    assert told(1) == [("all were taken", True)]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        decision = ledger.last(kills.STREAM, "decision")
        ledger.append(kills.STREAM, "decision", NOON, decision.payload, NOON)  # not answered yet
        kinds = {each.kind for each in session_news(ledger, kills.MARKET, "s", NOON)}
    assert "order_failed" not in kinds


def bar(ledger: Ledger, opened: datetime, late: timedelta) -> None:
    """A bar of an hour, recorded so long after its close."""
    ledger.append("paper/killed/s", "bar", opened, {}, opened + timedelta(hours=1) + late)


def test_a_bar_that_does_not_come_is_told_and_that_it_has_come(ledger):
    bar(ledger, NOON - timedelta(hours=1), timedelta(seconds=20))
    assert wrong(ledger, HOURLY, NOON + timedelta(minutes=89)) == {}
    said = wrong(ledger, HOURLY, NOON + timedelta(minutes=91))["stale_data"]
    assert said.startswith("the bar of 2030-01-01 12:00 UTC closed at 13:00 and has not come; the ")
    bar(ledger, NOON, timedelta(minutes=32))
    assert wrong(ledger, HOURLY, NOON + timedelta(minutes=93)) == {}


def test_a_session_that_is_paused_lacks_no_bar(ledger):
    """It asks for none; from the moment it trades again, it does."""
    bar(ledger, NOON - timedelta(hours=1), timedelta(seconds=20))
    record_intent(ledger, HOURLY.name, PAUSED, "", NOON, "ann")
    assert wrong(ledger, HOURLY, NOON + timedelta(hours=5)) == {}
    record_intent(ledger, HOURLY.name, TRADING, "", NOON, "ann")
    assert "stale_data" in wrong(ledger, HOURLY, NOON + timedelta(hours=5))


def test_a_session_that_died_waits_for_no_bar_and_tells_the_rest(ledger):
    """That its market is halted, say."""
    bar(ledger, NOON - timedelta(hours=1), timedelta(seconds=20))
    record_intent(ledger, HOURLY.name, HALTED, "", NOON, "ann")
    later = NOON + timedelta(hours=5)
    died = list(session_news(ledger, HOURLY, "s", later, lives=False))
    assert [(each.kind, each.over) for each in died] == [
        ("halted", False),
        ("reconciliation", True),
    ]
    (none,) = session_news(ledger, HOURLY, "", later, lives=False)
    assert none == died[0]


@pytest.mark.slow
def test_what_was_wrong_with_a_session_is_over_when_it_is_stopped(tmp_path):
    """Limits, a bar that is late, a venue without an answer: no next session may ever say so."""
    kills.trade(tmp_path, 0, last=kills.FIRST + 8)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        Incidents(ledger, "killed", "s", lambda: NOON).begin(DOWNLOAD_FAILED, "no answer")
        row = {"symbol": "AAPL", "ours": 10.0, "theirs": 12.0}
        ledger.append("broker/killed/s", "reconciliation", NOON, {"differences": [row]}, NOON)
        bar(ledger, NOON - timedelta(hours=1), timedelta(seconds=20))
        later = NOON + timedelta(hours=5)
        before = list(session_news(ledger, HOURLY, "s", later))
        after = list(session_news(ledger, HOURLY, "s", later, lives=False, stopped=True))
    wrong_before = {each.kind for each in before if not each.over}
    assert wrong_before == {"limit_hit", "download_failed", "stale_data", "reconciliation"}
    assert "killed: drawdown half" in {each.subject for each in before}, "as everywhere else"
    assert all(each.over for each in after)
    told = {(each.kind, each.subject) for each in before}
    assert {(each.kind, each.subject) for each in after} == told - {("reconciliation", "killed")}
    assert {each.text for each in after[1:]} == {"the session s was stopped"}


def test_a_market_that_is_closed_is_not_stale(ledger):
    """From Friday's close in New York to Monday's, and half an hour."""
    shares = replace(kills.MARKET, calendar="XNYS")
    friday = datetime(2030, 1, 4, tzinfo=UTC)
    close = friday + timedelta(hours=21)
    ledger.append("paper/killed/s", "bar", friday, {}, close + timedelta(minutes=1))
    assert wrong(ledger, shares, close + timedelta(days=3, minutes=29)) == {}
    assert "stale_data" in wrong(ledger, shares, close + timedelta(days=3, minutes=31))


def test_a_broker_that_differs_is_told_until_it_agrees_or_is_accepted(ledger):
    stream = "broker/killed/s"
    row = {"symbol": "AAPL", "ours": 10.0, "theirs": 12.0, "share": 0.02}
    differs, agrees = ({"differences": rows} for rows in ([row], []))
    for kind, payload, is_wrong in (
        ("reconciliation", differs, True),
        ("reconciliation", agrees, False),
        ("reconciliation", differs, True),
        ("accepted", {"offsets": {}}, False),
        ("reconciliation", differs, True),
    ):
        ledger.append(stream, kind, NOON, payload, NOON)
        said = wrong(ledger, HOURLY, NOON)
        assert said == ({"reconciliation": "AAPL: 10 here, 12 at the broker"} if is_wrong else {})
