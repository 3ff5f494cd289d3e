"""A session on the bars of a venue: each decided on once, with the model in service, or missed."""

import logging
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.clock import Clock
from trading_pipeline.adapters.kill_switch import PAUSED, TRADING, record_intent
from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.actions import empty_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.trader import Trader
from trading_pipeline.errors import (
    CheckpointError,
    LeaseLost,
    LedgerError,
    StoreError,
    TradingError,
)
from trading_pipeline.steps import live
from trading_pipeline.steps.brokerage import Routes
from trading_pipeline.steps.guard import guarded
from trading_pipeline.steps.identity import compare
from trading_pipeline.steps.incidents import incidents
from trading_pipeline.steps.paper import replay
from trading_pipeline.steps.past_session import eligibility_of
from trading_pipeline.steps.session import Session, journalled_orders
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import source_at as alpaca_source
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca
from trading_pipeline_tests.fakes.venue import FOREVER, refusal
from trading_pipeline_tests.steps.live_market import (
    BEGIN,
    HOUR,
    LEARNED,
    MARKET,
    PAIRS,
    PLAN,
    Moving,
    Scripted,
    binance,
    furnish,
    serve,
    source_at,
    stamp,
)

STREAM = "paper/hours/live"
pytestmark = pytest.mark.slow


@pytest.fixture
def venue():
    with binance() as opened:
        yield opened


@pytest.fixture
def clock(venue):
    return Moving(venue)


@pytest.fixture(autouse=True)
def _lasting(monkeypatch):
    """Hours pass in which a lease is renewed each half minute: most tests are not about that."""
    monkeypatch.setattr(live, "guarded", partial(guarded, ttl=pd.Timedelta(minutes=20)))


@pytest.fixture
def furnished(home, venue, clock, monkeypatch):
    monkeypatch.setattr(live, "Forecaster", Scripted)
    furnish(home, source_at(venue, clock))
    return home


@pytest.fixture
def ledger(furnished):
    with furnished.ledger() as opened:
        yield opened


def silent(done, total, note):
    """Nobody watches."""


def trade(home, ledger, venue, clock, bars=None, session="live", plan=PLAN, source=None, **how):
    """One process's worth of a session: so many bars, then it ends."""
    run = live.trade(
        ledger,
        replace(home, clock=Clock(clock.here, clock.sleep)),
        plan,
        source or source_at(venue, clock),
        silent,
        session=session,
        capital=1e5,
        **how,
    )
    told = list(islice(run, bars))
    run.close()
    return told


def decisions(ledger, stream=STREAM):
    return ledger.read(stream, kind="decision")


def bars_of(ledger, stream=STREAM):
    return [pd.Timestamp(each.at) for each in ledger.read(stream, kind="bar")]


def missed(ledger, stream=STREAM):
    return [
        pd.Timestamp(each.at) for each in decisions(ledger, stream) if each.payload.get("missed")
    ]


def met(ledger):
    """What went wrong around the session by now: kind, and whether it is over."""
    return [(each.kind, each.over) for each in incidents(ledger, MARKET.name, "live")]


def assert_identical(ledger, home, session="live", market=MARKET):
    found = compare(
        ledger, market, home.recordings(market), session, lambda panel: eligible(panel, 1, 1)
    )
    assert found.same, found.differences[:3]
    return found


def test_a_live_session_orders_what_a_replay_of_the_same_bars_does(furnished, ledger, venue, clock):
    """Tens of bars that closed one by one, and the same ones as a whole."""
    told = trade(furnished, ledger, venue, clock, 30)
    assert bars_of(ledger) == [stamp(hour) for hour in range(30)]
    assert not missed(ledger)
    assert (told[-1]["fills"] >= 100, told[-1]["vetoes"] >= 2) == (True, True)
    assert_identical(ledger, furnished)

    source = source_at(venue, clock)
    bars = source.bars(MARKET.symbols, stamp(-216), stamp(30))
    panel, rows = Panel.of(bars, None, MARKET.symbols), Rows(216, 245)
    model = furnished.checkpoints(MARKET).read("best_model")
    replayed = Session(
        ledger,
        MARKET,
        Scripted(panel, MARKET, [Fold("2021", Rows(0, -1), Rows(0, -1), rows)], lambda key: model),
        furnished.recordings(MARKET),
        session="again",
        capital=1e5,
        clock=clock.here,
    )
    equity = [bar.equity for bar in replayed.run(rows.first, rows.last)]
    assert [each.payload["equity"] for each in decisions(ledger)] == equity
    orders, again = (
        journalled_orders(ledger, f"paper/hours/{name}").drop(columns="client_order_id")
        for name in ("live", "again")
    )
    assert len(orders) >= 100
    pd.testing.assert_frame_equal(orders, again)


