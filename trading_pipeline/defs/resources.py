"""What assets and checks are handed, as Dagster's resources."""

from collections.abc import Mapping

import dagster as dg

from trading_pipeline.adapters.alerts import Alerts
from trading_pipeline.adapters.brokers.factory import BrokerFactory
from trading_pipeline.core.progress import Progress
from trading_pipeline.steps.home import Home, Sources

DUCKDB_POOL = "duckdb"  # one writer at a time, and no reader beside it


def resources(
    home: Home,
    sources: Sources,
    progress: Progress,
    alerts: Alerts,
    brokers: Mapping[str, BrokerFactory],
) -> dict[str, dg.ResourceDefinition]:
    """By the names of the parameters; nothing of them is configuration, which Dagster shows."""
    given = {
        "home": home,
        "sources": sources,
        "progress": progress,
        "alerts": alerts,
        "brokers": brokers,
    }
    hardcoded = dg.ResourceDefinition.hardcoded_resource
    return {name: hardcoded(value) for name, value in given.items()}
