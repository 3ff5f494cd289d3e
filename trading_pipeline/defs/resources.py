"""What assets and checks are handed, as Dagster's resources."""

import dagster as dg

from trading_pipeline.core.progress import Progress
from trading_pipeline.steps.home import Home, Sources

DUCKDB_POOL = "duckdb"  # one writer at a time, and no reader beside it


def resources(home: Home, sources: Sources, progress: Progress) -> dict[str, dg.ResourceDefinition]:
    """By the names of the parameters; nothing of them is configuration, which Dagster shows."""
    given = {"home": home, "sources": sources, "progress": progress}
    hardcoded = dg.ResourceDefinition.hardcoded_resource
    return {name: hardcoded(value) for name, value in given.items()}
