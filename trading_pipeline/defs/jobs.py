"""Jobs: what is run together. The command line, the schedule and the sensor run the same ones.

Dagster refuses assets of different partitions in one job, so what is partitioned by day and what is
partitioned by fold are jobs of their own, and the new-bars sensor carries a night from the first to
the second.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import PRIORITY_TAG

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.assets.rivals import rival_asset
from trading_pipeline.defs.partitions import days, folds
from trading_pipeline.steps.plan import Plan

BY_DAY = ("raw_bars", "corporate_actions", "features")
BY_FOLD = ("model_checkpoint", "predictions")
RIVALS = "rivals"  # stands for the predictions of all rivals of a plan


# Which run goes first where several wait: an account loses bars, a night is wanted tonight. What a
# person asks for, a backfill above all, has no priority of its own.
PAPER, NIGHT, AGAIN, FOLLOWS, REPORTS = (
    {PRIORITY_TAG: str(priority)} for priority in (10, 6, 5, 3, 1)
)
_PRIORITIES = {"nightly": NIGHT, "paper_divergence": REPORTS}

# name: (what it makes, by what it is partitioned, what it is for)
_JOBS = {
    "download": (BY_DAY, days, "Bars, corporate actions and features of some days, checked."),
    "nightly": (
        (*BY_DAY, "production_model"),
        days,
        "A night: bars, checks, features, and a production model retrained on all of it.",
    ),
    "train": (
        (*BY_FOLD, RIVALS),
        folds,
        "One fold: its checkpoint and what that predicts out of sample.",
    ),
    "retrain": (
        (*BY_FOLD, RIVALS, "backtest_report"),
        folds,
        "A fold that has become possible: checkpoint, predictions, report.",
    ),
    "predict": (
        ("predictions", RIVALS),
        folds,
        "A fold whose bars were changed, with the model it has.",
    ),
    "refresh": (
        ("predictions", RIVALS, "backtest_report"),
        folds,
        "The running fold has new bars: predictions and report.",
    ),
    "rivals": ((RIVALS,), folds, "One fold: what the rivals of its model predict."),
    "backtest": (("backtest_report",), None, "The report, from the predictions that there are."),
    "production": (("production_model",), None, "A model of all data so far, for live trading."),
    "paper_divergence": (
        ("paper_divergence",),
        None,
        "What a paper session earned beside the backtest of its days, and why.",
    ),
    "refits": (("refit_comparison",), None, "Does refitting pay? Up to 84 fits, on demand."),
}


def job_name(market: Market, job: str) -> str:
    """`job` is one of download, nightly, train, retrain, predict, refresh, rivals, backtest,
    production, paper_divergence, refits."""
    return f"{market.name}_{job}"


def asset_jobs(plan: Plan) -> dict[str, UnresolvedAssetJobDefinition]:
    """All asset jobs of a market, by what they are for."""
    market, rivals = plan.market, tuple(map(rival_asset, plan.rivals))
    return {
        job: dg.define_asset_job(
            job_name(market, job),
            selection=dg.AssetSelection.assets(
                *([market.name, asset] for asset in assets if asset != RIVALS),
                *([market.name, asset] for asset in rivals if RIVALS in assets),
            ),
            partitions_def=partitions(market) if partitions else None,
            description=description,
            tags=_PRIORITIES.get(job),
        )
        for job, (assets, partitions, description) in _JOBS.items()
    }


def quality_job(
    market: Market, checks: tuple[tuple[str, str], ...]
) -> UnresolvedAssetJobDefinition:
    """Checks of what is stored, by asset and name; nothing is downloaded or made."""
    keys = (dg.AssetCheckKey(dg.AssetKey([market.name, asset]), name) for asset, name in checks)
    return dg.define_asset_job(
        f"{market.name}_weekly_quality",
        selection=dg.AssetSelection.checks(*keys),
        tags=REPORTS,
        description="The quality of all stored bars, whether the model in service is the one that "
        "was accepted, and whether the journals of paper sessions are whole.",
    )
