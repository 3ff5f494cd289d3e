"""Parquet panels: the contract of every source, and every ugly input by name."""

import os

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.adapters.store.bars import ACTIONS_FILE, BarStore
from trading_pipeline.core.market.actions import empty_actions
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import BarsError, SourceError
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract

NOW = pd.Timestamp("2025-01-01", tz="UTC")


def panel(days=12, symbols=("AAA", "BBB"), start="2024-01-01"):
    stamps = pd.date_range(start, periods=days, tz="UTC", unit="us").repeat(len(symbols))
    table = pd.DataFrame({"timestamp": stamps, "symbol": list(symbols) * days})
    return table.assign(open=10.0, high=12.0, low=9.0, close=11.0, volume=5.0)


def save(table, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, **({"index": False} | options))
    return path


def everything(path):
    source = ParquetSource(path)
    return source.bars(source.symbols(), *source.span(source.symbols()))


class TestContractOfAFile(BarSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        shuffled = panel().sample(frac=1, random_state=1)
        return ParquetSource(save(shuffled, tmp_path / "panel.parquet"))


class TestContractOfAFolder(BarSourceContract):
    """Of our own store: month files, and corporate actions beside them."""

    @pytest.fixture(scope="class")
    def source(self, tmp_path_factory):
        store, sample = BarStore(tmp_path_factory.mktemp("raw")), SampleSource()
        end = pd.Timestamp("2001-01-01", tz="UTC")
        store.merge(sample.bars(["AAPL", "IBM"], sample.span(sample.symbols())[0], end), NOW)
        store.write_actions(sample.actions(["AAPL", "IBM"]))
        return ParquetSource(store.folder)


def test_a_stored_market_is_the_same_market(tmp_path):
    """Raw bars and actions through the store and this source: the same total returns."""
    sample, store = SampleSource(), BarStore(tmp_path)
    span = (sample.span(sample.symbols())[0], pd.Timestamp("2001-01-01", tz="UTC"))
    store.merge(sample.bars(["AAPL", "IBM"], *span), NOW)
    store.write_actions(sample.actions(["AAPL", "IBM"]))
    source = ParquetSource(tmp_path)
    stored = Panel.of(source.bars(["AAPL", "IBM"], *span), source.actions(["AAPL", "IBM"]))
    direct = Panel.of(sample.bars(["AAPL", "IBM"], *span), sample.actions(["AAPL", "IBM"]))
    assert stored.factor.tobytes() == direct.factor.tobytes()
    assert set(source.actions(["IBM"])["symbol"]) == {"IBM"}


def test_without_actions_prices_are_total_return_units(tmp_path):
    source = ParquetSource(save(panel(), tmp_path / "p.parquet"))
    assert source.actions(source.symbols()) is None


def test_files_of_a_folder_are_one_panel(tmp_path):
    save(panel(symbols=("AAA",)), tmp_path / "aaa.parquet")
    save(panel(symbols=("BBB",)), tmp_path / "bbb.parquet")
    whole = everything(save(panel(), tmp_path / "whole" / "p.parquet"))
    pd.testing.assert_frame_equal(everything(tmp_path), whole)


def test_a_stored_index_is_read_as_columns(tmp_path):
    """Many people save their panel indexed by time."""
    indexed = panel().set_index("timestamp")
    read = everything(save(indexed, tmp_path / "p.parquet", index=True))
    both = panel().set_index(["timestamp", "symbol"])
    pd.testing.assert_frame_equal(
        everything(save(both, tmp_path / "q" / "p.parquet", index=True)), read
    )
    assert len(read) == len(panel())


def test_daily_bars_stamped_in_new_york_become_sessions(tmp_path):
    table = panel(days=5)
    table["timestamp"] = table["timestamp"].dt.tz_localize(None).dt.tz_localize("America/New_York")
    pd.testing.assert_frame_equal(
        everything(save(table, tmp_path / "p.parquet")), panel(days=5), check_like=True
    )


def test_a_changed_file_is_read_again(tmp_path):
    path = save(panel(days=3), tmp_path / "p.parquet")
    source = ParquetSource(path)
    assert len(source.bars(source.symbols(), *source.span(source.symbols()))) == 6
    save(panel(days=4), path)
    assert len(source.bars(source.symbols(), *source.span(source.symbols()))) == 8


def test_an_unchanged_file_is_read_once(tmp_path, monkeypatch):
    source = ParquetSource(save(panel(), tmp_path / "p.parquet"))
    symbols = source.symbols()
    monkeypatch.setattr(pd, "read_parquet", None)
    assert source.symbols() == symbols


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda t: t.drop(columns="close"), "lacks column close"),
        (lambda t: t.assign(close="11.0"), "column close holds str, must be numbers"),
        (lambda t: pd.concat([t, t.iloc[[4]]]), "row 24, AAA at 2024-01-03 .*duplicate"),
        (lambda t: t.assign(high=8.0), r"row 0, AAA .*\(24 rows concerned\): high < low"),
        (lambda t: t.assign(volume=-5.0), "row 0, AAA .*volume is negative"),
        (lambda t: t.assign(low=0.0), "row 0, AAA .*low is not positive"),
        (lambda t: t.assign(open=float("nan")), "row 0, AAA .*open is NaN"),
        (lambda t: t.assign(timestamp=t["timestamp"].dt.tz_localize(None)), "is naive"),
        (lambda t: t.assign(timestamp=t["timestamp"].astype(str)), "must be datetimes in UTC"),
        (lambda t: t.assign(timestamp=t["timestamp"].dt.date), "must be datetimes in UTC"),
    ],
)
@pytest.mark.parametrize("in_a_folder", [False, True])
def test_bad_bars_are_named_with_their_file(tmp_path, change, rule, in_a_folder):
    path = save(change(panel()), tmp_path / "panel.parquet")
    if in_a_folder:
        save(panel(start="2020-01-01"), tmp_path / "fine.parquet")
    with pytest.raises(BarsError, match=f"{path}: .*{rule}"):
        ParquetSource(tmp_path if in_a_folder else path).symbols()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not a Parquet file"),
        (b"timestamp,symbol\n2024-01-01,AAA\n", "is not a Parquet file"),
        (b"PAR1" * 9, "is not a Parquet file"),
    ],
)
def test_what_is_not_parquet_is_named(tmp_path, content, complaint):
    path = tmp_path / "panel.parquet"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"{path} {complaint}"):
        ParquetSource(path).symbols()


