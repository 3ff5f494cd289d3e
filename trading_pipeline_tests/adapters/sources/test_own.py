"""A source of one's own: the contract of every source, and errors that say what to do."""

import sys

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.factory import SourceFactory
from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.adapters.sources.table import TableSource
from trading_pipeline.errors import BarsError, SettingsError
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract

MODULE = """
import pandas as pd
from trading_pipeline.adapters.sources.table import TableSource

class Csv(TableSource):
    def __init__(self, path):
        self.path = path
    def table(self):
        return pd.read_csv(self.path, parse_dates=["timestamp"])

class NoSource:
    live = False

class Live(Csv):
    live = True
"""


class Rows(TableSource):
    """Whatever rows it is given."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows

    def table(self) -> pd.DataFrame:
        return self.rows


@pytest.fixture(scope="module")
def bars():
    sample = SampleSource()
    first = pd.Timestamp("2012-01-01", tz="UTC")
    return sample.bars(["IBM", "MSFT"], first, first + pd.Timedelta(days=60))


@pytest.fixture
def folder(tmp_path, bars):
    (tmp_path / "my_source.py").write_text(MODULE)
    bars.to_csv(tmp_path / "bars.csv", index=False)
    yield tmp_path
    sys.modules.pop("my_source", None)


def opened(folder, name, **options):
    return SourceFactory(folder=str(folder), options=options).open(f"my_source:{name}", "1d")


class TestContract(BarSourceContract):
    @pytest.fixture(scope="class")
    def source(self, bars):
        return Rows(bars.sample(frac=1, random_state=0))  # in any order


def test_a_class_beside_the_settings_is_found_and_gets_its_options(folder, bars):
    source = opened(folder, "Csv", path=str(folder / "bars.csv"))
    found = source.bars(source.symbols(), *source.span(source.symbols()))
    pd.testing.assert_frame_equal(found[list(bars)], bars)
    assert str(folder) not in sys.path


def test_rows_that_are_no_bars_are_set_aside_and_named(bars):
    rows = pd.concat([bars] * 3).drop_duplicates().reset_index(drop=True)
    rows.loc[3, "low"] = -1.0
    with pytest.raises(BarsError, match=r"Rows: row 3"):  # one in eighty is more than 1 %
        Rows(rows).symbols()
    many = pd.concat(
        [rows, *(bars.assign(symbol=f"S{n}") for n in range(2))], ignore_index=True
    ).drop_duplicates(["timestamp", "symbol"])
    assert list(Rows(many).set_aside("XNYS")["row"]) == [3]


@pytest.mark.parametrize(
    ("place", "options", "said"),
    [
        ("nowhere:Csv", {}, r"put nowhere.py beside pipeline.toml"),
        ("my_source:Other", {}, r"the module has no Other"),
        ("my_source:Csv", {}, r"path"),
        ("my_source:Csv", {"file": "x"}, r"file"),
        ("my_source:NoSource", {}, r"lacks symbols, span, bars, actions, set_aside"),
        ("my_source:Live", {"path": "x"}, r"does not say `live = False`"),
    ],
)
def test_what_is_no_source_is_refused_with_the_next_step(folder, place, options, said):
    with pytest.raises(SettingsError, match=said):
        SourceFactory(folder=str(folder), options=options).open(place, "1d")