@pytest.mark.long
def test_a_network_says_live_what_it_says_of_the_whole_history(home, venue, clock):
    """Features, windows and scores of bars that closed one by one, with a restart and bars missed:
    those of the panel and its features as a whole, to the last bit."""
    venue.pairs = {pair.id: replace(pair, since="2020-12-15") for pair in PAIRS}
    plan = replace(PLAN, market=replace(MARKET, start=date(2020, 12, 15)))
    source = source_at(venue, clock)
    bars = source.bars(MARKET.symbols, stamp(-26 * 24), stamp(0))
    home.bars(MARKET).merge(bars, BEGIN.to_pydatetime(), identity=source.identity())
    serve(home, "a", LEARNED, plan)
    with home.ledger() as ledger:
        trade(home, ledger, venue, clock, 2, plan=plan)
        clock.sleep(2 * 3600)
        trade(home, ledger, venue, clock, 3, plan=plan)
        said = np.array([each.payload["predictions"]["score"] for each in decisions(ledger)])
        assert missed(ledger) == [stamp(2)]
        orders = journalled_orders(ledger, STREAM)
        able = eligibility_of(PLAN.recipe.model.n_steps)
        found = compare(ledger, MARKET, home.recordings(MARKET), "live", able)
    assert len(orders) >= 5
    assert found.same
    whole = Panel.of(source.bars(MARKET.symbols, stamp(-26 * 24), stamp(5)), None, MARKET.symbols)
    data = Dataset.of(whole, features_of(whole, "24/7"), PLAN.recipe.model.n_steps)
    asked = Predictor(home.checkpoints(MARKET).read("best_model"))
    table = predict_rows(asked, data, Rows(26 * 24, 26 * 24 + 4), "production")
    expected = table.pivot(index="timestamp", columns="symbol", values="score")
    assert said.tolist() == expected[list(MARKET.symbols)].to_numpy().tolist()


def test_each_bar_is_decided_on_a_moment_after_it_closed(furnished, ledger, venue, clock):
    """And the one that is still open never is."""
    trade(furnished, ledger, venue, clock, 5)
    for each in decisions(ledger):
        assert HOUR <= each.recorded_at - each.at < HOUR + pd.Timedelta(seconds=30)
    bar = ledger.read(STREAM, kind="bar")[2]
    source = source_at(venue, clock)
    told = source.bars(MARKET.symbols, stamp(2), stamp(3))
    assert told["close"].tolist() == bar.payload["close"]


@pytest.mark.parametrize("ahead", [-5 * 3600.0, 5 * 3600.0])
@pytest.mark.sampled(2)
def test_the_clock_of_this_machine_does_not_matter(furnished, ledger, venue, ahead):
    clock = Moving(venue, ahead=ahead)
    trade(furnished, ledger, venue, clock, 4)
    assert bars_of(ledger) == [stamp(hour) for hour in range(4)]
    assert not missed(ledger)
    assert clock.now < stamp(5)


