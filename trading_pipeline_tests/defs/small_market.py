"""A market of two shares with a fold a month, whose models cost nothing: nights, one by one.

Bars are real, checkpoints have the weights that a network begins with, and everything else is what
the product does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import dagster as dg
import pandas as pd

from trading_pipeline.adapters.clock import utc_now
from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.adapters.store.predictions import COLUMNS
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.learning.checkpoint import model_fingerprint
from trading_pipeline.core.learning.dataset import features_of
from trading_pipeline.core.market.market import Costs, Market, WalkForward
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.runs import Runner
from trading_pipeline.steps.freshness import predictions_fingerprint
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of, read_panel
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.core.learning.checkpoints import made_up, untrained
from trading_pipeline_tests.defs.short_market import FakeSources, TableSource

MARKET = Market(
    name="small",
    source="sample",
    symbols=("AAPL", "IBM"),
    start=date(2000, 3, 1),
    horizon=3,
    costs=Costs(lot=1),
    walk_forward=WalkForward(first_train=28, test=1, window=28),
)
FIRST, SECOND, THIRD = "2002-07-01", "2002-08-01", "2002-09-01"  # folds
CHECKS = {
    "raw_bars": ("bars_obey_market_invariants", "no_session_is_missing"),
    "features": ("features_do_not_look_ahead",),
}


@cache
def history() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars from 2000-03 to 2002-12, and their features."""
    source = SampleSource()
    span = datetime(2000, 3, 1, tzinfo=UTC), datetime(2003, 1, 1, tzinfo=UTC)
    bars = source.bars(list(MARKET.symbols), *span)
    panel = Panel.of(bars, source.actions(list(MARKET.symbols)), MARKET.symbols)
    return bars, features_of(panel, MARKET.calendar)


def bars_until(end: str) -> pd.DataFrame:
    """Bars that open before the day `end`."""
    bars = history()[0]
    return bars[bars["timestamp"] < end].reset_index(drop=True)


@dataclass
class SmallMarket:
    """One market of a home, and its jobs on an instance in memory."""

    home: Home
    instance: dg.DagsterInstance
    market: Market = MARKET
    model: str = "network"
    trained: list[str] = field(default_factory=list)  # keys of folds, each time one is trained
    clock: Callable[[], datetime] = utc_now  # of the sensors

    @property
    def plan(self) -> Plan:
        return Plan(self.market, model=self.model, preset="tiny")

    @property
    def definitions(self) -> dg.Definitions:
        resources = {
            "home": self.home,
            "alerts": self.home.alerts(),
            "brokers": {},
            "sources": dg.ResourceDefinition.hardcoded_resource(self.sources),
            "progress": dg.ResourceDefinition.hardcoded_resource(Progress()),
        }
        shared = dg.Definitions(resources=resources, executor=dg.in_process_executor)
        return dg.Definitions.merge(shared, market_definitions(self.plan, self.clock))

    @property
    def sources(self) -> FakeSources:
        return FakeSources(TableSource(self.home.bars(self.market).read()))

    @property
    def runner(self) -> Runner:
        return Runner(self.definitions, self.instance, self.home, self.sources)

    def store(self, bars: pd.DataFrame) -> None:
        """Bars, and the features of as many sample bars: they know nothing of later ones."""
        kept = self.home.bars(self.market)
        kept.merge(bars, datetime.now(UTC))
        kept.write_actions(SampleSource().actions(list(self.market.symbols)))
        features = history()[1]
        inside = features[features["timestamp"] <= bars["timestamp"].max()].reset_index(drop=True)
        self.home.features(self.market).write(inside, catalog_hash())

    def land(self, day: str) -> None:
        """What Dagster records of a night: features of a day, and checks that passed."""
        for asset, names in CHECKS.items():
            key = dg.AssetKey([self.market.name, asset])
            landed = dg.AssetMaterialization(key, partition=day)
            self.instance.report_runless_asset_event(landed)
            for name in names:
                passed = dg.AssetCheckEvaluation(key, name, passed=True, metadata={})
                self.instance.report_runless_asset_event(passed)

    def run(self, job: str, fold: str | None = None) -> dg.ExecuteInProcessResult:
        """A job as the web UI runs it: what fails is in the result."""
        return self.definitions.resolve_job_def(f"{self.market.name}_{job}").execute_in_process(
            instance=self.instance, partition_key=fold, raise_on_error=False
        )

    def reason(self, result: dg.ExecuteInProcessResult) -> str:
        """Why a run failed; the first of its steps that did."""
        failure, *_ = [each for each in result.all_events if each.is_step_failure]
        error: Any = failure.event_specific_data.error
        return str((error.cause or error).message)

    def bring(self, job: str, fold: str) -> None:
        """What a run of `train` or `predict` leaves of a fold, at no cost."""
        panel, recipe = read_panel(self.home, self.market), self.plan.recipe
        this, models = folds_of(panel, recipe)[fold], self.home.checkpoints(self.market)
        if job == "train":
            made_of = model_fingerprint(panel, this, recipe)
            models.write(fold, made_up(recipe) | {"fingerprint": made_of})
        store = self.home.predictions(self.market)
        rows = pd.DataFrame([dict.fromkeys(COLUMNS, 0.0)])
        store.write(fold, rows, predictions_fingerprint(panel, this, models.verify(fold)))
        store.note_check(fold, store.digest(fold), passed=True)


def without_training(monkeypatch: Any, trained: list[str]) -> None:
    """Checkpoints as networks begin; the keys of their folds go to `trained`.

    Rivals cost next to nothing, and are fitted.
    """
    from trading_pipeline.core.learning import checkpoint

    whole = checkpoint.train_fold

    def begin(data, fold, recipe, *_: Any, **__: Any):
        if recipe.learner != "network":
            return whole(data, fold, recipe)
        trained.append(fold.key)
        return untrained(data, fold, recipe)

    monkeypatch.setattr(checkpoint, "train_fold", begin)


def named(market: Market, name: str) -> Market:
    return replace(market, name=name)
