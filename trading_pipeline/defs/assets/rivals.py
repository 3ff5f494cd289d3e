"""The network's rivals: what simpler models say of every fold, for the report to compare."""

from collections.abc import Iterator

import dagster as dg

from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.core.model.rivals import RIVALS
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets import metadata
from trading_pipeline.defs.assets.models import host_of, lineage_of
from trading_pipeline.defs.partitions import folds, window_and_fold, window_before_and_fold
from trading_pipeline.defs.resources import TRAINING_POOL
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan


def rival_asset(model: str) -> str:
    """The asset of a rival's predictions, without its market."""
    return f"{model}_predictions"


def rival_predictions(plan: Plan) -> dg.AssetsDefinition:
    """What each rival says about a fold's own bars, fitted on the bars before it."""
    market = plan.market
    keys = {model: dg.AssetKey([market.name, rival_asset(model)]) for model in LEARNED_BASELINES}

    @dg.multi_asset(
        name=f"{market.name}__rival_predictions",
        specs=[
            dg.AssetSpec(
                key,
                deps=[
                    dg.AssetDep(
                        [market.name, "features"], partition_mapping=window_and_fold(market)
                    ),
                    dg.AssetDep(
                        [market.name, "revised_bars"], partition_mapping=window_before_and_fold()
                    ),
                ],
                group_name=market.name,
                kinds={"parquet", "table"},
                description=f"{RIVALS[model].what} On the network's samples, targets and folds.",
            )
            for model, key in keys.items()
        ],
        partitions_def=folds(market),
        pool=TRAINING_POOL,
        can_subset=True,
    )
    def predictions_of_rivals(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """What is stored is kept, where the same bars and settings would give it again."""
        from trading_pipeline.steps.predict import predict_rivals

        wanted = [model for model, key in keys.items() if key in context.selected_asset_keys]
        host = host_of(context, progress)
        fold = context.partition_key
        done = predict_rivals(home, plan, fold, wanted, host)
        for model, trained, rows in done:
            yield dg.MaterializeResult(
                asset_key=keys[model],
                metadata={
                    **metadata.of_checkpoint(trained.checkpoint),
                    "trained": "yes" if trained.is_new else "no: it is the one that was stored",
                    **metadata.of_predictions(
                        home.beside(model).predictions(market).path(fold), rows
                    ),
                    **lineage_of(plan, fold, rows),
                },
            )

    return predictions_of_rivals