@pytest.mark.long
def test_bars_that_closed_while_it_was_dead_are_lived_through_and_not_traded_on(
    furnished, ledger, venue, clock
):
    """What it had ordered is filled, the account is marked, nothing is ordered."""
    trade(furnished, ledger, venue, clock, 6)
    ordered = decisions(ledger)[-1].payload["orders"]
    assert ordered
    clock.sleep(5 * 3600)
    told = trade(furnished, ledger, venue, clock, 10)
    assert bars_of(ledger) == [stamp(hour) for hour in range(16)]
    assert missed(ledger) == [stamp(hour) for hour in range(6, 10)]
    by_bar = {pd.Timestamp(each.at): each.payload for each in decisions(ledger)}
    assert all(not by_bar[stamp(hour)]["orders"] for hour in range(6, 10))
    assert by_bar[stamp(10)]["orders"]
    filled = [each for each in ledger.read(STREAM, kind="fill") if each.at == stamp(6)]
    assert {each.payload["client_order_id"] for each in filled} == {
        each["client_order_id"] for each in ordered
    }
    assert not [e for e in ledger.read(STREAM, kind="fill") if stamp(6) < e.at <= stamp(10)]
    assert len(ledger.read(STREAM, kind="mark")) == 16
    assert all(np.isfinite(each["predictions"]["score"]).all() for each in by_bar.values())
    assert told[-1]["bars"] == 10
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_a_session_restarted_between_two_bars_orders_what_one_left_alone_does(
    furnished, ledger, venue, clock
):
    trade(furnished, ledger, venue, clock, 12, session="whole")
    with binance() as other:
        again = Moving(other)
        for bars in (3, 4, 5):
            trade(furnished, ledger, other, again, bars, session="broken")
    whole, broken = (decisions(ledger, f"paper/hours/{name}") for name in ("whole", "broken"))
    spelled = [str(each.payload).replace("broken/", "whole/") for each in broken]
    assert spelled == [str(each.payload) for each in whole]


@pytest.mark.long
def test_a_bar_that_was_seen_and_not_decided_on_is_stale_when_a_later_one_has_closed(
    furnished, ledger, venue, clock, monkeypatch
):
    """Killed before the decision: at once it is still decided on, an hour later it is not."""
    for hour, away in ((2, 0), (5, 3600)):
        trade(furnished, ledger, venue, clock, hour - len(decisions(ledger)))
        with monkeypatch.context() as patched:
            patched.setattr(Session, "_decide", _killed)
            with pytest.raises(SystemExit):
                trade(furnished, ledger, venue, clock, 1)
        assert bars_of(ledger)[-1] == stamp(hour)
        clock.sleep(away)
    trade(furnished, ledger, venue, clock, 3)
    assert bars_of(ledger) == [stamp(hour) for hour in range(8)]
    assert missed(ledger) == [stamp(5)]
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_a_bar_whose_fills_are_told_hours_later_is_missed(
    furnished, ledger, venue, clock, monkeypatch
):
    """A broker that does not answer at its close: meanwhile two later bars close."""
    lived = []

    def slowly(trader, bar):
        lived.append(bar.timestamp)
        if len(lived) == 3:
            clock.sleep(2 * 3600)
        return trader.fill(bar)

    made = Routes(slowly, None, lambda trader: None)
    monkeypatch.setattr(live, "routes", lambda *_, **__: made)
    monkeypatch.setattr(live, "guarded", partial(guarded, ttl=pd.Timedelta(days=1)))
    trade(furnished, ledger, venue, clock, 6)
    assert bars_of(ledger) == [stamp(hour) for hour in range(6)]
    assert missed(ledger) == [stamp(2), stamp(3)]
    assert_identical(ledger, furnished)


def test_bars_that_are_told_too_late_are_not_traded_at_a_broker(furnished, ledger, venue, clock):
    source = source_at(venue, clock)
    source.delay = HOUR
    with pytest.raises(TradingError, match="every order would come too late"):
        trade(furnished, ledger, venue, clock, 1, source=source, broker=object())


def _killed(*_args):
    raise SystemExit


