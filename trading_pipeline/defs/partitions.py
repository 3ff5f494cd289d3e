"""Partitions: the sessions of a market, and the folds of its walk-forward."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from trading_pipeline.core.learning.walkforward import fold_starts
from trading_pipeline.core.market.exchanges import NEVER_CLOSES
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.sessions import open_days
from trading_pipeline.steps.freshness import DAY


def days(market: Market) -> dg.TimeWindowPartitionsDefinition:
    """One partition a session of the market's calendar; every day where it never closes.

    Where the session ends before the UTC day does, today (on a holiday the next session) is a
    partition too, so that a night can fetch it; sources never give a bar that is still open.
    """
    end, (weekdays, closed) = market.end, open_days(market.calendar, market.start, market.end)
    while end and end.weekday() not in weekdays:  # Friday's window ends on Monday
        end += timedelta(days=1)
    of_cron = ",".join(str(each) for each in sorted((day + 1) % 7 for day in weekdays))
    return dg.TimeWindowPartitionsDefinition(
        start=f"{market.start:{DAY}}",
        end=f"{end:{DAY}}" if end else None,
        cron_schedule=f"0 0 * * {'*' if len(weekdays) == 7 else of_cron}",
        fmt=DAY,
        end_offset=1 if market.calendar != NEVER_CLOSES and end is None else 0,
        exclusions=[day.to_pydatetime() for day in closed],
    )


def known_days(market: Market, now: datetime) -> Sequence[str]:
    """The keys of the days that there are by `now`, in order."""
    return days(market).get_partition_keys(current_time=now)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags that make one run out of a range of days."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def folds(market: Market, now: datetime | None = None) -> dg.TimeWindowPartitionsDefinition:
    """One partition a fold, the running one included; its key is the first day of its span.

    `now` only matters before the first fold can exist: Dagster wants a start all the same.
    """
    spans = market.walk_forward
    today = pd.Timestamp(now or datetime.now(UTC)).normalize()
    last = pd.Timestamp(market.end, tz="UTC") - pd.Timedelta(days=1) if market.end else today
    starts = fold_starts(pd.Timestamp(market.start, tz="UTC"), last, spans)
    first = starts[0] if starts else last
    end = starts[-1] + pd.DateOffset(months=spans.test) if starts and market.end else None
    return dg.TimeWindowPartitionsDefinition(
        start=first.strftime(DAY),
        end=end.strftime(DAY) if end is not None else None,
        cron_schedule=f"0 0 1 {','.join(str(m) for m in range(1, 13, spans.test))} *",
        fmt=DAY,
        end_offset=1,
    )


def windows(market: Market) -> dg.TimeWindowPartitionsDefinition:
    """Spans like those of the folds, from the start of the history on."""
    months = market.walk_forward.test
    first = market.start.replace(month=(market.start.month - 1) // months * months + 1, day=1)
    like = folds(market)
    return dg.TimeWindowPartitionsDefinition(
        start=f"{first:{DAY}}",
        end=like.end if market.end else None,
        cron_schedule=like.cron_schedule,
        fmt=DAY,
        end_offset=1,
    )


def window_before() -> dg.PartitionMapping:
    """From a fold to the window that ends where the fold begins."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def training_days(market: Market) -> dg.PartitionMapping:
    """From a fold to the days it may have learned from, as `fold_days` has them."""
    spans = market.walk_forward
    back = -(-spans.window // spans.test)
    return dg.TimeWindowPartitionMapping(
        start_offset=-back, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def window_and_fold(market: Market) -> dg.PartitionMapping:
    """From a fold to its own days and those that its model may have learned from."""
    spans = market.walk_forward
    back = -(-spans.window // spans.test)
    return dg.TimeWindowPartitionMapping(
        start_offset=-back, allow_nonexistent_upstream_partitions=True
    )


def window_before_and_fold() -> dg.PartitionMapping:
    """From a fold to its own window and the one that ends where the fold begins."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def fold_days() -> dg.PartitionMapping:
    """From a fold to its own days; where it begins on a holiday, from the session before on."""
    return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
