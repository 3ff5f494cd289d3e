"""Does a checkpoint load, is it of the recipe that the settings ask for, and does it look ahead?"""

from typing import cast

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.checks.leakage import verdict_of
from trading_pipeline.defs.inputs import Plan, checkpoint_of, fold_of, read_dataset, recipe_of
from trading_pipeline.defs.resources import DUCKDB_POOL, Home
from trading_pipeline.errors import CheckpointError

NO_LOOK_AHEAD = "predictions_do_not_look_ahead"
CHECKED = "checked"  # by fold, what its predictions were made from
_REMEMBERED = 1000  # evaluations


def checkpoints_load_and_agree(plan: Plan) -> dg.AssetChecksDefinition:
    """Every checkpoint is whole, loads as plain types, and fits recipe and catalog."""

    @dg.asset_check(
        asset=[plan.market.name, "model_checkpoint"],
        name="checkpoints_load_and_agree",
        blocking=True,
    )
    def load_and_agree(
        context: dg.AssetCheckExecutionContext, home: dg.ResourceParam[Home]
    ) -> dg.AssetCheckResult:
        """Checks the fold of the run, or all that are stored when run without one."""
        from trading_pipeline.core.learning.checkpoint import check_checkpoint
        from trading_pipeline.core.learning.inference import Predictor

        store, recipe, faults = home.checkpoints(plan.market), recipe_of(plan), []
        fold = context.run.tags.get(PARTITION_NAME_TAG)
        names = [fold] if fold else store.names()
        for name in names:
            try:
                checkpoint = store.read(name)
                check_checkpoint(checkpoint, recipe)
                Predictor(checkpoint)
            except CheckpointError as error:
                faults.append(f"{name}: {error}")
        return dg.AssetCheckResult(
            passed=not faults,
            description="; ".join(faults) or None,
            metadata={"checkpoints": len(names)},
        )

    return load_and_agree


def predictions_do_not_look_ahead(plan: Plan) -> dg.AssetChecksDefinition:
    """Nothing between raw bars and orders changes when the future does, and training knew none."""
    market = plan.market

    @dg.asset_check(
        asset=[market.name, "predictions"],
        name=NO_LOOK_AHEAD,
        blocking=True,
        pool=DUCKDB_POOL,
    )
    def no_look_ahead(
        context: dg.AssetCheckExecutionContext, home: dg.ResourceParam[Home]
    ) -> dg.AssetCheckResult:
        """Of the fold of the run, or of all that are stored: targets, gaps, scaler, and all that
        training is given; then what its networks are asked and say, and the orders of its first
        12 dates, on at most 24 symbols; and on its first 5 dates, of all symbols, whether the
        stored predictions are the same.
        """
        from trading_pipeline.core.features.leakage import merged
        from trading_pipeline.core.learning.leakage import examine_model

        store, recipe, data = home.predictions(market), recipe_of(plan), read_dataset(home, plan)
        key = context.run.tags.get(PARTITION_NAME_TAG)
        keys, examined = [key] if key else store.folds(), []
        for fold in (fold_of(data, recipe, each) for each in keys):
            checkpoint = checkpoint_of(home, plan, data, fold)
            examined += examine_model(data, fold, recipe, checkpoint, store.read([fold.key]))
        of = dg.MetadataValue.json({each: store.fingerprint(each) for each in keys})
        return verdict_of(merged(examined), {CHECKED: of})

    return no_look_ahead


def cleared_of_leaks(instance: dg.DagsterInstance, market: Market) -> set[str]:
    """Fingerprints of the predictions whose newest check was a pass.

    Predictions are recorded as materialized before they are checked, so that they are stored says
    nothing.
    """
    key = dg.AssetCheckKey(dg.AssetKey([market.name, "predictions"]), NO_LOOK_AHEAD)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_REMEMBERED)
    verdicts: dict[str, bool] = {}
    for record in reversed(records):  # the newest come first
        # A check that was only planned, in a run that ended before it, has said nothing.
        said = record.evaluation
        if isinstance(said, dg.AssetCheckEvaluation) and CHECKED in said.metadata:
            checked = cast(dict[str, str], said.metadata[CHECKED].value)
            verdicts |= dict.fromkeys(checked.values(), said.passed)
    return {made_from for made_from, passed in verdicts.items() if passed}