@pytest.mark.long
def test_orders_that_were_not_sent_are_sent_only_while_their_bar_is_the_newest(
    furnished, ledger, venue, clock, monkeypatch
):
    """Killed between decision and order; the open that they were meant for is over an hour later"""
    for away, sent in ((0, True), (3600, False)):
        before, orders = len(decisions(ledger)), list[dict]()

        def refuse(order):
            raise SystemExit

        def take(order, orders=orders):
            orders.append(order)
            return {"status": "new"}

        def through(send):
            made = Routes(Trader.fill, send, lambda trader: None)
            monkeypatch.setattr(live, "routes", lambda *_, **__: made)

        through(refuse)
        with pytest.raises(SystemExit):
            trade(furnished, ledger, venue, clock, 1)
        decided = decisions(ledger)[before].payload["orders"]
        assert decided
        clock.sleep(away)
        through(take)
        trade(furnished, ledger, venue, clock, 1)
        ids = {each["client_order_id"] for each in orders}
        assert ({each["client_order_id"] for each in decided} <= ids) == sent


@pytest.mark.long
def test_a_new_model_is_asked_from_the_next_bar_on(furnished, ledger, venue, clock):
    """It was accepted in the middle of an hour; it has not learned from the bars that follow."""
    clock.at(stamp(5) + HOUR / 2, lambda: serve(furnished, "b", str(stamp(3))))
    trade(furnished, ledger, venue, clock, 4)
    trade(furnished, ledger, venue, clock, 4)
    trade(furnished, ledger, venue, clock, 2)
    models = ledger.read(STREAM, kind="model")
    assert [pd.Timestamp(each.at) for each in models] == [stamp(0), stamp(5)]
    assert len({each.payload["sha256"] for each in models}) == 2
    assert {each.payload["fold"].split()[0] for each in models} == {"production"}
    assert_identical(ledger, furnished)
    assert [drawn(ledger, hour) for hour in (4, 5, 9)] == [
        score("a", 5, 4),
        score("b", 1, 5),
        score("b", 5, 9),
    ]


def drawn(ledger, hour):
    return decisions(ledger)[hour].payload["predictions"]["score"]


def score(name, asked, hour):
    seed = (ord(name), asked, int(stamp(hour).timestamp()))
    return np.random.default_rng(seed).normal(size=len(MARKET.symbols)).tolist()


@pytest.mark.long
def test_a_model_that_has_learned_from_a_bar_is_not_asked_about_it(furnished, ledger, venue, clock):
    """The one before it is, until there is a bar that the new one does not know."""
    clock.at(stamp(2) + HOUR / 2, lambda: serve(furnished, "b", str(stamp(3))))
    trade(furnished, ledger, venue, clock, 6)
    assert [drawn(ledger, hour) for hour in (3, 4)] == [score("a", 4, 3), score("b", 1, 4)]
    assert not missed(ledger)


@pytest.mark.long
def test_a_restarted_session_orders_nothing_on_a_bar_that_its_model_has_learned_from(
    furnished, ledger, venue, clock, caplog
):
    trade(furnished, ledger, venue, clock, 2)
    serve(furnished, "b", str(stamp(3)))
    trade(furnished, ledger, venue, clock, 4)
    assert missed(ledger) == [stamp(2), stamp(3)]
    assert drawn(ledger, 2) == [None] * 6
    assert drawn(ledger, 4) == score("b", 1, 4)
    assert "has learned from 2021-01-10 03:00" in caplog.text
    assert met(ledger) == [("model_refused", True)]
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_a_new_session_begins_after_what_its_model_has_learned_from(
    furnished, ledger, venue, clock
):
    serve(furnished, "b", str(stamp(2)))
    trade(furnished, ledger, venue, clock, 2)
    assert bars_of(ledger) == [stamp(3), stamp(4)]
    assert ledger.last(STREAM, "history").payload["bars"] == 216 + 3
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_a_model_that_cannot_be_used_leaves_the_one_before_in_service(
    furnished, ledger, venue, clock, caplog
):
    def damage():
        digest = serve(furnished, "b", LEARNED)
        furnished.beside("production").checkpoints(MARKET).path(digest[:16]).write_bytes(b"no")

    clock.at(stamp(3), damage)
    trade(furnished, ledger, venue, clock, 6)
    assert drawn(ledger, 5) == score("a", 6, 5)
    told = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len([each for each in told if "goes on with model" in each]) == 1
    assert met(ledger) == [("model_refused", False)]
    with pytest.raises(CheckpointError, match="is missing or damaged"):
        trade(furnished, ledger, venue, clock, 1)


