"""What assets and checks are handed, as Dagster's resources."""

import logging
from collections.abc import Mapping

import dagster as dg

from trading_pipeline.adapters.alerts import Alerts
from trading_pipeline.adapters.brokers.factory import BrokerFactory
from trading_pipeline.adapters.store.home_version import settle
from trading_pipeline.core.progress import Progress
from trading_pipeline.steps.home import Home, Sources

# Each is one at a time: what has the file of features open for long, and what takes all cores and
# the memory. A training reads the features once, so nothing that needs them waits for it.
DUCKDB_POOL, TRAINING_POOL = "duckdb", "training"
_LOG = logging.getLogger(__name__)


def resources(
    home: Home,
    sources: Sources,
    progress: Progress,
    alerts: Alerts,
    brokers: Mapping[str, BrokerFactory],
) -> dict[str, dg.ResourceDefinition]:
    """By the names of the parameters; nothing of them is configuration, which Dagster shows."""
    given = {
        "sources": sources,
        "progress": progress,
        "alerts": alerts,
        "brokers": brokers,
    }
    hardcoded = dg.ResourceDefinition.hardcoded_resource
    return {name: hardcoded(value) for name, value in given.items()} | {"home": _settled(home)}


def _settled(home: Home) -> dg.ResourceDefinition:
    """The home, of this code's version before a run opens anything in it."""

    @dg.resource
    def settled(_: dg.InitResourceContext) -> Home:
        settle(home.path, _LOG.warning)
        return home

    return settled
