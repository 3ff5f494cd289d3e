"""A paper session looks at the run that it belongs to."""

import dagster as dg

from trading_pipeline.defs.paper import running


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
