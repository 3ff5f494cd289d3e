"""Bars on disk: idempotent, whole or not at all, and the same however often they are stored."""

import tempfile
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.store.bars import ACTIONS_FILE, BarStore
from trading_pipeline.core.market.actions import check_actions, empty_actions
from trading_pipeline.core.market.bars import empty_bars
from trading_pipeline.core.market.versions import Merged
from trading_pipeline.errors import BarsError, StoreError
from trading_pipeline_tests.adapters.store.small_tables import NOW, days, utc
from trading_pipeline_tests.strategies import bars


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "raw" / "sample")


def files(store):
    return sorted(path.name for path in store.folder.glob("*.parquet"))


@given(bars(max_bars=70), st.data())
@pytest.mark.slow
def test_bars_come_back_in_whatever_pieces_they_were_written(table, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=3)))
    edges = [0, *cuts, len(table)]
    pieces = [table.iloc[a:b] for a, b in pairwise(edges)]
    with tempfile.TemporaryDirectory() as folder:
        store = BarStore(Path(folder))
        for piece in data.draw(st.permutations(pieces)):
            assert store.merge(piece, NOW).added == len(piece)
        pd.testing.assert_frame_equal(store.read(), table)


def test_a_month_is_a_file(store):
    store.merge(days("2024-01-30", 5), NOW)
    assert files(store) == ["2024-01.parquet", "2024-02.parquet"]


def test_writing_twice_leaves_one_copy_and_touches_nothing(store):
    table = days("2024-01-30", 5)
    store.merge(table, NOW)
    before = [path.stat().st_mtime_ns for path in sorted(store.folder.glob("*.parquet"))]
    identity = [path.stat().st_ino for path in sorted(store.folder.glob("*.parquet"))]
    assert store.merge(table, NOW) == Merged(unchanged=5)
    assert [path.stat().st_mtime_ns for path in sorted(store.folder.glob("*.parquet"))] == before
    assert [path.stat().st_ino for path in sorted(store.folder.glob("*.parquet"))] == identity
    pd.testing.assert_frame_equal(store.read(), table)


def test_a_newer_row_replaces_the_older(store):
    store.merge(days("2024-01-01", 5), NOW)
    store.merge(days("2024-01-03", 1, price=11.0), NOW)
    assert store.read()["close"].tolist() == [10, 10, 11, 10, 10]


def test_a_range_is_half_open_in_any_time_zone(store):
    store.merge(days("2024-01-25", 20), NOW)
    part = store.read(utc("2024-01-30"), utc("2024-02-02"))
    assert part["timestamp"].dt.day.tolist() == [30, 31, 1]
    # Midnight of 1 February in Tokyo is still January in UTC.
    tokyo = pd.Timestamp("2024-02-01", tz="Asia/Tokyo")
    assert store.read(tokyo, utc("2024-02-02"))["timestamp"].dt.day.tolist() == [1]
    assert store.read(None, tokyo)["timestamp"].max() == utc("2024-01-31")
    assert len(store.read(start=utc("2024-02-01"))) == 13


def test_a_range_reads_its_own_months_only(store):
    """Ten years of files must not be read for one day; a broken one outside does not matter."""
    store.merge(days("2024-01-01", 70), NOW)
    (store.folder / "2024-01.parquet").write_bytes(b"broken")
    assert len(store.read(utc("2024-02-10"), utc("2024-03-05"))) == 24


def test_an_empty_store_gives_no_bars(store):
    pd.testing.assert_frame_equal(store.read(), empty_bars())
    assert store.read_actions() is None
    store.merge(empty_bars(), NOW)
    pd.testing.assert_frame_equal(store.read(), empty_bars())


def test_impossible_bars_are_refused_before_anything_is_written(store):
    table = days("2024-01-30", 5)
    table.loc[4, "volume"] = -1.0
    with pytest.raises(BarsError, match=r"row 4, AAA at 2024-02-03.*volume is negative"):
        store.merge(table, NOW)
    assert not store.folder.exists()


def test_optional_columns_stay_where_every_month_has_them(store):
    store.merge(days("2024-01-01", 3, vwap=10.0, trade_count=7), NOW)
    assert store.read()["trade_count"].dtype == "int64"
    store.merge(days("2024-02-01", 3, vwap=10.0), NOW)
    assert list(store.read().columns[7:]) == ["vwap"]
    store.merge(days("2024-01-02", 1), NOW)
    assert list(store.read().columns[7:]) == []


def test_a_broken_file_is_named_with_the_way_out(store):
    store.merge(days("2024-01-01", 3), NOW)
    (store.folder / "2024-01.parquet").write_bytes(b"PAR1 but no more")
    for touch in (store.read, store.data_hash, lambda: store.merge(days("2024-01-02", 1), NOW)):
        with pytest.raises(
            StoreError, match=r"2024-01\.parquet.*Delete it and run `trading-pipeline download`"
        ):
            touch()


def test_an_unwritable_folder_is_a_store_error(tmp_path):
    (tmp_path / "raw").write_text("a file is in the way")
    store = BarStore(tmp_path / "raw" / "sample")
    with pytest.raises(StoreError, match=r"cannot write .*TP_HOME"):
        store.merge(days("2024-01-01", 3), NOW)
    with pytest.raises(StoreError, match=r"cannot write .*TP_HOME"):
        store.write_actions(empty_actions())


