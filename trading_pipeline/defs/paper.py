"""Paper trading: a long-running job, one session per market, that reports to `paper_account`."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pandas as pd

from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.inputs import Plan, check_fold, folds_of_panel, read_panel, recipe_of
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import TradingError

if TYPE_CHECKING:
    from trading_pipeline.adapters.paper import ReplaySession
    from trading_pipeline.defs.runs import Runner


class PaperConfig(dg.Config):
    """One session; the same name with the same terms resumes it."""

    session: str = "paper"
    capital: float = 100_000.0
    start: str = ""  # first day to decide on; empty: the first that a fold predicts
    end: str = ""  # last day to replay; empty: the newest stored bar
    bars_per_second: float = 0.0  # 0: as fast as possible


def paper_account(market: Market) -> dg.AssetSpec:
    """The account that the paper job trades; its state is the ledger's."""
    return dg.AssetSpec(
        [market.name, "paper_account"],
        deps=[[market.name, "model_checkpoint"], [market.name, "raw_bars"]],
        group_name=market.name,
        kinds={"sqlite"},
        description="A paper account, journalled event by event.",
    )


def paper_job_name(market: Market) -> str:
    return f"{market.name}_paper_trading"


def paper_job(plan: Plan) -> dg.JobDefinition:
    """Replays stored bars through the kernels of the backtest until they end or it is stopped."""
    market = plan.market

    @dg.op(name=f"{market.name}_paper_session")
    def paper_session(
        context: dg.OpExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
        config: PaperConfig,
    ) -> dict[str, Any]:
        """Every bar is journalled before the next; a kill at any moment loses nothing."""
        watch = progress.start(f"{market.name} paper {config.session}", context.log.info)
        account: dict[str, Any] = {"session": config.session, "bars": 0}
        try:
            with home.ledger() as ledger:
                for after_bar in _replay(ledger, home, plan, config, watch):
                    account = after_bar
        finally:  # also when terminated: what was journalled is reported, then the stop goes on
            context.log_event(
                dg.AssetMaterialization([market.name, "paper_account"], metadata=account)
            )
        return account

    @dg.job(
        name=paper_job_name(market),
        tags={"trading_pipeline/paper_session": market.name},
        description="Paper trading: replays stored bars bar by bar, journalled and resumable.",
        executor_def=dg.in_process_executor,
    )
    def paper_trading() -> None:
        paper_session()

    return paper_trading


def run_session(run: "Runner", plan: Plan, config: dict[str, Any]) -> str:
    """Run the job from this process; what became of the session, for a person."""
    result = run.run(
        paper_job_name(plan.market), ops={f"{plan.market.name}_paper_session": {"config": config}}
    )
    account = result.output_for_node(f"{plan.market.name}_paper_session")
    return "\n".join(f"{name.replace('_', ' '):>14}  {value}" for name, value in account.items())


def _replay(ledger: Any, home: Home, plan: Plan, config: PaperConfig, watch: Any) -> Any:
    """Run a session over its rows; after each bar, the account in a few numbers."""
    from trading_pipeline.adapters.paper import Forecaster, ReplaySession

    panel, folds = read_panel(home, plan.market), _trained_folds(home, plan)
    first, last = _rows(panel, folds, config)
    history = _past_scores(home, plan, panel, first)
    session = ReplaySession(
        ledger,
        plan.market,
        Forecaster(panel, plan.market, folds, _loader(home, plan), history),
        session=config.session,
        capital=config.capital,
        clock=lambda: datetime.now(UTC),
    )
    done = fills = vetoes = 0
    for step in session.run(first, last):
        done, fills = done + 1, fills + len(step.filled.fills)
        vetoes += len(step.decided.vetoes)
        row = int(panel.timestamps.get_loc(step.at))
        watch(row - first + 1, last - first + 1, f"{step.at:%Y-%m-%d} equity {step.equity:,.0f}")
        yield _account(session, step.at, done, fills, vetoes)
        if config.bars_per_second:
            time.sleep(1 / config.bars_per_second)
    if not done:
        yield _account(session, session.resumed_at, 0, 0, 0)


def _past_scores(home: Home, plan: Plan, panel: Panel, first: int) -> np.ndarray:
    """(T, N) scores stored of bars before row `first`: the evidence that a session starts with."""
    from trading_pipeline.core.backtest.run import score_grid

    store, scores = home.predictions(plan.market), np.full(panel.close.shape, np.nan)
    if folds := store.folds():
        scores[:first] = score_grid(panel, store.read(folds))[:first]
    return scores


def _account(
    session: "ReplaySession", at: pd.Timestamp | None, bars: int, fills: int, vetoes: int
) -> dict[str, Any]:
    return {
        "stream": session.stream,
        "last_bar": str(at),
        "bars": bars,
        "fills": fills,
        "vetoes": vetoes,
        "equity": round(session.trader.equity, 2),
        "positions": len(session.trader.holdings()),
        "events": session.seq,
    }


def _trained_folds(home: Home, plan: Plan) -> list[Fold]:
    """Folds up to the newest that has a checkpoint; a hole among them is refused."""
    known = home.checkpoints(plan.market).names()
    folds = folds_of_panel(read_panel(home, plan.market), recipe_of(plan))
    trained = [key for key in folds if key in known]
    wanted = [key for key in folds if trained and key <= trained[-1]]
    if missing := [key for key in wanted if key not in known]:
        raise TradingError(
            f"no checkpoint for fold {', '.join(missing)}; run `trading-pipeline train --market "
            f"{plan.market.name}` first"
        )
    return [folds[key] for key in wanted]


def _loader(home: Home, plan: Plan) -> Any:
    def load(key: str) -> dict[str, Any]:
        checkpoint = home.checkpoints(plan.market).read(key)
        check_fold(checkpoint, plan)
        return checkpoint

    return load


def _rows(panel: Panel, folds: list[Fold], config: PaperConfig) -> tuple[int, int]:
    """First and last row to live through."""
    if not folds:
        raise TradingError(
            "no fold has a checkpoint to trade with; run `trading-pipeline demo` or `train` first"
        )
    first, last = folds[0].test.first, folds[-1].test.last
    if config.start:
        first = max(first, int(panel.timestamps.searchsorted(_day(config.start))))
    if config.end:
        after = int(panel.timestamps.searchsorted(_day(config.end) + pd.Timedelta(days=1)))
        last = min(last, after - 1)
    if first > last:
        days = (
            f"{panel.timestamps[folds[0].test.first]:%Y-%m-%d} to {panel.timestamps[-1]:%Y-%m-%d}"
        )
        raise TradingError(f"nothing to replay there: checkpoints can trade {days}")
    return first, last


def _day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(text, tz="UTC")
    except ValueError as error:
        raise TradingError(f"{text!r} is not a day; write it like 2009-12-31") from error
