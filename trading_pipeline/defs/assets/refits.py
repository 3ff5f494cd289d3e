"""How often a model should be fitted: on demand, for it takes as long as seven years of nights."""

import dagster as dg

from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets.models import host_of
from trading_pipeline.defs.assets.report import BacktestConfig
from trading_pipeline.defs.resources import TRAINING_POOL
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan


def refit_comparison(plan: Plan) -> dg.AssetsDefinition:
    """Never, yearly, quarterly and monthly refits on the same bars, and what each costs."""
    market = plan.market

    @dg.asset(
        key=[market.name, "refit_comparison"],
        deps=[dg.AssetDep([market.name, "features"], partition_mapping=dg.AllPartitionMapping())],
        pool=TRAINING_POOL,
        group_name=market.name,
        kinds={"pytorch"},
        description="Does refitting pay? Up to 84 `tiny` fits, kept and gone on with; on demand.",
    )
    def refits_of_market(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
        config: BacktestConfig,
    ) -> dg.MaterializeResult[None]:
        """Paired by date, with intervals; it changes no model, and counts as no trial."""
        from trading_pipeline.adapters.reports.charts.pictures import as_markdown
        from trading_pipeline.adapters.reports.refits import markdown_refits
        from trading_pipeline.steps.refits import refit_comparison

        done = refit_comparison(home, plan, host_of(context, progress), config.capital)
        picture = as_markdown(done.picture.read_bytes(), "refits")
        return dg.MaterializeResult(
            metadata={
                "answer": done.summary["answer"],
                "table": dg.MetadataValue.md(markdown_refits(done.summary)),
                "picture": dg.MetadataValue.md(picture),
                "file": dg.MetadataValue.path(str(done.file.absolute())),
            }
        )

    return refits_of_market
