"""The nights around the turn of a fold, and what may be reported on."""

import json
from dataclasses import replace
from datetime import date

import pytest

from trading_pipeline.core.leakage.experiment import Examined, Leak
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs import runs
from trading_pipeline.defs.paper import run_session
from trading_pipeline.errors import EvaluationError, HistoryTooShort, ProgramFault, StoreError
from trading_pipeline.steps import leakage
from trading_pipeline.steps.freshness import NO_LOOK_AHEAD, lacking
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.leakage import examine_market
from trading_pipeline_tests.defs.small_market import (
    FIRST,
    MARKET,
    SECOND,
    THIRD,
    SmallMarket,
    bars_until,
    named,
    without_training,
)

# The first sessions of September 2002 are the 3rd, 4th, 5th, 6th.
BEFORE, ONE_BAR, FOUR_BARS = "2002-09-01", "2002-09-04", "2002-09-07"
CLEAN = [Examined("predictions", "stored", "", 1)]


@pytest.fixture
def small(home, instance, monkeypatch):
    made = SmallMarket(home, instance)
    without_training(monkeypatch, made.trained)
    return made


@pytest.fixture
def check(monkeypatch):
    """What the leakage check of predictions finds; by market and fold, or of all others."""
    found = {}

    def examine(data, fold, recipe, *_, **__):
        answer = found.get((recipe.market.name, fold.key), CLEAN)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(leakage, "examine_model", examine)
    return found


def leaking(stamp):
    leak = Leak("predictions", "stored", "score", "IBM", stamp, 1.0, 2.0, stamp, 1)
    return [Examined("predictions", "stored", "", 1, (leak,))]


# Nights around the turn of a fold


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(BEFORE, marks=pytest.mark.long),
        ONE_BAR,
        pytest.param(FOUR_BARS, marks=pytest.mark.long),
    ],
)
def test_a_fold_that_has_just_begun_goes_all_the_way(small, end):
    """No bar, one, h + 1: predictions, checks, report, command and paper, for real."""
    small.store(bars_until(end))
    folds = [FIRST, SECOND] if end == BEFORE else [FIRST, SECOND, THIRD]
    assert runs.train(small.runner, small.plan) == dict.fromkeys(folds, "train")
    assert runs.backtest(small.runner, small.plan, 1e5)
    report = json.loads((small.home.report(MARKET) / "report.json").read_text())
    panel = read_panel(small.home, MARKET)
    assert report["period"]["end"][:10] == f"{panel.timestamps[-1]:%Y-%m-%d}"

    watching = lambda label: Progress().start(label, print)  # noqa: E731
    examined, skipped = examine_market(small.home, small.plan, 1, watching)
    assert not skipped
    assert not [leak for each in examined for leak in each.leaks]
    first = {"start": "2002-09-03"} if end == ONE_BAR else {"start": "2002-08-29"}
    account = run_session(small.runner, small.plan, {"session": "p", "capital": 1e5} | first)
    assert f"{panel.timestamps[-1]:%Y-%m-%d}" in account


@pytest.mark.slow
def test_a_fold_without_bars_is_refused_by_name(small):
    """The web UI lists it from the first day of the month on."""
    small.store(bars_until(BEFORE))
    result = small.run("train", THIRD)
    assert "fold 2002-09-01 of small is not possible" in small.reason(result)
    assert THIRD not in lacking(small.home, small.plan, read_panel(small.home, MARKET))


@pytest.mark.long
@pytest.mark.slow
def test_one_bar_out_of_sample_is_too_short_for_a_report(small, check):
    """The very first night of all: predicted, cleared, and refused with the days it takes."""
    small.store(bars_until("2002-07-02"))
    runs.train(small.runner, small.plan)
    with pytest.raises(EvaluationError, match="0 days of out-of-sample returns, at least 20"):
        runs.backtest(small.runner, small.plan, 1e5)


@pytest.mark.slow
def test_before_the_first_fold_has_a_bar_nothing_is_trained(small):
    small.store(bars_until("2002-06-29"))
    with pytest.raises(HistoryTooShort, match="bars are too short"):
        runs.train(small.runner, small.plan)


# What may be reported on


@pytest.mark.slow
@pytest.mark.long
def test_a_fold_whose_check_crashed_is_not_reported_on(small, check):
    """It crashed in one run; the next, of another fold, made a report with its predictions."""
    small.store(bars_until(ONE_BAR))
    check["small", SECOND] = IndexError("index 965 is out of bounds")
    assert small.run("train", FIRST).success
    assert not small.run("train", SECOND).success
    assert small.home.predictions(MARKET).folds() == [FIRST, SECOND]
    for job, fold in (("retrain", THIRD), ("refresh", FIRST), ("backtest", None)):
        reason = small.reason(small.run(job, fold))
        assert f"predictions of small, fold {SECOND}, are not cleared" in reason
        assert f"check {NO_LOOK_AHEAD} has not run to its end" in reason
        assert "run `trading-pipeline train --market small`" in reason
    with pytest.raises(StoreError, match=f"fold {SECOND}, are not cleared"):
        runs.backtest(small.runner, small.plan, 1e5)
    assert not small.home.report(MARKET).exists()


