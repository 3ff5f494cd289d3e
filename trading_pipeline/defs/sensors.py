"""Sensors: new bars have landed, so predictions and report are out of date."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.inputs import checks_passed
from trading_pipeline.defs.partitions import days, folds


def new_bars(
    market: Market, jobs: dict[str, UnresolvedAssetJobDefinition], running: bool
) -> dg.SensorDefinition:
    """When features of new days are stored: train folds that lack a model, refresh the last one."""
    features = dg.AssetKey([market.name, "features"])
    checkpoint = dg.AssetKey([market.name, "model_checkpoint"])

    @dg.sensor(
        name=f"{market.name}_new_bars",
        jobs=[jobs["retrain"], jobs["refresh"]],
        minimum_interval_seconds=60,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
        description="New bars landed: re-run predictions and backtest, and train a fold that has "
        "become possible.",
    )
    def new_bars_landed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        landed = context.instance.fetch_materializations(features, limit=1).records
        if not landed or str(landed[0].storage_id) == context.cursor:
            return dg.SkipReason("no new bars")
        if not checks_passed(context.instance, market):
            return dg.SkipReason("the newest checks of bars and features have not all passed")
        cursor = str(landed[0].storage_id)
        stored = context.instance.get_materialized_partitions(features)
        trained = context.instance.get_materialized_partitions(checkpoint)
        requests = [
            _request(jobs["refresh" if fold in trained else "retrain"], fold, cursor)
            for fold in folds_to_run(market, stored, trained)
        ]
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return new_bars_landed


def folds_to_run(market: Market, stored: set[str], trained: set[str]) -> list[str]:
    """Folds that have stored days and no model yet, the fold of the newest day and the last."""
    known = set(days(market).get_partition_keys())
    newest = max(stored & known, default="")
    possible = [fold for fold in folds(market).get_partition_keys() if fold <= newest]
    # Bars that land around the turn of a fold belong to the one before as well.
    return [fold for fold in possible if fold not in trained or fold in possible[-2:]]


def _request(job: UnresolvedAssetJobDefinition, fold: str, cursor: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=f"{fold} {cursor}", job_name=job.name, partition_key=fold)