def test_a_half_written_file_is_named(tmp_path):
    path = save(panel(), tmp_path / "panel.parquet")
    path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])  # noqa: PTH202
    with pytest.raises(SourceError, match="is not a Parquet file"):
        ParquetSource(path).symbols()


def test_a_file_without_rows_is_refused(tmp_path):
    path = save(panel().iloc[:0], tmp_path / "panel.parquet")
    with pytest.raises(SourceError, match=f"{path} has no rows"):
        ParquetSource(path).span(["AAA"])


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.parquet does not exist"):
        ParquetSource(tmp_path / "nowhere.parquet").symbols()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match="has no Parquet files of bars"):
        ParquetSource(tmp_path).symbols()


def test_a_folder_of_folders_says_where_the_files_are(tmp_path):
    """The specification's data_storage/raw is such a one: its markets must not be mixed."""
    save(panel(), tmp_path / "sample" / "2024-01.parquet")
    with pytest.raises(SourceError, match=f"there are some in {tmp_path}/sample"):
        ParquetSource(tmp_path).symbols()


def test_actions_alone_are_no_panel(tmp_path):
    save(empty_actions(), tmp_path / ACTIONS_FILE)
    with pytest.raises(SourceError, match="has no Parquet files of bars"):
        ParquetSource(tmp_path).symbols()


def test_a_bar_in_two_files_is_named_with_the_later_one(tmp_path):
    save(panel(days=3), tmp_path / "a.parquet")
    save(panel(days=1, symbols=("BBB",), start="2024-01-03"), tmp_path / "b.parquet")
    with pytest.raises(BarsError, match=r"b\.parquet: row 0, BBB at 2024-01-03 .*duplicate"):
        ParquetSource(tmp_path).symbols()


def test_one_impossible_row_of_many_is_set_aside_and_named(tmp_path):
    """One of 818,496 rows once refused a panel of 503 shares."""
    table = panel(days=200)
    table.loc[7, "high"] = 1.0
    path = save(table.sample(frac=1, random_state=1), tmp_path / "p.parquet")
    source = ParquetSource(path)
    read = source.bars(source.symbols(), *source.span(source.symbols()))
    pd.testing.assert_frame_equal(read, panel(days=200).drop(index=7).reset_index(drop=True))
    (row,) = source.set_aside("24/7").to_dict("records")
    place = pd.read_parquet(path)["high"].eq(1.0).to_numpy().argmax()
    assert (row["file"], row["row"], row["rule"]) == (str(path), place, "high < low")


def test_a_row_without_a_symbol_or_a_timestamp_is_set_aside(tmp_path):
    table = panel(days=200).astype({"symbol": object})
    table.loc[7, "timestamp"], table.loc[8, "symbol"] = pd.NaT, None
    source = ParquetSource(save(table, tmp_path / "p.parquet"))
    assert source.symbols() == ["AAA", "BBB"]
    assert source.set_aside("24/7")[["row", "rule"]].to_numpy().tolist() == [
        [7, "timestamp is missing"],
        [8, "symbol is missing or no name"],
    ]


def test_a_stray_bar_on_a_weekend_is_named_with_its_row_by_calendar(tmp_path):
    stamps = pd.bdate_range("2024-01-01", periods=400, tz="UTC", unit="us")
    table = panel(days=400, symbols=("AAA",)).assign(timestamp=stamps)
    table.loc[6, "timestamp"] = pd.Timestamp("2024-02-10", tz="UTC")  # a Saturday, rows later
    source = ParquetSource(save(table, tmp_path / "p.parquet"))
    assert source.set_aside("24/7").empty
    (row,) = source.set_aside("XNYS").to_dict("records")
    assert (row["row"], row["rule"]) == (6, "XNYS is closed on weekends")


def test_bad_actions_are_named_with_their_file(tmp_path):
    save(panel(), tmp_path / "p.parquet")
    save(empty_actions().drop(columns="kind"), tmp_path / ACTIONS_FILE)
    with pytest.raises(BarsError, match=f"{ACTIONS_FILE}: lacks column kind"):
        ParquetSource(tmp_path).actions(["AAA"])


def test_one_bar_a_symbol_has_no_span(tmp_path):
    source = ParquetSource(save(panel(days=1), tmp_path / "p.parquet"))
    with pytest.raises(BarsError, match=r"p\.parquet: no symbol has two bars"):
        source.span(source.symbols())
