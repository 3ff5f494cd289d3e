"""Paper trading: the same orders as the backtest, whatever happens in between."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.kill_switch import HALTED, TRADING, record_intent
from trading_pipeline.adapters.store.ledger import Entry, Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.backtest.basis import Basis, score_grid
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import folds
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import LedgerError, TradingError
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.identity import compare
from trading_pipeline.steps.past_session import eligibility_of
from trading_pipeline.steps.replay_speed import seconds_a_bar
from trading_pipeline.steps.session import Session, journalled_orders
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.core.learning.sample_market import MARKET as SAMPLE
from trading_pipeline_tests.core.learning.sample_market import dataset, panel

CAPITAL = 100_000.0
# Trades a lot, and small orders are refused, so that there are vetoes in quiet years too.
COSTS = replace(SAMPLE.costs, min_notional=1_000.0)
MARKET = replace(SAMPLE, costs=COSTS, limits={"band": 0.0})
FOLDS = folds(panel().timestamps, MARKET.walk_forward, MARKET.horizon, burn_in(60))
FIRST = FOLDS["2006-01-01"].test.first


@pytest.fixture(scope="module")
def checkpoints():
    """Never trained, so that they trade a lot; a model for each year."""
    return {key: untrained(its_fold=fold) for key, fold in FOLDS.items()}


@pytest.fixture(scope="module")
def predicted(checkpoints):
    """By fold, the predictions of its rows."""
    return {
        key: predict_rows(Predictor(checkpoints[key]), dataset(), FOLDS[key].test, key)
        for key in list(FOLDS)[:2]
    }


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return RecordingStore(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(autouse=True)
def _opened(recordings, monkeypatch):
    """Where the sessions of `paper` keep what they began with."""
    monkeypatch.setattr(paper, "recordings", recordings, raising=False)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as opened:
        yield opened


def paper(ledger, checkpoints, session="paper", capital=CAPITAL, market=MARKET, **how):
    ticks = count()
    return Session(
        ledger,
        market,
        Forecaster(panel(), market, list(FOLDS.values()), checkpoints.__getitem__),
        paper.recordings,
        session=session,
        capital=capital,
        clock=lambda: datetime(2030, 1, 1, 0, 0, next(ticks) % 60, tzinfo=UTC),
        **how,
    )


def backtest(predicted, last):
    """Predictions of the folds, simulated as a history that ends with row `last`."""
    rows = pd.concat([predicted[key] for key in predicted if FOLDS[key].test.first <= last])
    return simulate(panel(), Terms.of(MARKET, CAPITAL), inputs_of(rows), start=FIRST, stop=last + 1)


def inputs_of(rows):
    return Basis.of(panel(), score_grid(panel(), rows), dataset().eligible, MARKET).inputs


def trade(ledger, checkpoints, first, last, session="paper"):
    return list(paper(ledger, checkpoints, session).run(first, last))


def in_common(orders, last):
    """Orders before the last bar: a backtest cannot decide on it, for nothing could fill it."""
    stamps = pd.to_datetime(orders["decided_at"], utc=True).dt.as_unit("us")
    kept = orders.assign(decided_at=stamps)[stamps < panel().timestamps[last]]
    prices = kept[["limit_price", "stop_price"]].astype(float)
    return kept.assign(**prices).reset_index(drop=True)


def assert_same_orders(ledger, predicted, last):
    journalled = in_common(journalled_orders(ledger, "paper/sample/paper"), last)
    expected = in_common(backtest(predicted, last).orders("paper"), last)
    assert len(expected) > 0
    pd.testing.assert_frame_equal(
        journalled, expected, check_dtype=False, check_exact=True, check_column_type=False
    )


@pytest.mark.slow
def test_two_years_on_paper_make_the_orders_of_the_backtest(ledger, checkpoints, predicted):
    """Bit for bit: ids, symbols, sides, quantities and reasons; fills and equity as well."""
    last = FIRST + 330  # into the second fold, so that the checkpoint changes on the way
    steps = trade(ledger, checkpoints, FIRST, last)
    assert_same_orders(ledger, predicted, last)
    book = backtest(predicted, last)
    assert [step.equity for step in steps] == book.equity.tolist()
    filled = pd.concat([step.filled.fills for step in steps], ignore_index=True)
    pd.testing.assert_frame_equal(filled, book.fills("paper"), check_dtype=False)
    assert len(filled) >= 100
    assert sum(len(step.decided.vetoes) for step in steps) >= 2
    assert ledger.verify("paper/sample/paper") > 400


@pytest.mark.parametrize(
    ("speed", "timeframe", "seconds"),
    [("max", "1d", 0.0), ("real", "1h", 3600.0), ("60x", "1h", 60.0), ("0.5x", "1m", 120.0)],
)
def test_a_replay_takes_as_long_over_a_bar_as_it_was_told(speed, timeframe, seconds):
    assert seconds_a_bar(speed, timeframe) == seconds


def test_orders_are_executed_in_one_place(ledger, checkpoints):
    """Where a broker would do it: it is handed every bar, and what it fills is journalled."""
    bars = []

    def execute(trader, bar):
        bars.append(bar)
        return trader.fill(bar)

    steps = list(paper(ledger, checkpoints, execute=execute).run(FIRST, FIRST + 5))
    assert [bar.timestamp for bar in bars] == [step.at for step in steps]
    journalled = list(ledger.read("paper/sample/paper", kind="fill"))
    assert len(journalled) == sum(len(step.filled.fills) for step in steps) > 0


@pytest.mark.slow
def test_a_session_that_is_stopped_and_resumed_makes_the_same_orders(
    ledger, checkpoints, predicted
):
    """Stopped twice, once within a fold: the notional book is rebuilt from the fold's start."""
    last = FIRST + 24
    trade(ledger, checkpoints, FIRST, FIRST + 9)
    trade(ledger, checkpoints, FIRST, FIRST + 10)
    steps = trade(ledger, checkpoints, FIRST, last)
    assert [step.at for step in steps] == list(panel().timestamps[FIRST + 11 : last + 1])
    assert_same_orders(ledger, predicted, last)
    assert compare(ledger, MARKET, paper.recordings, "paper", eligibility_of(60)).same


