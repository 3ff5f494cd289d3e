"""The feature store keeps what it was given, or says why not and what to do."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import duckdb
import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.features import FeatureStore, Written
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline.errors import FeatureError, StoreError
from trading_pipeline_tests.adapters.store.small_tables import FIRST, HASH, features

OTHER = "b" * 64


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "deep" / "features.duckdb", "us equities")


def test_what_is_written_is_read_back_bit_for_bit(store):
    given = features()
    given.loc[3, "one"] = np.float32(1 / 3)
    given.loc[4, "one"] = -0.0
    assert store.write(given, HASH) == Written(10, rebuilt=False)
    got = store.read()
    pd.testing.assert_frame_equal(got, given, check_exact=True)
    assert got["one"].to_numpy().tobytes() == given["one"].to_numpy().tobytes()
    assert store.catalog_hash() == HASH


def test_writing_twice_leaves_one_copy(store):
    for _ in range(2):
        store.write(features(), HASH)
    pd.testing.assert_frame_equal(store.read(), features())


def test_a_write_replaces_its_span_whole(store):
    """A symbol that has gone from the span goes from the table too; other days stay."""
    store.write(features(days=5), HASH)
    middle = FIRST + timedelta(days=2)
    written = store.write(features(days=1, symbols=("AAA",), value=100, first=middle), HASH)
    assert written == Written(1, rebuilt=False)
    got = store.read()
    assert len(got) == 9
    assert got.loc[got["timestamp"] == middle, "one"].tolist() == [100.0]
    assert got.loc[got["timestamp"] != middle, "one"].max() == 9.0


def test_rows_come_ordered_however_they_were_written(store):
    store.write(features(days=2, first=FIRST + timedelta(days=3)), HASH)
    store.write(features(days=2).iloc[::-1], HASH)
    got = store.read()
    assert got[["timestamp", "symbol"]].equals(
        got[["timestamp", "symbol"]].sort_values(["timestamp", "symbol"])
    )


def test_a_span_is_half_open_in_any_time_zone(store):
    store.write(features(days=5), HASH)
    start, end = datetime(2020, 1, 7, tzinfo=UTC), datetime(2020, 1, 9, tzinfo=UTC)
    assert store.read(start, end)["timestamp"].dt.day.unique().tolist() == [7, 8]
    assert store.read(end=start)["timestamp"].dt.day.unique().tolist() == [6]
    east = timezone(timedelta(hours=9))
    pd.testing.assert_frame_equal(
        store.read(start.astimezone(east), end.astimezone(east)), store.read(start, end)
    )
    nothing = store.read(start, start)
    assert nothing.empty
    assert nothing.dtypes.equals(store.read().dtypes)


def test_the_time_zone_of_the_machine_does_not_matter(store, monkeypatch):
    """A bound without a time zone is UTC everywhere, not the local one."""
    store.write(features(days=5), HASH)
    start = datetime(2020, 1, 7)  # noqa: DTZ001
    expected = store.read(start)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        pd.testing.assert_frame_equal(store.read(start), expected)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_another_catalog_rebuilds_the_table_and_says_so(store):
    store.write(features(days=5), HASH)
    renamed = features(days=1).rename(columns={"two": "three"})
    assert store.write(renamed, OTHER) == Written(2, rebuilt=True)
    pd.testing.assert_frame_equal(store.read(catalog_hash=OTHER), renamed)
    with pytest.raises(FeatureError, match=r"made by another catalog .* Materialize `features`"):
        store.read(catalog_hash=HASH)


@pytest.mark.slow
@pytest.mark.parametrize("name", ['we"ird; DROP', "meta", "catalogs", "überseehandel 24/7"])
def test_markets_share_a_file_whatever_their_names(tmp_path, name):
    path = tmp_path / "features.duckdb"
    mine, other = FeatureStore(path, name), FeatureStore(path, "crypto")
    mine.write(features(value=1), HASH)
    other.write(features(value=2), OTHER)
    mine.write(features(value=3), HASH)
    pd.testing.assert_frame_equal(mine.read(), features(value=3))
    pd.testing.assert_frame_equal(other.read(), features(value=2))
    assert (mine.catalog_hash(), other.catalog_hash()) == (HASH, OTHER)


def test_nothing_written_is_nothing_changed(store):
    assert store.write(features(days=0), HASH) == Written(0, rebuilt=False)
    assert store.catalog_hash() is None
    with pytest.raises(FeatureError, match="has no features of us equities"):
        store.read()


def test_a_market_without_features_in_a_file_of_others(store):
    store.write(features(), HASH)
    stranger = FeatureStore(store.path, "stranger")
    assert stranger.catalog_hash() is None
    with pytest.raises(FeatureError, match="has no features of stranger"):
        stranger.read()


def test_a_failed_write_leaves_the_table_as_it_was(store):
    """The same catalog cannot have other columns: the span was deleted, and must come back."""
    store.write(features(), HASH)
    with pytest.raises(StoreError):
        store.write(features(days=1).rename(columns={"two": "three"}), HASH)
    pd.testing.assert_frame_equal(store.read(), features())


def test_repeated_or_missing_keys_are_refused(store):
    with pytest.raises(FeatureError, match="features lack columns \\['symbol'\\]"):
        store.write(features().drop(columns="symbol"), HASH)
    with pytest.raises(
        FeatureError, match=r"features of AAA at 2020-01-06 .* repeat \(1 rows do\)"
    ):
        store.write(pd.concat([features(), features().iloc[:1]]), HASH)
    assert store.catalog_hash() is None


HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path):
    """Another process that has the file, until it is told to leave by the end of its input."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        yield holder


