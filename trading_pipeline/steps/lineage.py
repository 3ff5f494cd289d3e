"""What a report was made from: whether it is still the one, and what it takes to make it again."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from trading_pipeline.core.market.bars import content_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import StoreError
from trading_pipeline.steps.freshness import leaks_of, predicted, rivals_with, stale_rivals
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

if TYPE_CHECKING:  # it loads torch, which the code location must not
    from trading_pipeline.core.learning.dataset import Dataset

INPUTS = "inputs_hash"  # in report.json: of everything that the report was made from
SEED = 0  # of random portfolios and of the bootstrap
# Of a checkpoint, what says how it was made; older ones may lack some.
CHECKPOINT_ORIGINS = (
    *("train_start", "train_end", "last_target", "data_hash"),
    *("code_version", "torch", "processor"),
)
_NOT_OF_A_RESULT = (
    "market",
    "nightly",
    "divergence",
)  # fields of a plan that change no figure, or are apart


def report_is_current(home: Home, plan: Plan, capital: float) -> bool:
    """Whether the stored report is whole, the one that would be made now, and knows all trials.

    Raises as `predicted`, and BrokenChain where the trials cannot be counted any more.
    """
    from trading_pipeline.adapters.reports.tear_sheet import is_whole
    from trading_pipeline.steps.trials import counted

    folder = home.report(plan.market)
    if not is_whole(folder):
        return False
    try:
        stored = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        inputs, trials = stored["lineage"][INPUTS], stored["trials"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # damaged: made anew
        return False
    known = counted(home, plan.market).trials
    if trials != (known.count if known else None):  # a sweep has tried more since
        return False
    data, folds = predicted(home, plan, leaking=True)
    rivals = rivals_with(home, plan, data.panel, folds)
    return bool(inputs == report_hashes(home, plan, data, folds, rivals, capital)[INPUTS])


def report_hashes(
    home: Home, plan: Plan, data: "Dataset", folds: list[str], rivals: list[str], capital: float
) -> dict[str, str]:
    """What the numbers of a report trace to; `rivals`: those of `rivals_with`."""
    from trading_pipeline.adapters.code_version import code_version
    from trading_pipeline.core.features.catalog import catalog_hash
    from trading_pipeline.core.learning.recipe import fingerprint

    made_from = {fold: home.predictions(plan.market).fingerprint(fold) for fold in folds}
    hashes = {
        "data_hash": data.panel.data_hash(len(data.panel.timestamps)),
        "code_version": code_version(),
        "config_hash": plan.recipe.config_hash(catalog_hash()),
        "catalog_hash": catalog_hash(),
        "predictions_hash": fingerprint(made_from),
    }
    aside = home.bars(plan.market).set_aside()  # the report names them, and what leaks
    named = [content_hash(aside)] if len(aside) else []
    leaks = leaks_of(home, plan, folds)
    told = {
        model: [home.beside(model).predictions(plan.market).fingerprint(key) for key in folds]
        for model in rivals
    }
    stale = stale_rivals(home, plan, rivals)  # the verdict names them
    beside = [fingerprint(told, *stale)] if rivals or stale else []
    return {**hashes, INPUTS: fingerprint(hashes, capital, *named, *leaks, *beside)}


def lineage_of(
    home: Home,
    plan: Plan,
    data: "Dataset",
    folds: list[str],
    rivals: list[str],
    capital: float,
    now: datetime,
) -> dict[str, Any]:
    """`report_hashes`, and as plain values all that a report can be traced to and made again from.

    Args:
        rivals: those of `rivals_with`.
        now: the wall clock's; bars that are stored or corrected later are none of the report's.
    """
    from trading_pipeline.adapters.machine import packages, processor

    stamps = data.panel.timestamps
    stored = {plan.model: home} | {model: home.beside(model) for model in rivals}
    return {
        **report_hashes(home, plan, data, folds, rivals, capital),
        "made_at": now.astimezone(UTC).isoformat(),
        "config": config_of(plan, capital),
        "seeds": {"training": list(plan.recipe.training.seeds), "other": SEED},
        "data": spanned(stamps),
        "models": {
            model: {key: fold_lineage(each, plan.market, key) for key in folds}
            for model, each in stored.items()
        },
        "processor": processor(plan.device),
        "packages": packages(),
    }


def spanned(stamps: pd.DatetimeIndex) -> dict[str, Any]:
    """How many bars a panel has, and from when to when."""
    first, last = stamps[0].isoformat(), stamps[-1].isoformat()
    return {"rows": len(stamps), "first": first, "last": last}


def config_of(plan: Plan, capital: float) -> dict[str, Any]:
    """A plan as plain values; the inverse of `plan_from`."""
    end = plan.market.end
    return {
        "recipe": plan.recipe.to_dict(),
        "end": end.isoformat() if end else None,
        "plan": {
            each.name: getattr(plan, each.name)
            for each in fields(Plan)
            if each.name not in _NOT_OF_A_RESULT
        },
        "capital": capital,
    }


def plan_from(config: Mapping[str, Any]) -> Plan:
    """The plan that a report was made by.

    Raises:
        StoreError: it was written by another version, and cannot be read.
    """
    from trading_pipeline.core.learning.recipe import Recipe

    try:
        market: Market = Recipe.from_dict(config["recipe"]).market
        end = config["end"]
        market = replace(market, end=date.fromisoformat(end) if end else None)
        return Plan(market, **config["plan"])
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"the configuration in the report cannot be read by this version ({error}); make the "
            "report anew with `trading-pipeline backtest`"
        ) from error


def fold_lineage(home: Home, market: Market, key: str) -> dict[str, Any]:
    """What the checkpoint and the predictions of a fold are: SHA-256 of their files, spans."""
    models, stored = home.checkpoints(market), home.checkpoints(market).read(key)
    return {
        "checkpoint": models.verify(key),
        "predictions": home.predictions(market).digest(key),
        **{name: stored.get(name) for name in CHECKPOINT_ORIGINS},
    }
