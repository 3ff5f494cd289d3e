"""A source corrects its past: what was made from it becomes stale, and nothing else does."""

from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.market.market import WalkForward
from trading_pipeline.defs.assets.market import corporate_actions, raw_bars, revised_bars
from trading_pipeline.defs.assets.models import model_checkpoint, predictions
from trading_pipeline.defs.partitions import folds, range_tags
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.defs.short_market import MARKET, TableSource, sources_of

SPANS = WalkForward(first_train=6, test=6, window=6)
LONG = replace(MARKET, start=date(2000, 3, 1), end=date(2002, 1, 1), walk_forward=SPANS)
FOLDS = ("2001-01-01", "2001-07-01")
MADE = ("model_checkpoint", "predictions")


@pytest.fixture(scope="module")
def bars():
    span = datetime(2000, 3, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC)
    return SampleSource().bars(list(LONG.symbols), *span)


def without_training(definition):
    """The asset of a fold with its own edges, and nothing to compute."""
    (spec,) = definition.specs
    deps = [each for each in spec.deps if each.asset_key.path[-1] != "features"]

    @dg.asset(key=spec.key, partitions_def=folds(LONG), deps=deps)
    def made() -> None:
        pass

    return made


class World:
    """The assets of the long market on an instance."""

    def __init__(self, instance, resources):
        self.instance, self.resources = instance, resources
        plan = Plan(LONG, preset="tiny")
        self.made = [without_training(each(plan)) for each in (model_checkpoint, predictions)]
        self.assets = [raw_bars(LONG), corporate_actions(LONG), revised_bars(LONG), *self.made]

    def land(self, bars, first="2000-03-01", last="2001-12-31"):
        resources = self.resources | {"sources": sources_of(TableSource(bars))}
        done = dg.materialize(
            self.assets,
            selection=dg.AssetSelection.assets(["test", "raw_bars"]),
            tags=range_tags(first, last),
            resources=resources,
            instance=self.instance,
        )
        return done.asset_materializations_for_node("test__raw_bars")[-1].metadata

    def make(self, fold):
        dg.materialize(
            self.assets,
            selection=dg.AssetSelection.assets(*(["test", name] for name in MADE)),
            partition_key=fold,
            instance=self.instance,
            resources=self.resources,
        )

    def stale(self):
        """Which assets of which folds the web UI shows as stale."""
        graph = dg.Definitions(self.assets, resources=self.resources).resolve_asset_graph()
        context = LoadingContextForTest(self.instance)
        resolver = CachingStaleStatusResolver(self.instance, graph, context)
        return {
            (name, fold)
            for name in MADE
            for fold in FOLDS
            if resolver.get_status(dg.AssetKey(["test", name]), fold) == StaleStatus.STALE
        }


@pytest.fixture
def world(instance, resources, bars):
    made = World(instance, resources)
    made.land(bars)
    for fold in FOLDS:
        made.make(fold)
    return made


def revised(bars, day):
    changed = bars.copy()
    here = (bars["timestamp"] == pd.Timestamp(day, tz="UTC")) & (bars["symbol"] == "IBM")
    changed.loc[here, "volume"] *= 2
    assert here.sum() == 1
    return changed


@pytest.mark.long
@pytest.mark.slow
def test_the_same_bars_again_make_nothing_stale(world, bars):
    assert world.stale() == set()
    world.land(bars, first="2001-12-01")
    assert world.stale() == set()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "stale"),
    [
        ("2000-10-02", {(name, fold) for name in MADE for fold in FOLDS}),
        (
            "2001-03-05",  # within the first fold
            {("predictions", FOLDS[0]), ("model_checkpoint", FOLDS[1]), ("predictions", FOLDS[1])},
        ),
        ("2001-09-04", {("predictions", FOLDS[1])}),
    ],
)
@pytest.mark.sampled(3)
def test_a_revised_bar_makes_stale_what_learned_from_it_or_saw_it(world, bars, day, stale):
    told = world.land(revised(bars, day))
    assert world.stale() == stale
    assert told["changed"].value == 1
    assert told["first_changed"].value.startswith(day)
    table = told["newest_revisions"].value
    assert f"| IBM      | {day} 00:00 | volume" in table
    for fold in FOLDS:
        world.make(fold)
    assert world.stale() == set()