@pytest.mark.slow
def test_a_session_killed_between_two_fills_of_a_stop_pays_its_minimum_once(ledger, checkpoints):
    """What an order has paid is in the journal: the fees are those of a session left alone."""
    thin = replace(MARKET.costs, participation=2e-6, minimum_fee=500.0, lot=1.0)
    market = replace(MARKET, costs=thin, limits={"stop_loss": 0.2})

    def exits(session, last):
        run = paper(ledger, checkpoints, session, market=market).run(FIRST, last)
        table = pd.concat([step.filled.fills for step in run], ignore_index=True)
        return table[table["kind"] == "stop_loss"].reset_index(drop=True)

    whole = exits("whole", FIRST + 24)
    again = whole["symbol"].duplicated()
    assert again.any(), "no stop takes more than a bar"
    between = panel().timestamps.get_loc(whole["filled_at"][again].iloc[0])
    killed = pd.concat([exits("killed", between - 1), exits("killed", FIRST + 24)])
    names = ["filled_at", "symbol", "quantity", "price", "fee"]
    pd.testing.assert_frame_equal(
        killed[names].reset_index(drop=True), whole[names], check_exact=True
    )
    assert killed["fee"].tolist()[:2] == [500.0, 0.0]


@pytest.mark.slow
def test_accounts_with_different_histories_get_the_same_predictions(ledger, checkpoints):
    """Bit for bit: one is ten times as large, began earlier and trades; the other begins now.

    The book that the network sees is its own, from the fold's first decision on, and never theirs.
    """
    old = paper(ledger, checkpoints, "old", capital=10 * CAPITAL)
    new = paper(ledger, checkpoints, "new")
    lived = list(old.run(FIRST, FIRST + 12))
    assert sum(len(step.filled.fills) for step in lived) > 0
    for row in (FIRST + 13, FIRST + 14):
        begun = list(new.run(row, row))
        assert len(begun) == 1
        theirs, ours = old.forecaster.scores(row), _again(new, row)
        assert np.isfinite(theirs).sum() >= 3
        assert theirs.tobytes() == ours.tobytes()


def _again(session, row):
    """What a fresh forecaster of the session says, as after a restart."""
    asked = session.forecaster
    return Forecaster(asked.panel, asked.market, asked.folds, asked.load).scores(row)


@pytest.mark.slow
def test_a_kill_between_two_events_of_a_bar_leaves_no_half_of_it(
    ledger, checkpoints, predicted, monkeypatch
):
    """The bar was not written down: nothing of it is there, and it is lived through again."""
    session = paper(ledger, checkpoints)
    steps = session.run(FIRST, FIRST + 12)
    for _ in range(6):
        next(steps)
    before = len(ledger.read(session.stream))
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "append_many", _killed)
        with pytest.raises(SystemExit):
            next(steps)
    assert len(ledger.read(session.stream)) == before
    trade(ledger, checkpoints, FIRST, FIRST + 12)
    assert_same_orders(ledger, predicted, FIRST + 12)


def _killed(*_args, **_options):
    raise SystemExit


def test_running_a_finished_session_again_does_nothing(ledger, checkpoints):
    trade(ledger, checkpoints, FIRST, FIRST + 4)
    events = len(ledger.read("paper/sample/paper"))
    assert trade(ledger, checkpoints, FIRST, FIRST + 4) == []
    assert len(ledger.read("paper/sample/paper")) == events


def test_the_second_of_two_sessions_is_refused(ledger, checkpoints):
    """Whoever is behind the ledger stops before it can act."""
    one, other = paper(ledger, checkpoints), paper(ledger, checkpoints)
    next(one.run(FIRST, FIRST + 5))
    with pytest.raises(LedgerError, match="another writer"):
        next(other.run(FIRST, FIRST + 5))


