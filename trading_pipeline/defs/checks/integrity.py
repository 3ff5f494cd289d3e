"""Is what is stored what it says it is? Files and journals, looked at cheaply."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.defs.assets.rivals import rival_asset
from trading_pipeline.steps.home import Home

JOURNAL, SERVICE = "journals_are_whole", "model_in_service_is_the_accepted_one"
_SHOWN = 5


def integrity_checks(market: Market) -> list[dg.AssetChecksDefinition]:
    """All of a market."""
    return [
        predictions_keep_their_contract(market, None),
        *(predictions_keep_their_contract(market, model) for model in LEARNED_BASELINES),
        model_in_service_is_the_accepted_one(market),
        journals_are_whole(market),
        parts_are_the_whole(market),
        refits_are_whole(market),
    ]


def predictions_keep_their_contract(market: Market, rival: str | None) -> dg.AssetChecksDefinition:
    """One row a bar of the fold, probabilities that sum to 1, scores that are numbers."""

    @dg.asset_check(
        asset=[market.name, rival_asset(rival) if rival else "predictions"],
        name="predictions_keep_their_contract",
        blocking=True,
    )
    def contract_is_kept(
        context: dg.AssetCheckExecutionContext, home: dg.ResourceParam[Home]
    ) -> dg.AssetCheckResult:
        """Of the fold of the run, or of all that are stored when run without one."""
        from trading_pipeline.steps.integrity import prediction_faults

        beside = home.beside(rival) if rival else home
        return _of(prediction_faults(beside, market, context.run.tags.get(PARTITION_NAME_TAG)))

    return contract_is_kept


def model_in_service_is_the_accepted_one(market: Market) -> dg.AssetChecksDefinition:
    """The file that trades loads, and its SHA-256 is that of the newest decision."""

    @dg.asset_check(asset=[market.name, "production_model"], name=SERVICE)
    def in_service(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Compares `best_model.pt`, the copy that sessions read, and the ledger."""
        from trading_pipeline.steps.integrity import service_faults

        return _of(service_faults(home, market))

    return in_service


def journals_are_whole(market: Market) -> dg.AssetChecksDefinition:
    """No event of a paper session was changed, removed or put in between."""

    @dg.asset_check(asset=[market.name, "paper_account"], name=JOURNAL)
    def chains(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Walks the hash chain of every session of the market."""
        from trading_pipeline.steps.integrity import journal_faults

        events, faults = journal_faults(home, market)
        return _of(faults, events=events)

    return chains


def parts_are_the_whole(market: Market) -> dg.AssetChecksDefinition:
    """Data, signal, timing, fill, cost and what is unexplained add up to the difference."""

    @dg.asset_check(asset=[market.name, "paper_divergence"], name="parts_are_the_whole")
    def add_up(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Reads the written reports of all sessions, so that a damaged one fails too."""
        from trading_pipeline.steps.integrity import divergence_faults

        reports, faults = divergence_faults(home, market)
        return _of(faults, reports=reports)

    return add_up


def refits_are_whole(market: Market) -> dg.AssetChecksDefinition:
    """All four intervals are compared, and each estimate lies within its own bounds."""

    @dg.asset_check(asset=[market.name, "refit_comparison"], name="refits_are_whole")
    def whole(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Reads the written comparison."""
        from trading_pipeline.steps.integrity import refit_faults

        return _of(refit_faults(home, market))

    return whole


def _of(faults: Sequence[str], **counts: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not faults,
        description="; ".join(faults[:_SHOWN]) or None,
        metadata={"faults": len(faults), **counts},
    )