def test_without_a_production_model_nothing_is_traded(home, venue, clock):
    source = source_at(venue, clock)
    bars = source.bars(MARKET.symbols, stamp(-216), stamp(0))
    home.bars(MARKET).merge(bars, BEGIN.to_pydatetime(), identity=source.identity())
    with (
        home.ledger() as ledger,
        pytest.raises(CheckpointError, match="hours has no production model yet; a night makes it"),
    ):
        trade(home, ledger, venue, clock, 1)


@pytest.mark.long
def test_a_venue_that_is_ill_for_hours_is_waited_for(
    furnished, ledger, venue, clock, caplog, monkeypatch
):
    """The lease stays, it is told once, and what closed meanwhile is lived through."""
    ill = stamp(3) + HOUR / 2
    clock.at(ill, lambda: venue.misbehave(refusal(500), FOREVER))
    clock.at(ill + 3 * HOUR, venue.behave)
    monkeypatch.setattr(live, "guarded", guarded)
    trade(furnished, ledger, venue, clock, 8)
    assert bars_of(ledger) == [stamp(hour) for hour in range(8)]
    assert missed(ledger) == [stamp(3), stamp(4)]
    told = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert len([each for each in told if "does not answer" in each]) == 1
    assert len([each for each in told if "answers again" in each]) == 1
    assert met(ledger) == [("download_failed", True)]
    assert len({each.payload["token"] for each in ledger.read(f"lease/{MARKET.name}")}) == 1
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_a_symbol_whose_bar_comes_too_late_is_held_and_the_others_are_traded(
    furnished, ledger, venue, clock, caplog
):
    """It was asked for until three minutes after the close; when it has bars again, they count."""
    venue.withheld["BTC/USDT"] = [(str(stamp(3)), str(stamp(5)))]
    clock.at(stamp(4) + HOUR / 2, venue.withheld.clear)  # too late for the bar before
    trade(furnished, ledger, venue, clock, 7)
    n = MARKET.symbols.index("BTC/USDT")
    closes = [each.payload["close"][n] for each in ledger.read(STREAM, kind="bar")]
    assert [close is None for close in closes] == [hour == 3 for hour in range(7)]
    late = decisions(ledger)[3]
    assert late.payload["orders"]
    assert "BTC/USDT" not in {each["symbol"] for each in late.payload["orders"]}
    waited = late.recorded_at - late.at - HOUR
    assert pd.Timedelta(minutes=3) <= waited < pd.Timedelta(minutes=4)
    told = [each.message for each in caplog.records if "BTC/USDT" in each.message]
    assert len(told) == 2
    assert told[0].startswith("binance 1h: no bar of BTC/USDT at 2021-01-10 03:00:00+00:00 within")
    assert told[1].startswith("binance 1h: BTC/USDT has bars again")
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_a_paused_session_waits_and_then_goes_on_with_the_newest_bar(
    furnished, ledger, venue, clock
):
    def say(intent):
        return lambda: record_intent(ledger, MARKET.name, intent, "", clock.here())

    clock.at(stamp(2) + HOUR / 2, say(PAUSED))
    clock.at(stamp(5) + HOUR / 2, say(TRADING))
    trade(furnished, ledger, venue, clock, 6)
    assert missed(ledger) == [stamp(2), stamp(3)]
    assert not [each for each in decisions(ledger) if stamp(3) <= each.recorded_at < stamp(5)]
    assert_identical(ledger, furnished)


