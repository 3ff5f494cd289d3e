"""What follows when new bars land: the folds whose bars are others now, and no other."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from trading_pipeline.defs import runs
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.defs.small_market import (
    FIRST,
    MARKET,
    SECOND,
    THIRD,
    SmallMarket,
    bars_until,
    without_training,
)

FOLDS = [FIRST, SECOND, THIRD]
REFRESHED = [("small_refresh", THIRD)]


class Daemon:
    """Ticks of the sensor; its runs end at once, as they are told to."""

    def __init__(self, small):
        self.small, self.cursor, self.said = small, None, ""
        self.now = datetime.now(UTC)
        self.definitions = replace(small, clock=lambda: self.now).definitions

    def after(self, minutes):
        """Let time pass."""
        self.now += timedelta(minutes=minutes)
        return self

    def tick(self, status=dg.DagsterRunStatus.SUCCESS):
        """What was asked for, as (job, fold)."""
        definitions, instance = self.definitions, self.small.instance
        context = dg.build_sensor_context(
            instance=instance,
            cursor=self.cursor,
            repository_def=definitions.get_repository_def(),
            resources={"home": self.small.home},
        )
        done = definitions.resolve_sensor_def("small_new_bars").evaluate_tick(context)
        self.cursor, self.said = done.cursor, done.skip_message
        for request in done.run_requests or ():
            tags = {"dagster/run_key": request.run_key, "dagster/sensor_name": "small_new_bars"}
            run = dg.DagsterRun(job_name=request.job_name, tags=tags, status=status)
            instance.add_run(run)
            if status == dg.DagsterRunStatus.FAILURE:
                instance.report_run_failed(run)
                self.now = datetime.now(UTC)  # as Dagster has it on record
            if status == dg.DagsterRunStatus.SUCCESS and request.partition_key:
                train = request.job_name in ("small_train", "small_retrain")
                self.small.bring("train" if train else "predict", request.partition_key)
        return [(each.job_name, each.partition_key) for each in done.run_requests or ()]

    def all(self, status=dg.DagsterRunStatus.SUCCESS):
        """All runs of one landing, in their order."""
        found = []
        while asked := self.tick(status):
            assert len(asked) == 1
            found += asked
        return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A home with bars until the middle of the third fold, of which every test has a copy."""
    made = SmallMarket(Home(root=str(tmp_path_factory.mktemp("stored"))), instance=None)
    made.store(bars_until("2002-09-17"))
    return made.home


@pytest.fixture
def small(stored, home, instance):
    """Bars until the middle of the third fold, of which nothing was made yet."""
    shutil.copytree(stored.root, home.root, dirs_exist_ok=True)
    made = SmallMarket(home, instance)
    made.land("2002-09-16")
    return made


@pytest.fixture
def daemon(small):
    return Daemon(small)


@pytest.fixture
def trained(small):
    """Another process, such as the command, has brought everything up to date."""
    for fold in FOLDS:
        small.bring("train", fold)
    return small


def changed(bars, day):
    """One volume of that day is another."""
    here = (bars["timestamp"] == day) & (bars["symbol"] == "IBM")
    assert here.sum() == 1
    return bars.assign(volume=bars["volume"].where(~here, bars["volume"] + 100))


def night(small, day, bars):
    small.store(bars)
    small.land(day)


@pytest.mark.slow
def test_a_first_landing_trains_one_fold_after_the_other_and_reports_once(daemon):
    asked = [("small_train", FIRST), ("small_train", SECOND), ("small_retrain", THIRD)]
    assert daemon.all() == asked
    assert daemon.said == "all folds are up to date"
    assert daemon.tick() == []
    assert daemon.said == "no new bars"


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "123",  # of a release that kept the newest event
        "garbage",
        '{"landed": null, "tried": 3}',
        # Of the release before: its folds to train were told by events.
        json.dumps({"landed": 7, "bars": 7, "train": FOLDS, "predict": [], "asked": "train x 7"}),
    ],
)
@pytest.mark.slow
@pytest.mark.sampled(5)
def test_what_the_command_made_is_not_made_again(daemon, trained, cursor):
    """The daemon's first start, a lost cursor, one of another release: a look and no training."""
    daemon.cursor = cursor
    assert daemon.all() == []
    assert daemon.said == "all folds are up to date"


@pytest.mark.slow
def test_a_new_bar_refreshes_the_running_fold_once(daemon, trained):
    assert daemon.all() == []
    night(trained, "2002-09-17", bars_until("2002-09-18"))
    assert daemon.all() == REFRESHED
    night(trained, "2002-09-18", bars_until("2002-09-19"))
    assert daemon.all() == REFRESHED


