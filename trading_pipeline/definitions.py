"""The composition root: reads the settings, chooses the adapters, and makes every market's assets.

Run from the folder of pipeline.toml, or set TP_CONFIG.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta

import dagster as dg

from trading_pipeline.adapters.alerts import Alerts, addresses_of
from trading_pipeline.adapters.brokers.factory import BrokerFactory
from trading_pipeline.adapters.clock import WALL, Clock
from trading_pipeline.adapters.keys import OF_BROKERS
from trading_pipeline.adapters.sources.factory import SourceFactory
from trading_pipeline.adapters.store.shared import SharedStore
from trading_pipeline.adapters.timed_progress import TimedProgress
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.alerts import alerts_sensor
from trading_pipeline.defs.executors import executor_named
from trading_pipeline.defs.history import history
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.resources import resources
from trading_pipeline.settings import Settings
from trading_pipeline.settings_sources import config_path
from trading_pipeline.steps.home import ConfiguredSources, Home, Sources
from trading_pipeline.steps.plan import Plan

# backfill_policy and pools are what this product stands on; that they may change is our worry.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build(
    settings: Settings,
    progress: Progress | None = None,
    *,
    hurried: bool = False,
    clock: Clock = WALL,
) -> dg.Definitions:
    """The definitions of all markets of the settings.

    Args:
        progress: watches long work.
        hurried: a venue that is down is given up after a minute; nobody sits before a night.
        clock: by which everything is dated and waited for.
    """
    plans = [plan_of(settings, name) for name in settings.markets]
    sources = sources_of(settings, hurried=hurried, clock=clock)
    executor = executor_named(settings.executor, variables_of(settings))
    alerts, home = alerts_of(settings), home_of(settings, clock)
    brokers = brokers_of(settings)
    return assemble(plans, home, sources, progress or TimedProgress(), executor, alerts, brokers)


def assemble(
    plans: Sequence[Plan],
    home: Home,
    sources: Sources,
    progress: Progress,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
    alerts: Alerts | None = None,
    brokers: Mapping[str, BrokerFactory] | None = None,
) -> dg.Definitions:
    """The definitions of markets that are planned already, whatever the settings say; a market
    without a broker is traded in the simulation."""
    clock = home.clock.now
    shared = dg.Definitions(
        resources=resources(home, sources, progress, alerts or home.alerts(), brokers or {}),
        sensors=[alerts_sensor(clock), history(clock)],
        executor=executor,
    )
    return dg.Definitions.merge(shared, *(market_definitions(plan, clock) for plan in plans))


def variables_of(settings: Settings) -> dict[str, str]:
    """What another process reads the same settings by, from whatever folder; no keys and no
    passwords, for schedulers show variables: other machines have their own."""
    said = {"TP_HOME": str(settings.home.absolute()), "TP_EXECUTOR": settings.executor}
    if settings.storage:
        said["TP_STORAGE"] = settings.storage
    for name, each in settings.markets.items():  # a command may be asked for others than the file's
        entry = f"TP_MARKETS__{name.upper()}"
        asked = {"preset": each.preset, "model": each.model, "epochs": each.epochs}
        asked |= {"batch_size": each.batch_size, "learning_rate": each.learning_rate}
        said |= {f"{entry}__{key.upper()}": str(it) for key, it in asked.items() if it is not None}
    path = config_path().absolute()
    return said | ({"TP_CONFIG": str(path)} if path.is_file() else {})


def home_of(settings: Settings, clock: Clock = WALL) -> Home:
    """Where the settings keep everything."""
    url = settings.ledger_url.get_secret_value() if settings.ledger_url else None
    root, shared = settings.home.absolute(), None
    if settings.storage:
        shared = SharedStore(root, settings.storage)
    return Home(root=str(root), ledger_url=url, shared=shared, clock=clock)


def alerts_of(settings: Settings) -> Alerts:
    """What tells that something went wrong, and where."""
    urls = settings.alert_urls
    return home_of(settings).alerts(addresses_of(urls.get_secret_value()) if urls else ())


def sources_of(
    settings: Settings, *, hurried: bool = False, clock: Clock = WALL
) -> ConfiguredSources:
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
            clock=clock,
            key=settings.alpaca_key,
            secret=settings.alpaca_secret,
            folder=str(config_path().absolute().parent),
            options=each.options,
        )
        for name, each in settings.markets.items()
    }
    return ConfiguredSources(origins)


def brokers_of(settings: Settings) -> dict[str, BrokerFactory]:
    """Where the orders of each market go; opened only when something is traded."""
    held = {broker: keys.held(settings) for broker, keys in OF_BROKERS.items()}
    return {
        name: BrokerFactory(
            each.broker,
            each.broker_url,
            each.per_minute or BrokerFactory.per_minute,
            *held.get(each.broker, ()),
        )
        for name, each in settings.markets.items()
    }


def plan_of(settings: Settings, name: str) -> Plan:
    """What the settings say about one market."""
    entry = settings.markets[name]
    asked = {each.name: getattr(entry, each.name) for each in fields(Plan) if each.name != "market"}
    asked["divergence"] = Tolerance(**entry.divergence.model_dump())
    return Plan(settings.market(name), **asked)


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build(Settings.read())
