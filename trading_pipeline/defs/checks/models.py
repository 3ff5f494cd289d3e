"""Does a checkpoint load, and is it of the recipe that the settings ask for?"""

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.defs.inputs import Plan, recipe_of
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import CheckpointError


def checkpoints_load_and_agree(plan: Plan) -> dg.AssetChecksDefinition:
    """Every checkpoint is whole, loads as plain types, and fits recipe and catalog."""

    @dg.asset_check(
        asset=[plan.market.name, "model_checkpoint"],
        name="checkpoints_load_and_agree",
        blocking=True,
    )
    def load_and_agree(context: dg.AssetCheckExecutionContext, home: Home) -> dg.AssetCheckResult:
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
