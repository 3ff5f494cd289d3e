"""Paper beside the backtest: the night's report on what a session's profit differs by, and why."""

import dagster as dg

from trading_pipeline.adapters.alerts import Alerts
from trading_pipeline.errors import EvaluationError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan


class DivergenceConfig(dg.Config):
    """The session that is asked about."""

    session: str = ""  # the market's newest one, if empty


def paper_divergence(plan: Plan) -> dg.AssetsDefinition:
    """Paper P&L minus the backtest's of the same days, in five parts; tells where it is large."""
    market = plan.market

    @dg.asset(
        key=[market.name, "paper_divergence"],
        deps=[
            [market.name, "paper_account"],
            dg.AssetDep([market.name, "predictions"], partition_mapping=dg.AllPartitionMapping()),
        ],
        group_name=market.name,
        kinds={"json"},
        description="What a paper session earned beside the backtest of its days, split into data, "
        "signal, timing, fill and cost.",
    )
    def divergence_of_market(
        home: dg.ResourceParam[Home],
        alerts: dg.ResourceParam[Alerts],
        config: DivergenceConfig,
    ) -> dg.MaterializeResult[None]:
        """Days whose bars or predictions are not stored yet are of the next night."""
        from trading_pipeline.adapters.reports.charts.pictures import as_markdown
        from trading_pipeline.adapters.reports.divergence import markdown_divergence
        from trading_pipeline.steps.divergence import report

        with home.ledger() as ledger:
            try:
                done = report(home, plan, ledger, config.session)
            except EvaluationError as early:
                return dg.MaterializeResult(metadata={"answer": str(early)})
        alerts.report([done.news], home.clock.now())
        parts = {name: round(amount, 2) for name, amount in done.summary["parts"].items()}
        return dg.MaterializeResult(
            metadata={
                "answer": done.news.text,
                "session": done.summary["session"],
                "difference": round(done.summary["difference"], 2),
                **parts,
                "table": dg.MetadataValue.md(markdown_divergence(done.summary)),
                "picture": dg.MetadataValue.md(
                    as_markdown(done.picture.read_bytes(), "divergence")
                ),
                "file": dg.MetadataValue.path(str(done.file.absolute())),
            }
        )

    return divergence_of_market
