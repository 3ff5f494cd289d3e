"""Does a checkpoint load, is it of the recipe that the settings ask for, and does it look ahead?"""

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.defs.checks.leakage import verdict_of
from trading_pipeline.defs.freshness import NO_LOOK_AHEAD
from trading_pipeline.defs.inputs import (
    Plan,
    checkpoint_of,
    fold_of,
    folds_of,
    read_dataset,
    recipe_of,
)
from trading_pipeline.defs.resources import DUCKDB_POOL, Home
from trading_pipeline.errors import CheckpointError


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

        What it found in which rows is kept beside them: nothing is reported that is not cleared.
        """
        from trading_pipeline.core.leakage.experiment import merged
        from trading_pipeline.core.leakage.fold import examine_model

        store, recipe, data = home.predictions(market), recipe_of(plan), read_dataset(home, plan)
        key, examined = context.run.tags.get(PARTITION_NAME_TAG), []
        possible, stored = folds_of(data, recipe), store.folds()
        mine = (
            [fold_of(data, recipe, key)] if key else [possible[k] for k in stored if k in possible]
        )
        for fold in mine:
            store.forget_check(fold.key)  # a check that crashes clears nothing
            checkpoint, digest = checkpoint_of(home, plan, data.panel, fold), store.digest(fold.key)
            found = examine_model(data, fold, recipe, checkpoint, store.read([fold.key]))
            store.note_check(fold.key, digest, verdict_of(found).passed)
            examined += found
        return verdict_of(merged(examined))

    return no_look_ahead