def test_other_terms_do_not_resume_a_session(ledger, checkpoints):
    trade(ledger, checkpoints, FIRST, FIRST + 1)
    with pytest.raises(LedgerError, match="another --session to start anew"):
        paper(ledger, checkpoints, capital=5_000.0)


def test_a_session_of_a_version_with_other_rules_does_not_go_on(ledger, checkpoints):
    """Whether it had decided on anything or not: one message that says what to do."""
    opened = trade_terms(ledger, checkpoints)
    assert "benchmark" in opened
    old = {name: each for name, each in opened.items() if name != "benchmark"}
    now = datetime(2030, 1, 1, tzinfo=UTC)
    state = {"account": {"kelly_cap": 1.0}, "rules": {"span": 10.0}}
    entries = [Entry("opened", now, old), Entry("decision", now, {"state": state})]
    for session, events in (("opened", entries[:1]), ("traded", entries)):
        stream = f"paper/{MARKET.name}/{session}"
        ledger.append_many(stream, events, now, after=0)
        complaint = f"{stream} was opened by a version with other trading rules.*another --session"
        with pytest.raises(LedgerError, match=complaint):
            paper(ledger, checkpoints, session=session)


def test_a_state_of_a_version_with_other_figures_does_not_go_on(ledger, checkpoints):
    """Under the same terms: its records lack what is decided on now."""
    trade(ledger, checkpoints, FIRST, FIRST)
    decision = ledger.last("paper/sample/paper", "decision").payload
    decision["state"]["account"] = "00000000:" + decision["state"]["account"].partition(":")[2]
    now, opened = datetime(2030, 1, 1, tzinfo=UTC), trade_terms(ledger, checkpoints)
    entries = [Entry("opened", now, opened), Entry("decision", now, decision)]
    ledger.append_many("paper/sample/old", entries, now, after=0)
    with pytest.raises(TradingError, match=r"account were written .*; start a new session"):
        paper(ledger, checkpoints, session="old")


def trade_terms(ledger, checkpoints):
    """What a new session agrees to."""
    return paper(ledger, checkpoints, session="new").terms


def test_a_resumed_session_does_not_jump_over_bars(ledger, checkpoints):
    trade(ledger, checkpoints, FIRST, FIRST + 1)
    with pytest.raises(LedgerError, match="without the bars between"):
        trade(ledger, checkpoints, FIRST + 5, FIRST + 6)


@pytest.mark.slow
def test_a_changed_bar_changes_what_is_traded(predicted):
    """The equality above is not blind: the fill of one bar moves everything after it."""
    last = FIRST + 24
    book = backtest(predicted, last)
    first_fill = panel().timestamps.get_loc(book.fills("x")["filled_at"].iloc[0])
    moved = panel().open.copy()
    moved[first_fill] *= 1.01
    object.__setattr__(changed := panel().until(len(moved)), "open", moved)
    inputs = inputs_of(predicted["2006-01-01"])
    again = simulate(changed, Terms.of(MARKET, CAPITAL), inputs, start=FIRST, stop=last + 1)
    assert again.equity[-1] != book.equity[-1]


@pytest.mark.slow
def test_the_operators_kill_switch_closes_everything_and_trading_comes_back(ledger, checkpoints):
    """Halted from another process between two bars, and undone later."""
    now, session = datetime(2030, 1, 1, tzinfo=UTC), paper(ledger, checkpoints)
    list(session.run(FIRST, FIRST + 20))
    assert len(session.trader.holdings())
    record_intent(ledger, MARKET.name, HALTED, "", now, flatten=True)
    halted = list(session.run(FIRST + 21, FIRST + 35))
    assert session.trader.holdings().empty
    assert sum(len(step.decided.orders) for step in halted[1:]) == 0
    assert set(halted[0].decided.vetoes["rule"]) >= {"kill_switch"}
    resumed = paper(ledger, checkpoints)
    list(resumed.run(FIRST + 36, FIRST + 38))
    assert resumed.trader.holdings().empty, "a restart does not forget it"
    record_intent(ledger, MARKET.name, TRADING, "", now)
    list(resumed.run(FIRST + 39, FIRST + 55))
    assert len(resumed.trader.holdings())


@pytest.mark.slow
def test_a_halted_session_orders_nothing_and_keeps_what_it_holds(ledger, checkpoints):
    """Stops of the simulation are no orders: they end what they protect."""
    now, session = datetime(2030, 1, 1, tzinfo=UTC), paper(ledger, checkpoints)
    list(session.run(FIRST, FIRST + 20))
    record_intent(ledger, MARKET.name, HALTED, "", now)
    (first, *halted) = session.run(FIRST + 21, FIRST + 30)
    assert first.decided.orders.empty
    assert len(session.trader.holdings())
    for step in halted:
        assert step.decided.orders.empty
        assert "order" not in set(step.filled.fills["kind"])
    record_intent(ledger, MARKET.name, TRADING, "", now)
    resumed = paper(ledger, checkpoints)
    assert sum(len(step.decided.orders) for step in resumed.run(FIRST + 31, FIRST + 50))
