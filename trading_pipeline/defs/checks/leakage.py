"""What came of looking for leaks, as Dagster shows it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from trading_pipeline.core.leakage.experiment import Examined

_SHOWN = 5


def verdict_of(examined: Sequence["Examined"]) -> dg.AssetCheckResult:
    """Passed where values were compared and none leaked; the table says what was done."""
    leaks = [leak for each in examined for leak in each.leaks]
    values = sum(each.values for each in examined)
    complaints = [str(leak) for leak in leaks[:_SHOWN]] or (
        [] if values else ["no bars to compare"]
    )
    rows = [f"| {e.stage} | {e.check} | {e.done} | {e.values:,} | {e.verdict} |" for e in examined]
    head = ["| stage | check | what was done | values | verdict |", "|---|---|---|---:|---|"]
    return dg.AssetCheckResult(
        passed=not complaints,
        description="; ".join(complaints) or None,
        metadata={
            "leaks": len(leaks),
            "values": values,
            "examined": dg.MetadataValue.md("\n".join(head + rows)),
        },
    )
