"""What runs the Dagster jobs of a command."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from trading_pipeline.adapters.terminal import ProgressBars, say, telling

VENUES = "trading_pipeline.adapters.sources.retry"  # logs why it asks a venue again, and when
LEASES = "trading_pipeline.steps.guard"  # logs which session another one waits for
FEED = "trading_pipeline.steps.feed"  # logs bars that are late, and venues that do not answer
LIVE = "trading_pipeline.steps.live"  # logs models that cannot be asked


@contextmanager
def runner_of(settings: Any, alone: bool = True, wait: bool = False) -> Iterator[Any]:
    """A runner for the settings, with progress bars in a terminal.

    Commands that change bars, models or reports are `alone`: a second one waits for the first.
    Those that are not trade, and say once and not at every try that a venue does not answer.
    They `wait` for a venue that is down as long as a night does, or not much longer than a minute.
    """
    from trading_pipeline.definitions import build, home_of, sources_of, variables_of
    from trading_pipeline.defs.runs import runner

    with ProgressBars() as bars, ExitStack() as told:
        for name in (VENUES,) if alone else (LEASES, FEED, LIVE):
            told.enter_context(telling(name))
        definitions = build(settings, bars, hurried=not wait)
        located, sources = home_of(settings), sources_of(settings, hurried=not wait)
        with runner(definitions, located, sources, say, alone, variables_of(settings)) as run:
            yield run


@contextmanager
def running(settings: Any, market: str, alone: bool = True) -> Iterator[tuple[Any, Any]]:
    """A runner for the settings, and the plan of a market."""
    from trading_pipeline.definitions import plan_of

    with runner_of(settings, alone) as run:
        yield run, plan_of(settings, market)
