"""A gallery of Parquet files: each is read as it is meant, or refused in a line, exit code 2."""

import os
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.adapters.store.bars import ACTIONS_FILE
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.errors import BarsError, SourceError
from trading_pipeline_tests.synthetic import panel

BARS = panel(30)
TABLE = pa.Table.from_pandas(BARS, preserve_index=False)


def column(name, values, table=TABLE):
    """The table with another column of that name."""
    return table.set_column(table.column_names.index(name), name, values)


def cast(name, kind):
    return column(name, TABLE[name].cast(kind))


def typed(value, kind):
    return pa.array([value] * len(TABLE), kind)


def index_and_column(path):
    BARS.set_index("timestamp", drop=False).to_parquet(path)


def index_of_both(path):
    BARS.set_index(["symbol", "timestamp"], drop=False).to_parquet(path)


def arrow_backed(path):
    kind = pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    BARS.assign(symbol=BARS["symbol"].astype(kind)).to_parquet(path, index=False)


def nullable(path):
    BARS.convert_dtypes(dtype_backend="pyarrow").to_parquet(path, index=False)


def row_groups(path):
    pq.write_table(TABLE, path, row_group_size=7, compression="zstd")


def with_extras(path):
    """Columns that bars do not have, of types that nobody reads."""
    nested = pa.array([{"a": [1]}] * len(TABLE))
    named = pa.ExtensionArray.from_storage(pa.uuid(), typed(b"0123456789abcdef", pa.binary(16)))
    pq.write_table(TABLE.append_column("note", nested).append_column("id", named), path)


def written(table):
    return lambda path: pq.write_table(table, path)


DECIMALS = pa.array([Decimal(round(value)) for value in BARS["volume"]], pa.decimal128(12, 2))
READ = {
    "timestamp is index and column": index_and_column,
    "both keys are index and column": index_of_both,
    "symbol is a dictionary of Arrow": arrow_backed,
    "types of Arrow in pandas": nullable,
    "symbol is a dictionary": written(column("symbol", TABLE["symbol"].dictionary_encode())),
    "symbol is a large string": written(cast("symbol", pa.large_string())),
    "symbol is a string view": written(cast("symbol", pa.string_view())),
    "prices are of 32 bits": written(cast("high", pa.float32())),
    "volume is a decimal": written(column("volume", DECIMALS)),
    "stamps are of nanoseconds": written(cast("timestamp", pa.timestamp("ns", "UTC"))),
    "stamps are of Berlin": written(cast("timestamp", pa.timestamp("ms", "Europe/Berlin"))),
    "stamps are of a zone unknown here": written(cast("timestamp", pa.timestamp("us", "Mars/X"))),
    "small row groups": row_groups,
    "columns that nobody reads": with_extras,
}


@pytest.mark.parametrize("kind", READ)
def test_a_panel_is_read_however_it_was_written(tmp_path, kind):
    READ[kind](path := tmp_path / "panel.parquet")
    source = ParquetSource(path)
    got = source.bars(source.symbols(), *source.span(source.symbols()))
    pd.testing.assert_frame_equal(got[list(BARS.columns[:2])], BARS[list(BARS.columns[:2])])
    np.testing.assert_allclose(got["volume"], BARS["volume"], atol=1)
    np.testing.assert_allclose(got["close"], BARS["close"])
    assert list(got.columns) == list(BARS.columns)


def damaged(place, length=64):
    """A sound file with bytes overwritten at a fraction of its length."""

    def write(path):
        pq.write_table(TABLE, path, compression="snappy", use_dictionary=False)
        content = bytearray(path.read_bytes())
        first = int(place * len(content))
        content[first : first + length] = b"\xff" * len(content[first : first + length])
        path.write_bytes(bytes(content))

    return write


def cut(share):
    def write(path):
        pq.write_table(TABLE, path)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return write


def content(data):
    return lambda path: path.write_bytes(data)


def twice(path):
    pq.write_table(TABLE.append_column("close", TABLE["open"]), path)


def far(unit):
    return column("timestamp", typed(2**62, pa.timestamp(unit, "UTC")))


def out_of_reach(path):
    pq.write_table(cast("timestamp", pa.timestamp("ms", "UTC")), path)
    path.chmod(0)


