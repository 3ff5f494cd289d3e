"""One run in a process of its own, so that several run at a time.

    python -m trading_pipeline.defs.one_run JOB PARTITION [ASSET ...]

Dagster's own runs share what a process has once, its logging above all, so threads do not do.
Settings are read anew, from the variables and the folder of whoever starts it.
"""

import logging
import sys

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.adapters.processes import leave_with_parent
from trading_pipeline.defs.instance import PROCESS_TAG, this_process
from trading_pipeline.defs.origin import origin_in

MODULE = "trading_pipeline.defs.one_run"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def command(job: str, partition: str, only: list[str]) -> list[str]:
    """What starts it: `only` are assets, such as `sample/predictions`; none: all of the job."""
    return [sys.executable, "-m", MODULE, job, partition, *only]


def main() -> int:
    """0 where every step succeeded; else what failed is said on stderr, a line for each step."""
    leave_with_parent()
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    job, partition, *only = sys.argv[1:]
    with dg.DagsterInstance.get() as instance, origin_in(instance, job):
        done = dg.execute_job(
            _reconstructable(job),
            instance,
            tags={PROCESS_TAG: this_process(), PARTITION_NAME_TAG: partition},
            run_config=QUIET,
            asset_selection=[dg.AssetKey.from_user_string(each) for each in only] or None,
        )
    for event in done.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            error = event.step_failure_data.error
            print(f"{event.step_key}: {(error.cause or error).message.strip()}", file=sys.stderr)  # noqa: T201
    return 0 if done.success else 1


def _reconstructable(job: str) -> ReconstructableJob:
    """Processes of its steps, and pods, load it from the module again."""
    pointer = ModuleCodePointer("trading_pipeline.definitions", "defs", working_directory=None)
    return ReconstructableRepository(pointer).get_reconstructable_job(job)


if __name__ == "__main__":
    sys.exit(main())
