"""What the web UI says of columns is what is in the files, and what they move with."""

from datetime import UTC, datetime

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.dataset import features_of
from trading_pipeline.core.learning.inference import MODEL
from trading_pipeline.core.learning.rivals import boosting
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.defs.assets.features import features
from trading_pipeline.defs.assets.market import corporate_actions, raw_bars
from trading_pipeline.defs.columns import (
    LINEAGE,
    OPTIONAL,
    SCHEMA,
    SCHEMAS,
    features_lineage,
    features_schema,
    predictions_lineage,
)
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.defs.short_market import MARKET, without_days
from trading_pipeline_tests.defs.small_market import (
    FIRST,
    SECOND,
    SmallMarket,
    bars_until,
    without_training,
)

DAYS = ("2000-03-10", "2000-07-31")


def columns_of(schema: dg.TableSchema) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in schema.columns]


def stored_in(path) -> list[tuple[str, str]]:
    fields = pq.read_schema(path)
    return [(each.name, str(each.type).removeprefix("large_")) for each in fields]


def test_bars_actions_and_revisions_have_the_columns_that_are_told(home, sample_bars):
    store = home.bars(MARKET)
    told = sample_bars.assign(vwap=sample_bars["close"], trade_count=7)
    store.merge(told, datetime.now(UTC))
    store.merge(told.assign(volume=told["volume"] + 1), datetime.now(UTC))
    store.write_actions(SampleSource().actions(list(MARKET.symbols)))
    folder = store.folder
    assert stored_in(folder / "2000-05.parquet") == columns_of(SCHEMAS["raw_bars"])
    assert stored_in(folder / "corporate_actions.parquet") == columns_of(
        SCHEMAS["corporate_actions"]
    )
    revised = dict(stored_in(folder / "history" / "revisions.parquet"))
    assert set(revised) == {name for name, _ in columns_of(SCHEMAS["revised_bars"])}


def test_every_column_says_what_it_is():
    for schema in (*SCHEMAS.values(), features_schema()):
        assert all(column.description for column in schema.columns)
        names = [column.name for column in schema.columns]
        assert len(names) == len(set(names))
        assert names[:2] == ["timestamp", "symbol"]
    told = {column.name: column.description for column in features_schema().columns}
    assert told["gap"] == "log(O[t] / C[t-1]) / σ; σ, -5 to 5; NaN before 64 bars exist"


@pytest.fixture(scope="module")
def landed(tmp_path_factory, sample_bars):
    """A home after a download, and the materializations of its features and bars."""
    from trading_pipeline_tests.defs.short_market import TableSource, resources_of

    home = Home(root=str(tmp_path_factory.mktemp("landed")))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [raw_bars(MARKET), corporate_actions(MARKET), features(MARKET)],
            tags=range_tags(*DAYS),
            resources=resources_of(home, TableSource(sample_bars)),
            instance=instance,
        )
        made = {
            asset: [
                event.step_materialization_data.materialization
                for event in result.get_asset_materialization_events()
                if event.asset_key.path[-1] == asset
            ]
            for asset in ("raw_bars", "features", "corporate_actions")
        }
    return home, made


@pytest.mark.slow
def test_the_newest_day_tells_columns_and_every_day_where_its_table_is(landed):
    home, made = landed
    *others, newest = made["features"]
    assert newest.partition == DAYS[1]
    assert newest.metadata[SCHEMA].value == features_schema()
    assert newest.metadata[LINEAGE].value == features_lineage(MARKET)
    assert not any(SCHEMA in each.metadata or LINEAGE in each.metadata for each in others)
    rows = len(home.features(MARKET).read())
    assert {each.metadata["dagster/row_count"].value for each in made["features"]} == {rows}
    assert newest.metadata["dagster/uri"].value == (home.path / "features.duckdb").as_uri()
    bars = made["raw_bars"][-1].metadata
    assert bars["dagster/row_count"].value == len(home.bars(MARKET).keys())
    assert bars["dagster/partition_row_count"].value == len(MARKET.symbols)


@pytest.mark.slow
def test_the_feature_table_has_the_columns_that_are_told(landed):
    home, _ = landed
    stored = home.features(MARKET).read()
    assert list(stored) == [column.name for column in features_schema().columns]
    assert {str(stored[name].dtype) for name in NAMES} == {"float32"}
    assert home.features(MARKET).count() == len(stored)


@pytest.fixture(scope="module")
def panel_of():
    """Makes the features of two shares that pay dividends and split, of raw bars and actions."""
    source, symbols = SampleSource(), ("AAPL", "IBM")
    span = datetime(2004, 6, 1, tzinfo=UTC), datetime(2006, 1, 1, tzinfo=UTC)
    bars, actions = source.bars(list(symbols), *span), source.actions(list(symbols))

    def make(bars, actions):
        return features_of(Panel.of(bars, actions, symbols), "XNYS")

    return bars, actions, make


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "value"])
def test_features_move_with_no_column_that_their_lineage_lacks(panel_of, column):
    """Of raw bars and of corporate actions, which adjust them."""
    bars, actions, make = panel_of
    before = make(bars, actions)
    table = actions if column == "value" else bars
    noise = np.random.default_rng(3).uniform(0.3, 0.7, len(table))
    inside = bars["low"] + 0.5 * (bars["high"] - bars["low"])
    others = {
        "open": lambda: inside,
        "close": lambda: inside,
        "high": lambda: bars["high"] * (1 + noise / 50),
        "low": lambda: bars["low"] * (1 - noise / 50),
        "volume": lambda: bars["volume"] * noise,
        "value": lambda: actions["value"] * (1 + noise / 100),
    }
    changed = table.assign(**{column: others[column]()})
    after = make(bars, changed) if column == "value" else make(changed, actions)
    moved = {name for name in NAMES if not after[name].equals(before[name])}
    lineage = features_lineage(MARKET).deps_by_column
    read = {name for name, deps in lineage.items() if column in {each.column_name for each in deps}}
    assert moved
    assert moved <= read


@pytest.mark.long
@pytest.mark.slow
def test_only_what_varies_in_a_fold_is_made_from_its_features(tmp_path, monkeypatch):
    """A rival's probabilities and risk are the same for all bars: how often each came true."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(boosting, "ROUNDS", 5)
    small = SmallMarket(Home(root=str(tmp_path)), dg.DagsterInstance.ephemeral())
    without_training(monkeypatch, small.trained)
    small.store(bars_until(SECOND))
    assert small.run("train", FIRST).success
    for home in (small.home, small.home.beside("ridge")):
        rows = home.predictions(small.market).read([FIRST])
        network = bool((rows["model"] == MODEL).all())
        assert network == (home is small.home)
        lineage = predictions_lineage(small.market, network, with_book=False).deps_by_column
        varying = {name for name in rows if rows[name].nunique() > 1}
        assert varying <= set(lineage)
        # Two shares are no cross-section: their scores are all 0, and positions of one sign.
        assert set(lineage) - varying <= {"score", "position"}
        stored = stored_in(home.predictions(small.market).path(FIRST))
        assert stored == columns_of(SCHEMAS["predictions"])


def test_optional_columns_are_told_as_such(home, sample_bars):
    """A source without them leaves them out of the file."""
    home.bars(MARKET).merge(
        without_days(sample_bars, "2000-06-01", "2000-07-31"), datetime.now(UTC)
    )
    told = {name for name, _ in columns_of(SCHEMAS["raw_bars"])}
    there = {name for name, _ in stored_in(home.bars(MARKET).folder / "2000-05.parquet")}
    assert told - there == OPTIONAL
