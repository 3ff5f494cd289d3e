"""A runner of the jobs that settings define, as the commands have one."""

from collections.abc import Iterator
from contextlib import contextmanager

from trading_pipeline.definitions import build
from trading_pipeline.defs import runs
from trading_pipeline.settings import Settings
from trading_pipeline.steps.home import ConfiguredSources, Home


@contextmanager
def running(settings: Settings) -> Iterator[runs.Runner]:
    home = Home(root=str(settings.home))
    with runs.runner(build(settings), home, ConfiguredSources({})) as run:
        yield run