@pytest.mark.slow
def test_two_writers_of_one_month_lose_nothing(store):
    pieces = [days(f"2024-01-{day:02d}", 1) for day in range(1, 21)]
    threads = [threading.Thread(target=store.merge, args=(piece, NOW)) for piece in pieces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read()) == 20


def test_actions_are_kept_beside_the_bars_and_are_not_bars(store):
    split = check_actions(
        pd.DataFrame(
            {"timestamp": [utc("2024-01-02")], "symbol": "AAA", "kind": "split", "value": 2.0}
        )
    )
    store.merge(days("2024-01-01", 3), NOW)
    assert store.write_actions(split) == 1
    pd.testing.assert_frame_equal(store.read_actions(), split)
    assert len(store.read()) == 3
    assert ACTIONS_FILE in files(store)


def test_no_actions_happened_is_not_no_actions_known(store):
    assert store.write_actions(empty_actions()) == 0
    pd.testing.assert_frame_equal(store.read_actions(), empty_actions())
    store.write_actions(None)
    assert store.read_actions() is None


def test_the_data_hash_is_of_the_content(store, tmp_path):
    """Another order of writing or another compression is the same data; one price is not."""
    table = days("2024-01-30", 5)
    store.merge(table, NOW)
    other = BarStore(tmp_path / "other")
    other.merge(table.iloc[3:], NOW)
    other.merge(table.iloc[:3], NOW)
    month = other.folder / "2024-01.parquet"
    pd.read_parquet(month).to_parquet(month, compression="gzip", index=False)
    assert other.data_hash() == store.data_hash()
    other.merge(days("2024-01-31", 1, price=10.01), NOW)
    assert other.data_hash() != store.data_hash()


def test_the_data_hash_sees_actions(store):
    store.merge(days("2024-01-30", 5), NOW)
    hashes = {store.data_hash()}
    store.write_actions(empty_actions())
    hashes.add(store.data_hash())
    store.write_actions(None)
    hashes.add(store.data_hash())
    assert len(hashes) == 2


def test_a_flipped_bit_is_found_by_its_checksum(store):
    """By whatever builds on the month: a merge into it, and the hash that features record."""
    store.merge(days("2024-01-01", 20), NOW)
    path = store.folder / "2024-01.parquet"
    whole = path.read_bytes()
    place = whole.index(np.float64(10.0).tobytes())
    path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    for touch in (store.data_hash, lambda: store.merge(days("2024-01-02", 1), NOW)):
        with pytest.raises(StoreError, match=r"2024-01\.parquet.*Delete it"):
            touch()


def test_bars_of_another_feed_are_refused(store):
    """IEX volume is a fiftieth of SIP's: one panel must not hold both."""
    feeds = [{"source": "alpaca", "feed": feed, "timeframe": "1d"} for feed in ("iex", "sip")]
    store.check_identity(feeds[0])
    store.merge(days("2024-01-01", 3), NOW, identity=feeds[0])
    store.check_identity(feeds[0])
    for refused in (
        store.check_identity,
        lambda it: store.merge(days("2024-02-01", 1), NOW, identity=it),
    ):
        with pytest.raises(
            StoreError, match=r"bars of feed iex, and these are of feed sip.*another name"
        ):
            refused(feeds[1])
    assert len(store.read()) == 3


@pytest.mark.parametrize("content", ["{brok", "[1]", '"feed"'])
def test_what_names_no_identity_is_told_with_what_to_do(store, content):
    store.merge(days("2024-01-01", 3), NOW, identity={"feed": "iex"})
    path = next(store.folder.rglob("identity.json"))
    path.write_text(content)
    with pytest.raises(StoreError, match=r"cannot read .*identity.json: .*Delete it"):
        store.identity()


def test_an_absence_ends_when_the_bar_comes(store):
    """It is counted by days, also of a stored bar: the answer that should have confirmed it."""
    absent = days("2024-01-01", 3)[["symbol", "timestamp"]]
    store.merge(days("2024-01-01", 1), NOW, absences=absent[1:])
    assert store.absences()["timestamp"].dt.day.tolist() == [2, 3]
    store.merge(empty_bars(), NOW + pd.Timedelta(minutes=5), absences=absent)
    assert store.absences()["nights"].tolist() == [1, 1, 1]
    later = NOW + pd.Timedelta(days=1)
    store.merge(days("2024-01-02", 1), later, absences=absent[2:])
    assert store.absences()["timestamp"].dt.day.tolist() == [1, 3]
    assert store.absences()["nights"].tolist() == [1, 2]
    assert store.absences()["asked_at"].tolist() == [NOW + pd.Timedelta(minutes=5), later]


def test_absences_of_a_release_that_believed_one_answer_were_told_once(store):
    """So what it lost is asked for again."""
    absent = days("2024-01-01", 2)[["symbol", "timestamp"]]
    store.merge(empty_bars(), NOW, absences=absent)
    path = store.folder / "history/absences.parquet"
    pd.read_parquet(path).drop(columns="nights").to_parquet(path)
    assert store.absences()["nights"].tolist() == [1, 1]
    store.merge(empty_bars(), NOW + pd.Timedelta(days=1), absences=absent[1:])
    assert store.absences()["nights"].tolist() == [1, 2]


def test_a_watermark_never_goes_back(store):
    for at in (NOW, NOW - pd.Timedelta(days=9)):
        store.merge(
            empty_bars(), at, watermarks=pd.DataFrame({"symbol": ["AAA"], "asked_at": [at]})
        )
    assert store.watermarks().to_dict("list") == {"symbol": ["AAA"], "asked_at": [NOW]}
