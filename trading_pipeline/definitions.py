"""The composition root: reads the settings, chooses the adapters, and makes every market's assets.

Run from the folder of pipeline.toml, or set TP_CONFIG.
"""

import warnings
from dataclasses import fields
from datetime import timedelta

import dagster as dg

from trading_pipeline.adapters.sources.factory import SourceFactory
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.resources import resources
from trading_pipeline.settings import Settings
from trading_pipeline.steps.home import ConfiguredSources, Home
from trading_pipeline.steps.plan import Plan

# backfill_policy and pools are what this product stands on; that they may change is our worry.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build(
    settings: Settings, progress: Progress | None = None, *, hurried: bool = False
) -> dg.Definitions:
    """The definitions of all markets of the settings.

    Args:
        progress: watches long work.
        hurried: a venue that is down is given up after a minute; nobody sits before a night.
    """
    shared = dg.Definitions(
        resources=resources(
            home_of(settings), sources_of(settings, hurried=hurried), progress or Progress()
        ),
        executor=dg.multiprocess_executor if settings.multiprocess else dg.in_process_executor,
    )
    markets = [market_definitions(plan_of(settings, name)) for name in settings.markets]
    return dg.Definitions.merge(shared, *markets)


def home_of(settings: Settings) -> Home:
    """Where the settings keep everything."""
    url = settings.ledger_url.get_secret_value() if settings.ledger_url else None
    return Home(root=str(settings.home.absolute()), ledger_url=url)


def sources_of(settings: Settings, *, hurried: bool = False) -> ConfiguredSources:
    """The sources that the settings name; opened only when something is downloaded."""
    origins = {
        name: SourceFactory(
            path=str(each.path) if each.path else None,
            calendar=each.calendar,
            exchange=each.exchange,
            feed=each.feed or SourceFactory.feed,
            url=each.url,
            trading_url=each.trading_url,
            delay=None if each.delay is None else timedelta(minutes=each.delay),
            per_minute=each.per_minute or SourceFactory.per_minute,
            hurried=hurried,
            key=settings.alpaca_key,
            secret=settings.alpaca_secret,
        )
        for name, each in settings.markets.items()
    }
    return ConfiguredSources(origins)


def plan_of(settings: Settings, name: str) -> Plan:
    """What the settings say about one market."""
    entry = settings.markets[name]
    asked = {each.name: getattr(entry, each.name) for each in fields(Plan) if each.name != "market"}
    return Plan(settings.market(name), **asked)


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build(Settings.read())
