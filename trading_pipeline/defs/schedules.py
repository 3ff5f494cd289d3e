"""Schedules: one night per market, after the market's own close."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.exchanges import (
    NEVER_CLOSES,
    WEEKDAYS,
    close_of_day,
    rests_on_weekends,
    zone_of,
)
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.partitions import DAY, days

_AFTER_CLOSE = 30  # minutes


def hour_of_night(calendar: str) -> tuple[str, str]:
    """Cron line and time zone: half an hour after the close, or ten minutes after midnight UTC."""
    if calendar == NEVER_CLOSES:
        return "10 0 * * *", "UTC"
    if calendar == WEEKDAYS:
        return "10 0 * * 2-6", "UTC"
    days = "1-5" if rests_on_weekends(calendar) else "*"
    close = close_of_day(calendar)
    hour, minute = divmod(60 * close.hour + close.minute + _AFTER_CLOSE, 60)
    return f"{minute} {hour} * * {days}", zone_of(calendar)


def nightly(
    market: Market, job: UnresolvedAssetJobDefinition, running: bool
) -> dg.ScheduleDefinition:
    """Every night, all days since the last one that was stored."""
    cron, timezone = hour_of_night(market.calendar)

    @dg.schedule(
        name=f"{market.name}_nightly",
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
        description="Bars, checks, features and a production model; the new-bars sensor then "
        "brings predictions and report up to date.",
    )
    def night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        key = dg.AssetKey([market.name, "features"])
        stored = context.instance.get_materialized_partitions(key)
        wanted = missing_days(market, stored, context.scheduled_execution_time)
        if wanted is None:
            closed = last_closed_day(market, context.scheduled_execution_time)
            if not sessions_among(market, [closed]):
                return dg.SkipReason(f"{market.calendar} has no session on {closed}")
            return dg.SkipReason(f"all days of {market.name} are stored")
        return dg.RunRequest(run_key=f"{market.name} {wanted[1]}", tags=range_tags(*wanted))

    return night


def weekly_quality(
    market: Market, job: UnresolvedAssetJobDefinition, running: bool
) -> dg.ScheduleDefinition:
    """Every weekend, the quality of the whole history: sources correct what is long past."""
    return dg.ScheduleDefinition(
        name=f"{market.name}_weekly_quality",
        job=job,
        cron_schedule="0 9 * * 6",
        execution_timezone=hour_of_night(market.calendar)[1],
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
        description="All checks of the stored bars, the day after the week's last session.",
    )


def missing_days(
    market: Market, stored: set[str], now: datetime, first: str = ""
) -> tuple[str, str] | None:
    """First and last day from `first` on that have closed by `now` and are not stored, if any.

    None as well where the market had no session on any of them: holidays alone bring no bars, and
    are stored together with the next session.
    """
    last = last_closed_day(market, now)
    known = days(market).get_partition_keys(current_time=now)
    closed = [day for day in known if first <= day <= last]
    missing = [day for day in closed if day not in stored]
    return (missing[0], missing[-1]) if sessions_among(market, missing) else None


def sessions_among(market: Market, days: list[str]) -> bool:
    """Whether the market's calendar has a session on any of these days, which are in order."""
    if not days:
        return False
    first, last = (pd.Timestamp(day, tz="UTC") for day in (days[0], days[-1]))
    calendar = trading_calendar(market.calendar, "1d")
    known = calendar.sessions(first, last + pd.Timedelta(days=1)).strftime(DAY)
    return not set(days).isdisjoint(known)


def last_closed_day(market: Market, now: datetime) -> str:
    """The newest day whose bars are complete at `now`."""
    local = now.astimezone(ZoneInfo(zone_of(market.calendar)))
    rests = market.calendar not in (NEVER_CLOSES, WEEKDAYS)
    closed = rests and local.time() >= close_of_day(market.calendar)
    return f"{local if closed else local - timedelta(days=1):{DAY}}"


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags that make one run out of a range of days."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
