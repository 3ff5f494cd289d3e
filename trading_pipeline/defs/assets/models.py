"""Models: a checkpoint and its out-of-sample predictions for every fold, and one for production."""

import dagster as dg

from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets.training import trained
from trading_pipeline.defs.freshness import stored_model
from trading_pipeline.defs.inputs import (
    Plan,
    checkpoint_of,
    fold_of,
    metadata_of,
    predictions_fingerprint,
    read_dataset,
    recipe_of,
    short,
)
from trading_pipeline.defs.partitions import fold_days, folds, training_days, window_before
from trading_pipeline.defs.resources import DUCKDB_POOL, Home

PRODUCTION = "best_model"
_KEPT = "no: a training on these bars would make the model that is stored"


def model_checkpoint(plan: Plan) -> dg.AssetsDefinition:
    """The networks of a fold, trained on the bars before it."""
    market = plan.market

    @dg.asset(
        key=[market.name, "model_checkpoint"],
        deps=[
            dg.AssetDep([market.name, "features"], partition_mapping=training_days(market)),
            dg.AssetDep([market.name, "revised_bars"], partition_mapping=window_before()),
        ],
        partitions_def=folds(market),
        pool=DUCKDB_POOL,
        group_name=market.name,
        kinds={"pytorch"},
        description="xLSTM-Transformer trained strictly before the fold, with its scaler.",
    )
    def checkpoint_of_fold(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult[None]:
        """Targets end before the fold's first decision; later bars are cut off first."""
        from trading_pipeline.adapters.reports.charts.pictures import loss_curve
        from trading_pipeline.core.learning.checkpoint import seeds_text

        data = read_dataset(home, plan)
        fold = fold_of(data, recipe_of(plan), context.partition_key)
        watch = progress.start(f"{market.name} fold {fold.key}: training", context.log.info)
        checkpoint, digest = trained(context, home, plan, data, fold, fold.key, watch)
        return dg.MaterializeResult(
            metadata={
                **metadata_of(checkpoint),
                "size": seeds_text(checkpoint),
                "loss_curve": dg.MetadataValue.md(loss_curve(checkpoint["curves"])),
                "sha256": short(digest),
                "file": dg.MetadataValue.path(str(home.checkpoints(market).path(fold.key))),
            }
        )

    return checkpoint_of_fold


def predictions(plan: Plan) -> dg.AssetsDefinition:
    """What the checkpoint of a fold says about the fold's own bars."""
    market = plan.market

    @dg.asset(
        key=[market.name, "predictions"],
        deps=[
            [market.name, "model_checkpoint"],
            dg.AssetDep([market.name, "features"], partition_mapping=fold_days()),
            dg.AssetDep([market.name, "revised_bars"], partition_mapping=fold_days()),
        ],
        partitions_def=folds(market),
        pool=DUCKDB_POOL,
        group_name=market.name,
        kinds={"parquet"},
        description="Out of sample by construction: each fold by the model trained before it.",
    )
    def predictions_of_fold(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult[None]:
        """Every bar of the fold is predicted, the newest included."""
        from trading_pipeline.core.learning.inference import Predictor, predict_rows

        recipe, data = recipe_of(plan), read_dataset(home, plan)
        fold, store = fold_of(data, recipe, context.partition_key), home.checkpoints(market)
        checkpoint = checkpoint_of(home, plan, data.panel, fold)
        watch = progress.start(f"{market.name} fold {fold.key}: predicting", context.log.info)
        rows = predict_rows(
            Predictor(checkpoint), data, fold.test, fold.key, lambda k, n: watch(k, n, "dates")
        )
        made_from = predictions_fingerprint(data.panel, fold, store.verify(fold.key))
        home.predictions(market).write(fold.key, rows, made_from)
        return dg.MaterializeResult(
            metadata={
                "rows": len(rows),
                "first": str(rows["timestamp"].min()),
                "last": str(rows["timestamp"].max()),
                "mean_score": float(rows["score"].mean()),
                "fingerprint": short(made_from),
            }
        )

    return predictions_of_fold


def production_model(plan: Plan) -> dg.AssetsDefinition:
    """The same recipe on all data so far, for trading tomorrow's bars."""
    market = plan.market

    @dg.asset(
        key=[market.name, "production_model"],
        deps=[dg.AssetDep([market.name, "features"], partition_mapping=dg.AllPartitionMapping())],
        pool=DUCKDB_POOL,
        group_name=market.name,
        kinds={"pytorch"},
        description="Trained on every bar whose target is known; it is never backtested.",
    )
    def model_of_today(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult[None]:
        """Refused for every bar that it has seen, so it cannot be backtested by accident.

        A night that brought no bar, new or changed, keeps the model that there is.
        """
        from trading_pipeline.core.learning.dataset import burn_in
        from trading_pipeline.core.learning.walkforward import production_fold

        data, recipe = read_dataset(home, plan), recipe_of(plan)
        first = burn_in(recipe.model.n_steps)
        fold = production_fold(data.panel.timestamps, recipe.market, first, recipe.training.windows)
        checkpoint, done = stored_model(home, plan, data.panel, fold, PRODUCTION), _KEPT
        if checkpoint is None:
            watch = progress.start(f"{market.name} production model: training", context.log.info)
            checkpoint, _ = trained(context, home, plan, data, fold, PRODUCTION, watch)
            done = "yes"
        digest = home.checkpoints(market).verify(PRODUCTION)
        return dg.MaterializeResult(
            metadata={**metadata_of(checkpoint), "trained": done, "sha256": short(digest)}
        )

    return model_of_today
