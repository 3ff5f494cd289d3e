"""Schedules: one night per market, after the market's own close, and what follows it."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from trading_pipeline.core.market.exchanges import (
    NEVER_CLOSES,
    WEEKDAYS,
    close_of_day,
    rests_on_weekends,
    zone_of,
)
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.partitions import known_days, range_tags
from trading_pipeline.steps.divergence import is_reported, newest_session
from trading_pipeline.steps.freshness import last_closed_day, missing_days, sessions_among
from trading_pipeline.steps.home import Home

_AFTER_CLOSE = 30  # minutes
_AFTER_NIGHT = 2  # hours, in which predictions follow the bars


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
        features = dg.AssetKey([market.name, "features"])
        stored = context.instance.get_materialized_partitions(features)
        now = context.scheduled_execution_time
        wanted = missing_days(market, known_days(market, now), stored, now)
        if wanted is None:
            closed = last_closed_day(market, now)
            if not sessions_among(market, [closed]):
                return dg.SkipReason(f"{market.calendar} has no session on {closed}")
            return dg.SkipReason(f"all days of {market.name} are stored")
        # On the evening of a holiday the newest day is that of the night before: failed, perhaps.
        key = f"{market.name} {wanted[1]} at {now:%Y-%m-%d %H:%M}"
        return dg.RunRequest(run_key=key, tags=range_tags(*wanted))

    return night


def nightly_divergence(
    market: Market, job: UnresolvedAssetJobDefinition, running: bool
) -> dg.ScheduleDefinition:
    """Every night, when the predictions are there: the newest paper session beside the backtest."""
    night, timezone = hour_of_night(market.calendar)
    minute, hour, *days = night.split()

    @dg.schedule(
        name=f"{market.name}_paper_divergence",
        job=job,
        cron_schedule=" ".join([minute, str(min(int(hour) + _AFTER_NIGHT, 23)), *days]),
        execution_timezone=timezone,
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
        description="Where a paper session has lived through new bars: what it earned beside the "
        "backtest of its days, and why.",
    )
    def after_the_night(
        context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home]
    ) -> dg.RunRequest | dg.SkipReason:
        if not home.has_ledger:
            return dg.SkipReason("there is no ledger, so no session")
        with home.ledger() as ledger:
            newest = newest_session(ledger, market)
        if newest is None:
            return dg.SkipReason(f"{market.name} has no paper session")
        if is_reported(home, market, newest):
            return dg.SkipReason(f"{newest.stream} has lived through nothing new")
        return dg.RunRequest(run_key=f"{newest.stream} {context.scheduled_execution_time:%Y-%m-%d}")

    return after_the_night


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
