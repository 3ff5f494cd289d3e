"""Does a checkpoint load, is it of the recipe that the settings ask for, and does it look ahead?
Does tonight's model trade?"""

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.adapters.store.production import REFUSED
from trading_pipeline.defs.assets import metadata
from trading_pipeline.defs.checks.leakage import verdict_of
from trading_pipeline.defs.resources import DUCKDB_POOL
from trading_pipeline.steps.freshness import NO_LOOK_AHEAD
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

ACCEPTED = "candidate_is_accepted"


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
        from trading_pipeline.steps.train import checkpoint_faults

        fold = context.run.tags.get(PARTITION_NAME_TAG)
        names = [fold] if fold else home.checkpoints(plan.market).names()
        faults = checkpoint_faults(home, plan, names)
        return dg.AssetCheckResult(
            passed=not faults,
            description="; ".join(faults) or None,
            metadata={"checkpoints": len(names)},
        )

    return load_and_agree


def candidate_is_accepted(plan: Plan) -> dg.AssetChecksDefinition:
    """Whether the model of tonight trades, or that of an earlier night still does."""

    @dg.asset_check(
        asset=[plan.market.name, "production_model"],
        name=ACCEPTED,
    )
    def accepted(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Fails where the newest candidate was refused, and says why; the last model that was
        accepted goes on. `trading-pipeline production` shows all, rolls back, and overrules."""
        from trading_pipeline.steps.production import newest_decision

        decision = newest_decision(home, plan.market)
        refused = decision is not None and decision.kind == REFUSED
        return dg.AssetCheckResult(
            passed=not refused,
            description="; ".join(decision.reasons) or None if decision else None,
            metadata=metadata.of_decision(decision),
        )

    return accepted


def predictions_do_not_look_ahead(plan: Plan) -> dg.AssetChecksDefinition:
    """Nothing between raw bars and orders changes when the future does, and training knew none."""

    @dg.asset_check(
        asset=[plan.market.name, "predictions"],
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

        What it found in which rows is kept beside them: what is not cleared is not relied on.
        """
        from trading_pipeline.steps.leakage import examine_predictions

        return verdict_of(examine_predictions(home, plan, context.run.tags.get(PARTITION_NAME_TAG)))

    return no_look_ahead