@pytest.mark.long
def test_shares_live_through_the_splits_and_dividends_of_the_night(home, monkeypatch):
    """Daily bars of Alpaca, with a restart over the split: shares double and no value is lost."""
    monkeypatch.setattr(live, "Forecaster", Scripted)
    market = replace(
        MARKET, name="shares", source="alpaca", symbols=("AAPL", "MSFT"), calendar="XNYS",
        timeframe="1d", start=date(2024, 6, 3), costs=replace(MARKET.costs, lot=1.0),
    )  # fmt: skip
    plan, begin = replace(PLAN, market=market), pd.Timestamp("2024-11-07 20:00", tz="UTC")
    days = trading_calendar("XNYS", "1d").sessions(
        pd.Timestamp(market.start, tz="UTC"), begin.floor("D")
    )
    prices = np.exp(np.random.default_rng(0).normal(0, 0.01, (len(days), 2)).cumsum(axis=0))
    close = (prices * [220.0, 410.0]).ravel()
    told = pd.DataFrame({"timestamp": days.repeat(2), "symbol": [*market.symbols] * len(days)})
    told = told.assign(open=close, high=close * 1.01, low=close * 0.99, close=close, volume=1e7)
    with FakeAlpaca(begin) as venue, home.ledger() as ledger:
        clock = Moving(venue, begin)
        source = alpaca_source(venue, patience=clock.patience)
        home.bars(market).merge(check_bars(told), begin, identity=source.identity())
        home.bars(market).write_actions(empty_actions())
        serve(home, "a", "2024-11-01T00:00:00+00:00", plan)
        for bars in (2, 10):
            trade(home, ledger, venue, clock, bars, plan=plan, source=source)
        stream = "paper/shares/live"
        marks = {f"{each.at:%m-%d}": each.payload for each in ledger.read(stream, kind="mark")}
        flows = [each.payload for each in ledger.read(stream, kind="cash_flow")]
        splits = [each.payload.get("split") for each in ledger.read(stream, kind="bar")]
        assert not missed(ledger, stream)
        assert_identical(ledger, home, market=market)
    assert list(marks)[:4] == ["11-07", "11-08", "11-11", "11-12"]
    assert {"AAPL": 2.0} in splits
    # AAPL was bought at the open of its ex-date, which is too late for its dividend.
    assert {each["symbol"] for each in flows if each["kind"] == "dividend"} == {"MSFT"}
    assert marks["11-12"]["positions"]["AAPL"] > 1.5 * marks["11-11"]["positions"]["AAPL"]
    assert abs(marks["11-12"]["equity"] / marks["11-11"]["equity"] - 1) < 0.05


def test_a_session_that_is_closed_gives_its_lease_back(furnished, ledger, venue, clock):
    """Ctrl-C, or a run that is terminated: another one may start at once."""
    trade(furnished, ledger, venue, clock, 1)
    Lease.take(ledger, MARKET.name, "other", clock.here(), pd.Timedelta(seconds=60))


def test_a_session_whose_lease_is_gone_stops_while_it_waits(furnished, ledger, venue, clock):
    """Its run was ended from outside, in the middle of an hour."""
    goes_on = [True]
    clock.at(stamp(3) + HOUR / 2, goes_on.clear)
    with pytest.raises(LeaseLost, match="was ended from outside"):
        trade(furnished, ledger, venue, clock, running=lambda: bool(goes_on))
    assert bars_of(ledger) == [stamp(hour) for hour in range(3)]
    assert clock.now < stamp(4)


def test_a_live_session_is_no_replay_and_a_replay_no_live_session(furnished, ledger, venue, clock):
    trade(furnished, ledger, venue, clock, 1)
    with pytest.raises(LedgerError, match="one of the bars of a venue, and cannot go on as a repl"):
        next(replay(ledger, furnished, PLAN, silent, session="live", capital=1e5))
    now = clock.here()
    ledger.append("paper/hours/old", "model", now, {"sha256": "0", "fold": "2021-01-01"}, now)
    with pytest.raises(LedgerError, match="old is a replay of stored bars, and cannot go on as"):
        trade(furnished, ledger, venue, clock, 1, session="old")


def test_bars_of_another_source_are_not_gone_on_with(home, venue, clock):
    """Two feeds in one panel would jump where they meet."""
    source = source_at(venue, clock)
    bars = source.bars(MARKET.symbols, stamp(-216), stamp(0))
    home.bars(MARKET).merge(bars, BEGIN.to_pydatetime(), identity={"source": "kraken"})
    with home.ledger() as ledger, pytest.raises(StoreError, match="kraken"):
        trade(home, ledger, venue, clock, 1)
