"""A paper session looks at the run that it belongs to, and at what it was launched with."""

import dagster as dg
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.defs.paper import paper_job, paper_op_name, running
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.defs.short_market import MARKET, resources_of


@dg.op
def session(context: dg.OpExecutionContext) -> None:
    goes_on = running(context.instance, context.run_id)
    assert goes_on()
    run = context.instance.get_run_by_id(context.run_id)
    context.instance.report_run_canceled(run)  # what a forced cancellation does, and no more
    assert not goes_on()


@dg.job(executor_def=dg.in_process_executor)
def trading():
    session()


def test_a_force_cancelled_run_is_seen_from_within(instance):
    """Its process is left alive, so that it has to look."""
    result = trading.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.get_step_failure_events()
    assert not running(instance, "a run that was deleted")()


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"session": "a\nb"}, "a session has a name of 1 to 60 printable characters, not 'a\\nb'"),
        ({"session": "a\0b"}, "a session has a name of"),
        ({"session": " "}, "a session has a name of"),
        ({"session": "x" * 61}, "a session has a name of"),
        ({"capital": float("nan")}, "capital must be positive and finite, was nan"),
        ({"capital": float("inf")}, "capital must be positive and finite, was inf"),
        ({"capital": -1.0}, "capital must be positive and finite, was -1.0"),
    ],
    ids=str,
)
def test_what_the_launchpad_was_told_is_looked_at_before_it_is_wanted(
    home, instance, asked, complaint
):
    """Else the watchdog would start it again and again."""
    done = paper_job(Plan(MARKET)).execute_in_process(
        run_config={"ops": {paper_op_name(MARKET): {"config": asked}}},
        resources=resources_of(home, SampleSource()),
        instance=instance,
        raise_on_error=False,
    )
    (failed,) = done.get_step_failure_events()
    assert complaint in str(failed.step_failure_data.error)
    assert not home.has_ledger
