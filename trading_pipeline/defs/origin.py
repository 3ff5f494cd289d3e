"""Where the runs of a command come from: the same code location as those of the web UI.

Dagster's `execute_in_process` knows of no code location. A run without one is on no page of its
job, and cannot be re-executed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg
from dagster._core.definitions.repository_definition.valid_definitions import (
    SINGLETON_REPOSITORY_NAME,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

LOCATION = "trading_pipeline"  # in every workspace.yaml
# By its name alone, as whoever reads it has a workspace that says where the code is.
_REPOSITORY = RemoteRepositoryOrigin(
    RegisteredCodeLocationOrigin(LOCATION), SINGLETON_REPOSITORY_NAME
)


@contextmanager
def origin_in(instance: dg.DagsterInstance, job: str) -> Iterator[None]:
    """Runs that are made on the instance inside are of a job of our code location."""
    create, origin = instance.create_run_for_job, _REPOSITORY.get_job_origin(job)
    instance.create_run_for_job = partial(create, remote_job_origin=origin)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del instance.create_run_for_job  # the class's own is back