STAMPS = TABLE["timestamp"].cast(pa.date32())
EXTENSION = pa.ExtensionArray.from_storage(pa.uuid(), typed(b"0123456789abcdef", pa.binary(16)))
REFUSED = {
    "nothing at all": content(b""),
    "text": content(b"timestamp,symbol\n2020-01-01,IBM\n"),
    "another magic": content(b"ORC" + b"\0" * 64),
    "magic alone": content(b"PAR1" * 9),
    "a footer that is too long": content(b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1"),
    "cut within the footer": cut(0.97),
    "cut within the pages": cut(0.3),
    "damage in the pages": damaged(0.3),
    "damage in the first page": damaged(0.0005, 24),
    "damage in the footer": damaged(0.93),
    "a folder of that name": lambda path: path.mkdir(),
    "a link to nowhere": lambda path: path.symlink_to(path.with_name("nowhere")),
    "no rows": written(TABLE.slice(0, 0)),
    "no row groups": written(TABLE.schema.empty_table()),
    "no columns": written(TABLE.select([])),
    "a column twice": twice,
    "stamps are dates": written(column("timestamp", STAMPS)),
    "stamps are in no zone": written(cast("timestamp", pa.timestamp("us"))),
    "stamps are numbers": written(cast("timestamp", pa.int64())),
    "stamps are times of day": written(column("timestamp", typed(5, pa.time64("us")))),
    "stamps are beyond microseconds": written(far("ms")),
    "stamps are in the year 148,000": written(far("us")),
    "stamps are before all calendars": written(
        column("timestamp", pa.array(BARS["timestamp"] - pd.DateOffset(years=200)))
    ),
    "a symbol is nested": written(column("symbol", pa.array([{"name": "A"}] * len(TABLE)))),
    "a symbol is a list": written(column("symbol", typed(["A"], pa.list_(pa.string())))),
    "a symbol is bytes": written(column("symbol", typed(b"A", pa.binary()))),
    "a symbol is a number": written(column("symbol", typed(7, pa.int8()))),
    "a symbol is of an extension": written(column("symbol", EXTENSION)),
    "a symbol is missing": written(column("symbol", typed(None, pa.string()))),
    "a symbol is no text": written(
        column("symbol", pa.array([b"\xff\xfe"] * len(TABLE)).view(pa.string()))
    ),
    "a price is text": written(column("close", typed("1.5", pa.string()))),
    "a price is nothing": written(column("close", pa.nulls(len(TABLE)))),
    "a price is a list": written(column("close", typed([1.0], pa.list_(pa.float64())))),
    "a volume is a duration": written(column("volume", typed(5, pa.duration("s")))),
    "a volume is yes or no": written(column("volume", typed(True, pa.bool_()))),
}
COMMANDS = {
    "quality": ("quality",),
    "check-leakage": ("check-leakage", "--cuts=1"),
    "walk-forward": ("walk-forward", "--out=out", "--preset=tiny"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.sampled(3)
def test_what_is_no_panel_is_refused_by_every_command(run, folder, kind, command):
    """Exit code 1 means 'leak found' or 'severe' elsewhere: no reader's error may end so."""
    REFUSED[kind](path := folder / "panel.parquet")
    code, said = run(*COMMANDS[command], "--data-path", path)
    assert (code, said.startswith(f"error: {path}")) == (2, True), said
    assert not (folder / "out").exists()


@given(st.data())
def test_damage_anywhere_is_refused_or_harmless(tmp_path_factory, data):
    """Bytes overwritten wherever: what is read obeys the rules, and what is refused names it."""
    path = tmp_path_factory.mktemp("damaged") / "panel.parquet"
    codec = data.draw(st.sampled_from(["none", "snappy", "zstd"]))
    pq.write_table(TABLE, path, compression=codec, write_page_checksum=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        source = ParquetSource(path)
        check_bars(source.bars(source.symbols(), *source.span(source.symbols())))
    except (BarsError, SourceError) as error:
        assert str(error).startswith(str(path))  # noqa: PT017


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    out_of_reach(path := tmp_path / "panel.parquet")
    with pytest.raises(SourceError, match=r"cannot be read: .*Permission denied"):
        ParquetSource(path).symbols()


@pytest.mark.parametrize("path", ["x" * 300 + ".parquet", "sub/../panel.parquet/inner.parquet"])
def test_a_path_that_cannot_be_is_refused(run, folder, path):
    (folder / "panel.parquet").write_bytes(b"")
    code, said = run("quality", "--data-path", folder / path)
    assert (code, "error: " in said) == (2, True), said


ACTIONS = pa.table(
    {
        "timestamp": pa.array([BARS["timestamp"][20]], pa.timestamp("us", "UTC")),
        "symbol": ["AAA"],
        "kind": ["dividend"],
        "value": [0.1],
    }
)


@pytest.mark.parametrize(
    "broken",
    [
        column("timestamp", pa.array([5], pa.date32()), ACTIONS),
        column("symbol", pa.array([["AAA"]]), ACTIONS),
        column("kind", pa.array([{"a": 1}]), ACTIONS),
        column("kind", pa.array([None], pa.string()), ACTIONS),
        column("value", pa.array(["0.1"]), ACTIONS),
        column("value", pa.array([None], pa.float64()), ACTIONS),
        ACTIONS.append_column("value", ACTIONS["value"]),
        ACTIONS.drop_columns("kind"),
    ],
)
def test_actions_that_cannot_be_read_are_refused(tmp_path, broken):
    pq.write_table(TABLE, tmp_path / "panel.parquet")
    pq.write_table(broken, tmp_path / ACTIONS_FILE)
    with pytest.raises((BarsError, SourceError), match=ACTIONS_FILE):
        ParquetSource(tmp_path).actions(["AAA"])


def test_actions_are_read_however_they_were_written(tmp_path):
    pq.write_table(TABLE, tmp_path / "panel.parquet")
    table = column("kind", ACTIONS["kind"].dictionary_encode(), ACTIONS)
    table = column("value", ACTIONS["value"].cast(pa.decimal128(6, 2)), table)
    pq.write_table(table, tmp_path / ACTIONS_FILE)
    assert ParquetSource(tmp_path).actions(["AAA"])["value"].tolist() == [0.1]
