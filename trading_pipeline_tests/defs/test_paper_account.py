"""What the catalog shows of an account while a session trades it."""

from dataclasses import replace

import dagster as dg
import pytest

from trading_pipeline.adapters.clock import Clock
from trading_pipeline.defs.assets.paper_account import AccountReports
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import FIRST, MARKET


@pytest.fixture
def reported(home, instance):
    """Reports after each of some seconds, and at the end: what was materialized."""

    def run(seconds, session="s"):
        clock = [0.0]
        timed = replace(home, clock=Clock(elapsed=lambda: clock[0]))

        @dg.op
        def trade(context: dg.OpExecutionContext) -> None:
            reports = AccountReports(context, timed, MARKET, session)
            for bars, at in enumerate(seconds, start=1):
                clock[0] = float(at)
                reports.after_bar({"bars": bars})
            reports.now({"bars": len(seconds)})

        @dg.job(executor_def=dg.in_process_executor)
        def trading() -> None:
            trade()

        trading.execute_in_process(instance=instance)
        found = instance.fetch_materializations(
            dg.AssetKey(["killed", "paper_account"]), limit=100
        ).records
        return [each.asset_materialization.metadata for each in reversed(found)]

    return run


def test_a_session_of_months_reports_after_a_bar_but_not_after_every_minutes(reported, home):
    kills.trade(home.path, 0, last=FIRST)
    """Hourly bars come a moment early or late, and each is reported."""
    told = reported([60, 3600, 3660, 7199, 10801])
    assert [each["bars"].value for each in told] == [2, 4, 5, 5]


@pytest.mark.slow
def test_a_report_shows_the_account(reported, home):
    kills.trade(home.path, 0, last=FIRST + 8)
    (told,) = reported([])
    curve = told["equity_curve"].value
    assert curve.startswith("![equity](data:image/svg+xml,")
    assert len(curve) < 1_000  # else the web UI hides it behind a link
    assert "grey: the capital, 100,000" in curve
    assert (
        told["positions_held"].value.count("\n")
        == len([name for name in MARKET.symbols if name in told["positions_held"].value]) + 1
    )
    assert told["recipe"].value == "not proven: there is no backtest report"
    assert told["risk_state"].value == "reduce-only"
    assert "- weekly loss: nothing new this week: " in told["limits"].value
    assert told["heartbeat"].value > 0
    assert 0.02 < told["drawdown"].value < 1


def test_a_session_that_never_began_is_reported_all_the_same(reported):
    """The report is made in a `finally`, and must not hide what ended the session."""
    (told,) = reported([])
    assert "has no paper session s" in told["not_known"].value