@pytest.mark.slow
def test_a_night_that_brought_nothing_costs_nothing(daemon, trained):
    """A holiday that was run by hand, or a venue that had no bar: features land all the same."""
    assert daemon.all() == []
    night(trained, "2002-09-17", bars_until("2002-09-17"))
    assert daemon.all() == []
    assert daemon.said == "all folds are up to date"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "asked"),
    [
        pytest.param(
            "2002-06-28",
            [("small_train", FIRST), ("small_train", SECOND), ("small_retrain", THIRD)],
            marks=pytest.mark.slow,
        ),
        (  # the first bar of a fold is predicted, and not learned from before the next one
            "2002-07-01",
            [("small_predict", FIRST), ("small_train", SECOND), ("small_retrain", THIRD)],
        ),
        pytest.param(
            "2002-08-30",
            [("small_predict", SECOND), ("small_retrain", THIRD)],
            marks=pytest.mark.slow,
        ),
        ("2002-09-03", REFRESHED),
    ],
)
@pytest.mark.sampled(4)
def test_a_changed_bar_concerns_the_folds_that_it_touches(daemon, trained, day, asked):
    """Whatever learned from it is trained, whatever saw it is predicted, the rest is left alone."""
    assert daemon.all() == []
    night(trained, "2002-09-16", changed(bars_until("2002-09-17"), day))
    assert daemon.all() == asked


@pytest.mark.slow
def test_the_first_bar_of_a_fold_trains_it(daemon, trained):
    """With the last ones of the old fold, which nobody had predicted yet."""
    trained.store(bars_until("2002-10-02"))
    trained.land("2002-10-01")
    assert daemon.all() == [("small_predict", THIRD), ("small_retrain", "2002-10-01")]


@pytest.mark.slow
def test_a_run_is_waited_for(daemon, small):
    assert daemon.tick(dg.DagsterRunStatus.STARTED) == [("small_train", FIRST)]
    assert daemon.tick() == []
    assert "is under way" in daemon.said
    (run,) = small.instance.get_runs()
    small.instance.report_run_failed(run)
    assert daemon.tick(dg.DagsterRunStatus.STARTED) == [("small_train", SECOND)]


@pytest.mark.slow
def test_a_run_that_never_began_is_asked_for_again(daemon, small):
    assert daemon.tick(dg.DagsterRunStatus.STARTED) == [("small_train", FIRST)]
    small.instance.delete_run(small.instance.get_runs()[0].run_id)
    assert daemon.tick() == [("small_train", FIRST)]


@pytest.mark.slow
def test_a_fold_that_fails_does_not_stop_the_others_and_is_tried_again(daemon, trained):
    """Later in the same night, and with the next bars; the last run that is left reports."""
    failure, again = dg.DagsterRunStatus.FAILURE, [("small_refresh", SECOND)]
    night(trained, "2002-09-16", changed(bars_until("2002-09-17"), "2002-08-30"))
    assert daemon.tick(failure) == [("small_predict", SECOND)]
    assert daemon.tick() == [("small_train", THIRD)]
    for pause in (5, 20, 80):
        assert daemon.after(pause - 1).tick() == []
        assert f"fold {SECOND} is tried again at" in daemon.said
        assert daemon.after(2).tick(failure) == again
    assert daemon.after(600).tick() == []
    assert f"fold {SECOND} could not be mended" in daemon.said
    night(trained, "2002-09-17", bars_until("2002-09-18").pipe(changed, "2002-08-30"))
    assert daemon.all() == [("small_predict", SECOND), ("small_refresh", THIRD)]


@pytest.mark.slow
def test_a_run_that_somebody_stopped_is_not_asked_for_again(daemon, small):
    """Nor is what it was to make, before new bars land."""
    for fold in (FIRST, SECOND):
        small.bring("train", fold)
    assert daemon.tick(dg.DagsterRunStatus.CANCELED) == [("small_retrain", THIRD)]
    assert daemon.after(600).tick() == []
    assert f"fold {THIRD} could not be mended" in daemon.said


@pytest.mark.slow
def test_a_report_whose_run_has_failed_is_made_again(daemon, trained):
    """Its folds are up to date: the predictions of that run came, and nobody looked at them."""
    predictions, report = (
        dg.AssetMaterialization(["small", asset]) for asset in ("predictions", "backtest_report")
    )
    trained.instance.report_runless_asset_event(predictions)
    assert daemon.tick(dg.DagsterRunStatus.FAILURE) == [("small_backtest", None)]
    assert daemon.tick() == []
    assert "the report is tried again at" in daemon.said
    assert daemon.after(6).tick() == [("small_backtest", None)]
    trained.instance.report_runless_asset_event(report)
    assert daemon.all() == []
    assert daemon.said == "all folds are up to date"


