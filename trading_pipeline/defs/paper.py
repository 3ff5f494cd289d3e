"""Paper trading: a long-running job, one session per market, that reports to `paper_account`."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

if TYPE_CHECKING:
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
        from trading_pipeline.steps.paper import replay

        watch = progress.start(f"{market.name} paper {config.session}", context.log.info)
        account: dict[str, Any] = {"session": config.session, "bars": 0}
        try:
            with home.ledger() as ledger:
                for after_bar in replay(ledger, home, plan, watch, **config.model_dump()):
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
