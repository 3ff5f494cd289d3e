"""The night asks about a session that has new bars, and its asset shows and tells the answer."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from trading_pipeline.adapters.alerts import STREAM
from trading_pipeline.defs.assets.divergence import paper_divergence
from trading_pipeline.defs.jobs import asset_jobs
from trading_pipeline.defs.schedules import nightly_divergence
from trading_pipeline.steps import divergence, past_session
from trading_pipeline_tests.steps import kills, paper_home
from trading_pipeline_tests.steps.kills import MARKET
from trading_pipeline_tests.steps.paper_home import PLAN

NIGHT = datetime(2024, 4, 2, 2, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _stored(monkeypatch):
    monkeypatch.setattr(divergence, "read_panel", lambda home, market: kills.panel())
    monkeypatch.setattr(past_session, "eligibility_of", lambda n_steps: paper_home.traded)


def materialized(home, instance):
    result = dg.materialize(
        [paper_divergence(PLAN)],
        resources={
            "home": dg.ResourceDefinition.hardcoded_resource(home),
            "alerts": dg.ResourceDefinition.hardcoded_resource(home.alerts()),
        },
        instance=instance,
    )
    (event,) = result.get_asset_materialization_events()
    return {name: each.value for name, each in event.materialization.metadata.items()}


def tick(home, instance):
    schedule = nightly_divergence(MARKET, asset_jobs(PLAN)["paper_divergence"], running=True)
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=NIGHT, resources={"home": home}
    )
    return schedule.evaluate_tick(context)


@pytest.mark.long
@pytest.mark.slow
def test_a_night_asks_where_a_session_has_new_bars(home, instance):
    assert tick(home, instance).skip_message == "there is no ledger, so no session"
    assert not home.has_ledger
    with home.ledger():
        pass
    assert tick(home, instance).skip_message == "killed has no paper session"
    paper_home.trade(home, execute=paper_home.worse)
    (asked,) = tick(home, instance).run_requests
    assert asked.run_key == "paper/killed/s 2024-04-02"

    early = materialized(home, instance)
    assert "predictions of 0" in early["answer"]
    assert tick(home, instance).run_requests

    paper_home.predict(home)
    for _ in range(2):
        told = materialized(home, instance)
    assert "are tolerated (most of it fill" in told["answer"]
    assert told["fill"] == pytest.approx(told["difference"], abs=0.01)
    assert told["fill"] < 0
    assert "| fill | -" in told["table"]
    assert told["picture"].startswith("![divergence](data:image/png;base64,")
    assert "nothing new" in tick(home, instance).skip_message
    with home.ledger() as ledger:
        assert [event.kind for event in ledger.read(STREAM)] == ["told"]


def test_it_comes_two_hours_after_the_night():
    """When the predictions of the day's bars are there."""
    job = asset_jobs(PLAN)["paper_divergence"]
    assert nightly_divergence(MARKET, job, running=False).cron_schedule == "10 2 * * *"