def test_what_failed_its_checks_is_not_traded_on(daemon, small):
    """Assets are recorded before their checks run, so that bars have landed says nothing."""
    key = dg.AssetKey(["small", "raw_bars"])
    failed = dg.AssetCheckEvaluation(key, "no_session_is_missing", passed=False, metadata={})
    small.instance.report_runless_asset_event(failed)
    assert daemon.tick() == []
    assert "checks" in daemon.said


@pytest.mark.slow
def test_predictions_that_are_not_cleared_are_predicted_and_checked_again(daemon, trained):
    trained.home.predictions(MARKET).forget_check(SECOND)
    assert daemon.all() == [("small_refresh", SECOND)]


def test_nothing_happens_before_bars_land(home, instance):
    daemon = Daemon(SmallMarket(home, instance))
    assert daemon.tick() == []
    assert daemon.said == "no new bars"


@pytest.mark.slow
def test_bars_that_allow_no_fold_yet_say_so(home, instance):
    small = SmallMarket(home, instance)
    night(small, "2001-06-29", bars_until("2001-07-01"))
    daemon = Daemon(small)
    assert daemon.tick() == []
    assert "no fold is possible yet: " in daemon.said


@pytest.mark.long
@pytest.mark.slow
def test_command_and_sensor_answer_alike(small, daemon, monkeypatch):
    """Trained by the command for real: nothing is left for the daemon, and the other way round."""
    without_training(monkeypatch, small.trained)
    assert runs.train(small.runner, small.plan) == dict.fromkeys(FOLDS, "train")
    assert runs.backtest(small.runner, small.plan, 1e5)
    assert daemon.all() == []
    small.store(changed(bars_until("2002-09-17"), "2002-08-30"))
    small.land("2002-09-16")
    assert runs.train(small.runner, small.plan) == {SECOND: "predict", THIRD: "train"}
    assert daemon.tick() == [("small_backtest", None)]
    assert small.trained == [*FOLDS, THIRD]


def production_night(small, bars):
    """One that brings a production model: its materialization and its check."""
    small.store(bars)
    done = small.run("production")
    assert done.success
    (made,) = done.get_asset_materialization_events()
    checks = {each.check_name: each for each in done.get_asset_check_evaluations()}
    return made.materialization.metadata, checks["candidate_is_accepted"]


@pytest.mark.long
@pytest.mark.slow
def test_a_production_model_is_trained_when_a_bar_is_new_or_changed(small, monkeypatch):
    """It is part of every night, and a night may bring nothing."""
    without_training(monkeypatch, small.trained)

    def trained(bars):
        told, _ = production_night(small, bars)
        before, small.trained[:] = list(small.trained), []
        assert str(told["trained"].value)[:2] == ("ye" if before else "no")
        return before

    bars = bars_until("2002-09-17")
    assert trained(bars) == ["production"]
    assert trained(bars) == []
    assert trained(changed(bars, "2001-06-05")) == ["production"]
    assert trained(changed(bars_until("2002-09-18"), "2001-06-05")) == ["production"]
    path = small.home.checkpoints(MARKET).path("best_model")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])  # the one that is kept is put back
    assert trained(changed(bars_until("2002-09-18"), "2001-06-05")) == []
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_a_refused_candidate_fails_its_check_and_not_the_night(small, monkeypatch):
    """Yesterday's model goes on, and whoever looks at the asset sees why."""
    without_training(monkeypatch, small.trained)

    told, check = production_night(small, bars_until("2002-09-17"))
    assert (check.check_name, check.passed, check.blocking) == (
        *("candidate_is_accepted", True),
        False,
    )
    assert told["decision"].value == "accepted"
    before = small.home.checkpoints(MARKET).verify("best_model")
    monkeypatch.setattr(
        "trading_pipeline.steps.production.judge", lambda *_: (["it disagrees"], {"agreement": 0.1})
    )
    told, check = production_night(small, bars_until("2002-09-18"))
    assert (check.passed, check.description) == (False, "it disagrees")
    assert told["decision"].value == "refused"
    assert "| agreement | 0.1 |" in told["evidence"].value
    assert small.home.checkpoints(MARKET).verify("best_model") == before


@pytest.mark.slow
def test_refits_are_compared_by_a_job_of_their_own(small):
    """Nothing that trades is touched, and no night does it."""
    done = replace(small, model="ridge").run("refits")
    assert done.success
    (made,) = done.get_asset_materialization_events()
    told = {name: each.value for name, each in made.materialization.metadata.items()}
    assert "| monthly | 3 |" in told["table"]
    assert told["picture"].startswith("![refits](data:image/png;base64,")
    assert "better" in told["answer"]
    assert small.home.checkpoints(MARKET).names() == []
