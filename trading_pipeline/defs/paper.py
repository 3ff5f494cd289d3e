"""Paper trading: a long-running job, one session per market, that reports to `paper_account`."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG

from trading_pipeline.adapters.brokers.factory import BrokerFactory
from trading_pipeline.adapters.kill_switch import operator
from trading_pipeline.adapters.sources.source import LiveSource
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets.paper_account import AccountReports
from trading_pipeline.defs.instance import process_of
from trading_pipeline.defs.jobs import PAPER
from trading_pipeline.errors import TradingError
from trading_pipeline.steps.home import Home, Sources
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.watchdog import Attendance

if TYPE_CHECKING:
    from trading_pipeline.defs.runs import Runner


REASON_TAG = "trading_pipeline/reason"  # why a run was started
INSTEAD_TAG = "trading_pipeline/instead_of"  # the run that died, and that it follows


class PaperConfig(dg.Config):
    """One session; the same name with the same terms resumes it."""

    session: str = "paper"
    capital: float = 100_000.0
    replay: bool = False  # stored bars, also of a market whose venue could be waited for
    start: str = ""  # of a replay, first day to decide on; empty: the first that a fold predicts
    end: str = ""  # of a replay, its last day; empty: that of the newest stored bar
    speed: str = "max"  # of a replay: max, real, or times real time such as 60x

    @property
    def span(self) -> dict[str, Any]:
        """What a replay alone is told."""
        return {"start": self.start, "end": self.end, "speed": self.speed}


LONGEST = 60  # characters of a session's name: venues have 128 for that of an order, which has it
REPLAY = {"start": "", "end": "", "speed": "max"}  # where nothing is said of it


def check_config(config: PaperConfig) -> None:
    """Refuse what the web UI may be told, before it is in the ledger as what an operator wants.

    Raises:
        TradingError: the session's name cannot be shown, or the capital is none.
    """
    name = config.session
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST):
        raise TradingError(
            f"a session has a name of 1 to {LONGEST} printable characters, not {name!r:.{LONGEST}}"
        )
    if not 0 < config.capital < float("inf"):
        raise TradingError(f"capital must be positive and finite, was {config.capital}")


def paper_job_name(market: Market) -> str:
    """What Dagster calls the job of a market's sessions."""
    return f"{market.name}_paper_trading"


def paper_op_name(market: Market) -> str:
    """And its one step."""
    return f"{market.name}_paper_session"


def paper_job(plan: Plan) -> dg.JobDefinition:
    """Trades the bars of a venue as they close, or replays stored ones, until it is stopped."""
    market = plan.market

    @dg.op(name=paper_op_name(market))
    def paper_session(
        context: dg.OpExecutionContext,
        home: dg.ResourceParam[Home],
        sources: dg.ResourceParam[Sources],
        progress: dg.ResourceParam[Progress],
        brokers: dg.ResourceParam[Mapping[str, BrokerFactory]],
        config: PaperConfig,
    ) -> dict[str, Any]:
        """Every bar is journalled before the next; a kill at any moment loses nothing."""
        from trading_pipeline.steps.status import word_on_recipe

        check_config(config)
        venue = _venue(sources, market, config)
        watch = progress.start(f"{market.name} paper {config.session}", context.log.info)
        account: dict[str, Any] = {"session": config.session, "bars": 0}
        recipe = word_on_recipe(home.report(market))
        context.log.info(f"recipe: {recipe}")
        reports = AccountReports(context, home, market, config.session)
        try:
            with (
                home.ledger() as ledger,
                attendance(context, ledger, home.clock.now, market, config) as wanted,
            ):
                session = _session(plan, home.clock.now, venue, brokers, config)
                for after_bar in session(ledger, home, plan, watch=watch, running=wanted):
                    account = after_bar
                    reports.after_bar(account)
        finally:  # also when terminated: what was journalled is reported, then the stop goes on
            reports.now(account)
        return {**account, "recipe": recipe}

    @dg.job(
        name=paper_job_name(market),
        tags={"trading_pipeline/paper_session": market.name, **PAPER},
        description="Paper trading, journalled and resumable: bars of a venue as they close, or a "
        "replay of stored ones.",
        executor_def=dg.in_process_executor,
    )
    def paper_trading() -> None:
        paper_session()

    return paper_trading


def _venue(sources: Sources, market: Market, config: PaperConfig) -> LiveSource | None:
    """Whose bars are traded as they close; None: stored ones are replayed.

    Raises:
        TradingError: there is a venue, and the configuration says which days.
    """
    source = sources.open(market)
    if config.replay or not source.live:
        return None
    if config.span != REPLAY:
        raise TradingError(
            f"{market.name} trades the bars of a venue as they close: --start, --end and "
            "--speed are those of a --replay"
        )
    return cast(LiveSource, source)


def _session(
    plan: Plan,
    clock: Callable[[], datetime],
    venue: LiveSource | None,
    brokers: Mapping[str, BrokerFactory],
    config: PaperConfig,
) -> Callable[..., Iterator[dict[str, Any]]]:
    """`trade` at the venue, or `replay`, on the terms of the configuration."""
    from trading_pipeline.steps.live import trade
    from trading_pipeline.steps.paper import replay

    terms: dict[str, Any] = {"session": config.session, "capital": config.capital}
    if venue is None:
        return partial(replay, **terms, **config.span)
    market = plan.market
    broker = brokers[market.name].open(market, clock) if brokers else None
    return partial(trade, source=venue, broker=broker, **terms)


def attendance(
    context: dg.OpExecutionContext,
    ledger: Ledger,
    clock: Callable[[], datetime],
    market: Market,
    config: PaperConfig,
) -> Attendance:
    """What notes who started a session, and how it ended: see `watchdog`."""
    run, who, reason = context.run, operator(), ""
    if process_of(run) is None:
        who, reason = run.tags.get(SENSOR_NAME_TAG, "the web UI"), run.tags.get(REASON_TAG, "")
    return Attendance(
        ledger,
        market.name,
        config.session,
        run.run_id,
        config.model_dump(),
        who,
        reason,
        clock=clock,
        goes_on=running(context.instance, run.run_id),
        instead_of=run.tags.get(INSTEAD_TAG, ""),
    )


def running(instance: dg.DagsterInstance, run_id: str) -> Callable[[], bool]:
    """Whether a run goes on: force-cancelled, or failed by the daemon because its server died, it
    leaves its process alive, which has to stop by itself."""

    def goes_on() -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and not run.is_finished

    return goes_on


def run_session(run: "Runner", plan: Plan, config: dict[str, Any]) -> str:
    """Run the job from this process; what became of the session, for a person."""
    result = run.run(
        paper_job_name(plan.market), ops={paper_op_name(plan.market): {"config": config}}
    )
    account = result.output_for_node(paper_op_name(plan.market))
    return "\n".join(f"{name.replace('_', ' '):>14}  {value}" for name, value in account.items())
