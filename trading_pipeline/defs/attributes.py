"""What the web UI shows of every asset beside its own: whom to ask, what it is for, what to do when
it fails, how old it may be, and where its code is.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from trading_pipeline.core.market.sessions import longest_closure
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.defs.assets import (
    divergence,
    features,
    market,
    models,
    paper_account,
    refits,
    report,
    rivals,
)
from trading_pipeline.defs.columns import SCHEMA, SCHEMAS
from trading_pipeline.steps.plan import Plan

_PACKAGE = Path(__file__).parents[1]
_LATE = timedelta(hours=12)  # in which a failed night is tried again, and trainings follow it


def _after_bars(plan: Plan) -> TimeWindowFreshnessPolicy:
    """Of what each session brings. A deadline by cron would be missed on every holiday."""
    longest = longest_closure(plan.market.calendar)
    return dg.FreshnessPolicy.time_window(longest + _LATE, longest + _LATE / 2)


def _after_folds(plan: Plan) -> TimeWindowFreshnessPolicy:
    """Of what each fold brings: in months that have 31 days, and the longest closure after them."""
    span = timedelta(days=31 * plan.market.walk_forward.test)
    longest = longest_closure(plan.market.calendar)
    return dg.FreshnessPolicy.time_window(span + longest + 7 * _LATE, span + longest + 2 * _LATE)


class About(NamedTuple):
    """One asset, whatever its market."""

    purpose: str
    when_it_fails: str
    layer: str  # a tag to select by, such as tag:layer=model
    declared: Callable[..., Any]  # makes the asset
    step: str  # the file of what it does
    fresh: Callable[[Plan], TimeWindowFreshnessPolicy] | None = (
        None  # None: nothing renews it by itself
    )
    why_not: str = "it is made on demand"  # nobody expects a new one


_AGAIN = "Materialize it again: what is up to date is kept."
ABOUT = {
    "raw_bars": About(
        "All that follows is made from these, and prices are never adjusted in place: what was "
        "traded on can always be seen again.",
        "The log names the symbol and what its venue said. The sensor `second_tries` asks again in "
        "the same night; `trading-pipeline quality` lists what the checks found.",
        "data",
        market.raw_bars,
        "steps/download.py",
        _after_bars,
    ),
    "corporate_actions": About(
        "Features see prices that splits and dividends do not break; orders and accounts see the "
        "raw ones.",
        "Those known before stay, and features of newer bars wait. Materialize it again once the "
        "venue answers.",
        "data",
        market.corporate_actions,
        "steps/download.py",
        _after_bars,
    ),
    "revised_bars": About(
        "Tells which models and predictions were made from bars that their source has corrected.",
        "It is observed by the run that makes raw_bars, and fails with that.",
        "data",
        market.revised_bars,
        "adapters/store/bars.py",
        why_not="it is observed, and only where a bar was corrected",
    ),
    "features": About(
        "What models see of the market: no bar after its own, and no price or volume level.",
        "A failed look-ahead check is a defect: nothing downstream is made, and `trading-pipeline "
        f"check-leakage` shows the first differing value. Anything else: {_AGAIN.lower()}",
        "features",
        features.features,
        "steps/features.py",
        _after_bars,
    ),
    "model_checkpoint": About(
        "Judges the recipe on the past: each fold has a model that never saw it.",
        "The log says which job of training failed and where its report is. A training that was "
        f"killed goes on at its last saved step. {_AGAIN}",
        "model",
        models.model_checkpoint,
        "steps/train.py",
        _after_folds,
    ),
    "predictions": About(
        "The backtest and paper sessions trade these scores, and nothing else of the model.",
        "A failed look-ahead check names the stage that leaks: no report is made from this fold. "
        f"{_AGAIN}",
        "model",
        models.predictions,
        "steps/predict.py",
        _after_bars,
    ),
    "production_model": About(
        "Trades tomorrow's bars. The model in service stays until a better one is accepted.",
        "The check `candidate_is_accepted` says why a candidate was refused, and "
        "`trading-pipeline production` shows all decisions, rolls back and overrules.",
        "model",
        models.production_model,
        "steps/production.py",
        _after_bars,
    ),
    "backtest_report": About(
        "Answers whether the strategy is proven, after costs and beside luck and simpler rules.",
        "It is refused while a fold lacks predictions that are up to date and cleared; the message "
        "names the fold and the command that mends it.",
        "report",
        report.backtest_report,
        "steps/evaluate.py",
        _after_bars,
    ),
    "refit_comparison": About(
        "Answers whether to train more often, before anybody pays for it.",
        f"{_AGAIN} Fits that were done are not done again.",
        "report",
        refits.refit_comparison,
        "steps/refits.py",
    ),
    "paper_account": About(
        "What trading would have earned, decided bar by bar by the code of the backtest.",
        "The sensor `watchdog` starts a session again that died; `trading-pipeline status` says "
        "how it stands and `trading-pipeline ledger verify` whether its journal is whole.",
        "trading",
        paper_account.paper_account,
        "steps/session.py",
        why_not="whether a session trades is the operator's wish, and the alerts `session died` "
        "and `stale data` tell at once of one that should and does not",
    ),
    "paper_divergence": About(
        "Tells whether paper and backtest earn the same on the same days, and which part differs.",
        "`docs/divergence.md` explains the five parts. Days whose bars or predictions are not "
        "stored yet are of the next night.",
        "trading",
        divergence.paper_divergence,
        "steps/divergence.py",
        why_not="it is made where a paper session has lived through new bars",
    ),
} | {
    rivals.rival_asset(model): About(
        "The network has to beat it on the same bars, or its complexity is not worth it.",
        _AGAIN,
        "model",
        rivals.rival_predictions,
        "steps/predict.py",
        _after_bars,
    )
    for model in LEARNED_BASELINES
}


def described(plan: Plan, spec: dg.AssetSpec) -> dg.AssetSpec:
    """The asset with all that `ABOUT` says of it."""
    about = ABOUT[spec.key.path[-1]]
    policy, freshness = _freshness(plan, spec, about)
    text = (
        f"{spec.description}\n\n**What for:** {about.purpose}\n\n"
        f"**When it fails:** {about.when_it_fails}\n\n**Freshness:** {freshness}"
    )
    source = re.sub(r"[^\w.-]", ".", plan.market.source)[-63:]  # MODULE:CLASS of one's own
    tags = {"layer": about.layer, "timeframe": plan.market.timeframe, "source": source}
    return spec.replace_attributes(
        description=text,
        owners=[plan.owner],
        tags={**spec.tags, **tags},
        freshness_policy=policy,
        metadata={**spec.metadata, **_code(about), **_columns(spec)},
    )


def _freshness(
    plan: Plan, spec: dg.AssetSpec, about: About
) -> tuple[TimeWindowFreshnessPolicy | None, str]:
    """How old it may be, and in words. Nothing is late where nothing comes by itself."""
    asked = map(rivals.rival_asset, plan.rivals)
    if about.fresh is None:
        return None, f"none is expected: {about.why_not}."
    if about.declared is rivals.rival_predictions and spec.key.path[-1] not in asked:
        return None, "none is expected: no job makes it with these settings."
    if not plan.nightly or plan.market.end is not None:
        return None, "none is expected: the night of this market does not start by itself."
    policy = about.fresh(plan)
    return policy, f"late {policy.fail_window.to_timedelta()} after the last one."


def _columns(spec: dg.AssetSpec) -> dict[str, Any]:
    """Those of a table that are always the same; features come with what says them."""
    schema = SCHEMAS.get(spec.key.path[-1])
    return {SCHEMA: schema} if schema else {}


def _code(about: About) -> dict[str, Any]:
    """Links to the lines that declare it and to the file of what it does."""
    made = about.declared.__code__
    places = (made.co_filename, made.co_firstlineno), (str(_PACKAGE / about.step), 1)
    references: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = [
        dg.LocalFileCodeReference(file_path=path, line_number=line, label=label)
        for (path, line), label in zip(places, ("declaration", "implementation"), strict=True)
    ]
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}