@pytest.mark.slow
def test_a_crash_in_a_check_is_an_error_that_names_the_place(small, check, monkeypatch):
    small.store(bars_until("2002-07-03"))
    monkeypatch.setattr(leakage, "examine_model", lambda *_: [].pop())
    with pytest.raises(ProgramFault) as error:
        runs.train(small.runner, small.plan)
    said = str(error.value)
    assert f"small__predictions_{NO_LOOK_AHEAD} of {FIRST} broke" in said
    assert "IndexError: pop from empty list (steps/leakage.py:" in said


@pytest.mark.slow
@pytest.mark.long
def test_what_one_market_crashes_on_stops_no_other(home, instance, check, monkeypatch):
    """Two markets, the same night: the one with the crash has no report, the other has its own."""
    one, other = (SmallMarket(home, instance, named(MARKET, name)) for name in ("one", "other"))
    for each in (one, other):
        without_training(monkeypatch, each.trained)
        each.store(bars_until("2002-08-02"))
    check["one", SECOND] = IndexError("index 965 is out of bounds")
    for each in (one, other):
        assert each.run("train", FIRST).success
    assert not one.run("retrain", SECOND).success
    assert other.run("retrain", SECOND).success
    assert "fold 2002-08-01, are not cleared" in one.reason(one.run("backtest"))
    assert (home.report(other.market) / "report.json").exists()
    assert not home.report(one.market).exists()


@pytest.mark.long
@pytest.mark.slow
def test_only_what_is_not_cleared_is_made_again(small, check):
    """A check that never ended costs a prediction, one that failed a training."""
    small.store(bars_until(ONE_BAR))
    plan, runner = small.plan, small.runner
    stamp = read_panel(small.home, MARKET).timestamps[-1]
    check["small", SECOND] = IndexError("out of bounds")
    with pytest.raises(ProgramFault):
        runs.train(runner, plan)
    check["small", SECOND] = CLEAN
    assert runs.train(runner, plan) == {SECOND: "predict", THIRD: "train"}
    assert runs.train(runner, plan) == {}
    small.home.predictions(MARKET).forget_check(FIRST)
    check["small", FIRST] = leaking(stamp)
    with pytest.raises(Exception, match=f"check {NO_LOOK_AHEAD} of small/predictions failed"):
        runs.train(runner, plan)
    (lack,) = lacking(small.home, plan, read_panel(small.home, MARKET)).values()
    assert "has failed on them" in lack.why
    runs.backtest(runner, plan, 1e5)  # and the report says so, instead of being refused
    report = small.home.report(MARKET) / "report.json"
    reasons = json.loads(report.read_text())["verdict"]["reasons"]
    assert reasons[0].startswith("A leak was found, so no number here can be trusted: the pred")
    assert f"fold {FIRST} have failed {NO_LOOK_AHEAD}" in reasons[0]
    check["small", FIRST] = CLEAN
    assert runs.train(runner, plan) == {FIRST: "train"}
    assert runs.backtest(runner, plan, 1e5)
    reasons = json.loads(report.read_text())["verdict"]["reasons"]
    assert not any("leak" in reason for reason in reasons)


@pytest.mark.long
@pytest.mark.slow
def test_other_rows_than_those_checked_are_not_cleared(small, check):
    """Altered, or made again while the check was running: what made them says the same."""
    small.store(bars_until("2002-07-10"))
    runs.train(small.runner, small.plan)
    store = small.home.predictions(MARKET)
    rows, made_from = store.read([FIRST]), store.fingerprint(FIRST)
    store.write(FIRST, rows.assign(score=rows["score"] + 1), made_from)
    assert store.passed(FIRST) is None
    assert "are not cleared" in small.reason(small.run("backtest"))
    store.write(FIRST, rows, made_from)
    assert store.passed(FIRST)


@pytest.mark.long
@pytest.mark.slow
def test_bars_taken_back_leave_their_fold_out(small, check):
    """A market's `end` is moved back: what is stored of later folds is not looked at."""
    small.store(bars_until(ONE_BAR))
    runs.train(small.runner, small.plan)
    small.market = replace(MARKET, end=date(2002, 9, 1))
    assert lacking(small.home, small.plan, read_panel(small.home, small.market)) == {}
