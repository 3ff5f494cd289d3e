"""Models: a checkpoint and its out-of-sample predictions for every fold, and one for production."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd
from dagster._core.errors import DagsterPipesExecutionError

from trading_pipeline.adapters.store.production import REFUSED
from trading_pipeline.core.progress import Advance, Progress
from trading_pipeline.defs import columns
from trading_pipeline.defs.assets import metadata
from trading_pipeline.defs.partitions import fold_days, folds, training_days, window_before
from trading_pipeline.defs.resources import DUCKDB_POOL, TRAINING_POOL
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

if TYPE_CHECKING:  # it loads torch, which the code location must not
    from trading_pipeline.steps.train import Host

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
        pool=TRAINING_POOL,
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
        from trading_pipeline.core.learning.checkpoint import size_text
        from trading_pipeline.steps.train import train

        fold = context.partition_key
        done = train(home, plan, fold, host_of(context, progress))
        return dg.MaterializeResult(
            metadata={
                **metadata.of_checkpoint(done.checkpoint),
                "size": size_text(done.checkpoint),
                "start": dg.MetadataValue.md(metadata.start_text(done.checkpoint["start"])),
                "loss_curve": dg.MetadataValue.md(loss_curve(done.checkpoint["curves"])),
                "sha256": metadata.short(done.digest),
                metadata.URI: home.checkpoints(market).path(fold).absolute().as_uri(),
                "file": dg.MetadataValue.path(str(home.checkpoints(market).path(fold))),
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
        kinds={"parquet", "table"},
        description="Out of sample by construction: each fold by the model trained before it.",
    )
    def predictions_of_fold(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult[None]:
        """Every bar of the fold is predicted, the newest included."""
        from trading_pipeline.steps.predict import predict

        watching = _watching(context, progress)
        rows, made_from = predict(home, plan, context.partition_key, watching)
        store = home.predictions(market)
        return dg.MaterializeResult(
            metadata={
                **metadata.of_predictions(store.path(context.partition_key), rows),
                "fingerprint": metadata.short(made_from),
                **lineage_of(plan, context.partition_key, rows),
            }
        )

    return predictions_of_fold


def production_model(plan: Plan) -> dg.AssetsDefinition:
    """The same recipe on all data so far, for trading tomorrow's bars."""
    market = plan.market

    @dg.asset(
        key=[market.name, "production_model"],
        deps=[dg.AssetDep([market.name, "features"], partition_mapping=dg.AllPartitionMapping())],
        pool=TRAINING_POOL,
        group_name=market.name,
        kinds={"pytorch"},
        description="Trained on every bar whose target is known, and put in service unless it "
        "contradicts its predecessor or is worse; it is never backtested.",
    )
    def model_of_today(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult[None]:
        """Refused for every bar that it has seen, so it cannot be backtested by accident.

        A night that brought no bar, new or changed, keeps the model that there is. So does one
        whose candidate is refused: the check beside says why.
        """
        from trading_pipeline.steps.production import train_production

        night = train_production(home, plan, host_of(context, progress))
        done, decision = night.made, night.decision
        if decision and decision.kind == REFUSED:
            context.log.error("not accepted: " + "; ".join(decision.reasons))
        return dg.MaterializeResult(
            metadata={
                **metadata.of_checkpoint(done.checkpoint),
                "start": dg.MetadataValue.md(metadata.start_text(done.checkpoint["start"])),
                "trained": "yes" if done.is_new else _KEPT,
                **metadata.of_decision(decision),
                "sha256": metadata.short(done.digest),
            }
        )

    return model_of_today


def host_of(context: dg.AssetExecutionContext, progress: Progress) -> "Host":
    """Where a training runs: processes that share one report through Dagster Pipes."""
    from trading_pipeline.steps.train import Host

    def launch(command: list[str]) -> None:
        try:
            dg.PipesSubprocessClient().run(command=command, context=context)
        except DagsterPipesExecutionError as error:
            # An exit code says little: the workers leave their reason beside the job.
            context.log.error(str(error))

    return Host(_watching(context, progress), context.log.warning, launch)


def lineage_of(plan: Plan, fold: str, rows: pd.DataFrame) -> dict[str, dg.TableColumnLineage]:
    """Of the newest fold's columns, which is what the web UI shows; it is long."""
    from trading_pipeline.core.learning.inference import MODEL

    if fold != folds(plan.market).get_last_partition_key():
        return {}
    network = bool((rows["model"] == MODEL).all())
    return {columns.LINEAGE: columns.predictions_lineage(plan.market, network, plan.position_state)}


def _watching(context: dg.AssetExecutionContext, progress: Progress) -> Callable[[str], Advance]:
    return lambda label: progress.start(label, context.log.info)