@pytest.mark.slow
def test_a_lock_held_by_another_process_says_to_wait(store):
    store.write(features(), HASH)
    hasty = FeatureStore(store.path, store.market, patience=0.3)
    with held(store.path):
        for attempt in (hasty.read, lambda: hasty.write(features(), HASH)):
            with pytest.raises(StoreError, match="another process is using the features; wait"):
                attempt()
    pd.testing.assert_frame_equal(store.read(), features())


@pytest.mark.slow
@pytest.mark.parametrize("write", [False, True], ids=["reader", "writer"])
def test_who_finds_the_file_taken_waits_for_its_turn(store, write):
    store.write(features(), HASH)
    with held(store.path) as holder, ThreadPoolExecutor(1) as thread:
        work = partial(store.write, features(value=7), HASH) if write else store.read
        waiting = thread.submit(work)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1)
        holder.stdin.close()
        waiting.result(timeout=60)
    expected = features(value=7) if write else features()
    pd.testing.assert_frame_equal(store.read(), expected)


CRASH = """
import os, sys
from pathlib import Path
import duckdb
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline_tests.adapters.store.small_tables import HASH, features

class Dying:
    def __init__(self, connection):
        self.connection = connection
    def __getattr__(self, name):
        return getattr(self.connection, name)
    def execute(self, query, *rest):
        if query == "COMMIT" and sys.argv[2] == "before":
            os._exit(9)
        self.connection.execute(query, *rest)
        if query == "COMMIT":
            os._exit(9)
        return self.connection

connect = duckdb.connect
duckdb.connect = lambda *path, **options: Dying(connect(*path, **options))
FeatureStore(Path(sys.argv[1]), "us equities").write(features(value=7), HASH)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("died", "value"), [("before", 0), ("after", 7)])
def test_a_process_that_dies_leaves_the_old_rows_or_the_new(store, died, value):
    """Around the commit, without closing anything; the next one simply reads on."""
    store.write(features(), HASH)
    command = [sys.executable, "-c", CRASH, str(store.path), died]
    assert subprocess.run(command, check=False).returncode == 9
    pd.testing.assert_frame_equal(store.read(), features(value=value))
    store.write(features(value=8), HASH)
    pd.testing.assert_frame_equal(store.read(), features(value=8))


def test_markets_that_differ_in_case_alone_are_refused(store):
    """DuckDB would keep both in one table."""
    store.write(features(), HASH)
    shouted = FeatureStore(store.path, "US Equities")
    with pytest.raises(FeatureError, match="'US Equities' and 'us equities' differ in case alone"):
        shouted.write(features(), HASH)
    pd.testing.assert_frame_equal(store.read(), features())


def test_a_connection_open_in_this_process_says_so_too(store):
    store.write(features(), HASH)
    hurried = FeatureStore(store.path, store.market, patience=0.0)
    with duckdb.connect(store.path), pytest.raises(StoreError, match="is using the features"):
        hurried.read()


@pytest.mark.parametrize("keep", ["garbage", "half"])
def test_a_damaged_file_says_how_to_mend_it(store, keep):
    store.write(features(days=400), HASH)
    whole = store.path.read_bytes()
    store.path.write_bytes(b"x" * 9000 if keep == "garbage" else whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="damaged; delete the file and run"):
        store.read()


def failing(words):
    """What DuckDB says instead of opening a file."""

    def connect(*_, **__):
        raise duckdb.Error(words)

    return connect


def test_a_file_of_a_newer_duckdb_says_how_to_make_it_anew(store, monkeypatch):
    """In the words of DuckDB 2.0, which checks that its header was not made up."""
    words = (
        "IO Error: Trying to read a database file with storage version number 1000, but we can "
        "only read storage versions between 64 and 999."
    )
    store.write(features(), HASH)
    monkeypatch.setattr(duckdb, "connect", failing(words))
    with pytest.raises(StoreError, match=r"another version of DuckDB; .*delete the file and run"):
        store.read()


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = FeatureStore(tmp_path / "file" / "features.duckdb", "m")
    with pytest.raises(StoreError, match=r"file/features.duckdb: cannot be used. Check that"):
        store.write(features(), HASH)


def test_a_full_disk_is_called_one_and_nothing_is_lost(store, monkeypatch):
    """In the words of DuckDB 2.0 on a file system of three megabytes."""
    words = (
        "TransactionContext Error: Failed to commit: Could not write file "
        '"/small/features.duckdb.wal": No space left on device'
    )
    store.write(features(), HASH)
    with monkeypatch.context() as small:
        small.setattr(duckdb, "connect", failing(words))
        with pytest.raises(StoreError, match=r"features\.duckdb: the disk is full; make room"):
            store.write(features(value=7), HASH)
    pd.testing.assert_frame_equal(store.read(), features())


@pytest.mark.slow
def test_the_module_loads_without_duckdb():
    """Every Dagster process loads it; not every one opens the store."""
    code = "import sys, trading_pipeline.adapters.store.features; print('duckdb' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"


def test_a_grid_is_the_table_laid_out(store):
    """In any order of dates and symbols, with those that the table lacks and without others."""
    given = features(days=300, symbols=("AAA", "BBB", "CCC")).drop(index=[4, 10])
    store.write(given, HASH)
    stamps = pd.date_range(FIRST + timedelta(days=20), periods=290, unit="us")[::-1]
    symbols = ["CCC", "none", "AAA"]
    grid = store.read_grid(stamps, symbols, HASH)
    np.testing.assert_array_equal(grid, feature_grid(given, stamps, symbols))
    assert grid.flags.c_contiguous
    assert grid.dtype == np.float32
    with pytest.raises(FeatureError, match="made by another catalog"):
        store.read_grid(stamps, symbols, OTHER)


def test_columns_say_in_the_database_what_they_mean(store):
    store.write(features().rename(columns={"one": "ret_5"}), HASH)
    query = "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE schema_name = ?"
    with duckdb.connect(store.path, read_only=True) as connection:
        columns = {row[0]: row[1:] for row in connection.execute(query, ["market"]).fetchall()}
    kind, comment = columns["ret_5"]
    assert kind == "FLOAT"
    assert comment.startswith("log(C[t] / C[t-bars]) / (σ √bars), bars 5; σ√bars, -5 to 5; NaN")
    assert columns["two"] == ("FLOAT", None)


def test_a_span_without_rows_empties_it(store):
    store.write(features(days=5), HASH)
    start, end = FIRST + timedelta(days=1), FIRST + timedelta(days=3)
    assert store.write(features(days=0), HASH, (start, end)) == Written(0, rebuilt=False)
    assert store.read()["timestamp"].dt.day.unique().tolist() == [6, 9, 10]
    store.write(features(days=1), HASH, (None, None))
    pd.testing.assert_frame_equal(store.read(), features(days=1))


def test_what_a_table_is_of_is_known_while_all_of_it_is(store):
    assert store.made_of(HASH) == {}
    store.write(features(), HASH, made_of={"2020-01": "x"})
    assert store.made_of(HASH) == {"2020-01": "x"}
    assert store.made_of(OTHER) == {}
    store.write(features(), HASH)
    assert store.made_of(HASH) == {}


def test_the_first_bars_of_symbols(store):
    store.write(features(days=5).drop(index=[0]), HASH)
    got = store.first_bars(["AAA", "BBB", "none"], FIRST + timedelta(days=3))
    assert got.to_dict() == {"AAA": FIRST + timedelta(days=1), "BBB": FIRST}
