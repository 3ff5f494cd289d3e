"""One market's assets, checks, jobs, schedule and sensor, made by the same factories for each."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import dagster as dg

from trading_pipeline.adapters.clock import utc_now
from trading_pipeline.defs.assets import (
    divergence,
    features,
    market,
    models,
    refits,
    report,
    rivals,
)
from trading_pipeline.defs.assets.paper_account import paper_account
from trading_pipeline.defs.attributes import described
from trading_pipeline.defs.checks import features as feature_checks
from trading_pipeline.defs.checks import integrity
from trading_pipeline.defs.checks import market as market_checks
from trading_pipeline.defs.checks import models as model_checks
from trading_pipeline.defs.checks import report as report_checks
from trading_pipeline.defs.jobs import asset_jobs, quality_job
from trading_pipeline.defs.paper import paper_job
from trading_pipeline.defs.schedules import nightly, nightly_divergence, weekly_quality
from trading_pipeline.defs.second_tries import second_tries
from trading_pipeline.defs.sensors import new_bars
from trading_pipeline.defs.watchdog import watchdog
from trading_pipeline.steps.plan import Plan

_WEEKLY = (
    *(("raw_bars", name) for name in market_checks.CHECKS),
    ("production_model", integrity.SERVICE),
    ("paper_account", integrity.JOURNAL),
)


def market_definitions(plan: Plan, clock: Callable[[], datetime] = utc_now) -> dg.Definitions:
    """Everything that Dagster knows of a market, under its own key prefix and group."""
    paper = paper_job(plan)
    jobs, quality = asset_jobs(plan), quality_job(plan.market, _WEEKLY)
    return dg.Definitions(
        assets=dg.map_asset_specs(
            partial(described, plan),
            [
                market.raw_bars(plan.market),
                market.corporate_actions(plan.market),
                market.revised_bars(plan.market),
                features.features(plan.market),
                models.model_checkpoint(plan),
                models.predictions(plan),
                models.production_model(plan),
                rivals.rival_predictions(plan),
                report.backtest_report(plan),
                refits.refit_comparison(plan),
                paper_account(plan.market),
                divergence.paper_divergence(plan),
            ],
        ),
        asset_checks=[
            *market_checks.market_checks(plan.market),
            feature_checks.features_do_not_look_ahead(plan.market),
            model_checks.checkpoints_load_and_agree(plan),
            model_checks.predictions_do_not_look_ahead(plan),
            model_checks.candidate_is_accepted(plan),
            report_checks.accounts_balance(plan.market),
            *integrity.integrity_checks(plan.market),
        ],
        jobs=[*jobs.values(), quality, paper],
        schedules=[
            nightly(plan.market, jobs["nightly"], plan.nightly),
            nightly_divergence(plan.market, jobs["paper_divergence"], plan.nightly),
            weekly_quality(plan.market, quality, plan.nightly),
        ],
        sensors=[
            new_bars(plan, jobs, clock),
            second_tries(plan.market, jobs["nightly"], plan.nightly, clock),
            watchdog(plan, paper, clock),
        ],
    )
