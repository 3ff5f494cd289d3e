"""Exports stamped with midnight in New York: bars and actions alike fall on their sessions."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.adapters.store.bars import ACTIONS_FILE
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.steps.quality import examine_files
from trading_pipeline_tests.core.trading.markets import simulated

SPLIT, DIVIDEND = "2020-08-31", "2020-02-07"  # New York is 4 hours behind UTC, then 5
SESSIONS = trading_calendar("XNYS", "1d").sessions(
    pd.Timestamp("2019-06-03", tz="UTC"), pd.Timestamp("2021-03-01", tz="UTC")
)
NEW_YORK = "America/New_York"
FREE = Costs(fee=0, slippage=0, borrow=0, debit=0, min_notional=0, participation=inf)
RULES = replace(PROFILES["moderate"], volatility_target=inf, starting_cap=1.0)


def at(days, zone):
    """Dates at midnight of a zone."""
    return pd.DatetimeIndex(days).tz_localize(None).tz_localize(zone)


@pytest.fixture
def export(tmp_path):
    """Writes bars of AAPL that cost 400, 399 from the dividend on and a quarter after the split."""

    def write(bars_in: str, actions_in: str):
        close = np.where(SESSIONS >= DIVIDEND, 399.0, 400.0)
        close = np.where(SESSIONS >= SPLIT, close / 4, close)
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        bars = {"timestamp": at(SESSIONS, bars_in), "symbol": "AAPL", **prices, "volume": 1e6}
        pd.DataFrame(bars).to_parquet(tmp_path / "aapl.parquet", index=False)
        actions = {"symbol": "AAPL", "kind": ["dividend", "split"], "value": [1.0, 4.0]}
        stamps = {"timestamp": at([DIVIDEND, SPLIT], actions_in)}
        pd.DataFrame(stamps | actions).to_parquet(tmp_path / ACTIONS_FILE, index=False)
        return tmp_path

    return write


@pytest.mark.slow
@pytest.mark.parametrize("actions_in", ["UTC", NEW_YORK])
@pytest.mark.parametrize("bars_in", ["UTC", NEW_YORK])
def test_a_position_goes_through_a_split_and_a_dividend_unharmed(export, bars_in, actions_in):
    """One session late, the split alone looked like a loss of three quarters and tripped a stop."""
    source = ParquetSource(export(bars_in, actions_in))
    bars, actions = source.bars(["AAPL"], *source.span(["AAPL"])), source.actions(["AAPL"])
    assert [f"{stamp:%Y-%m-%d %H:%M}" for stamp in actions["timestamp"]] == [
        f"{DIVIDEND} 00:00",
        f"{SPLIT} 00:00",
    ]
    panel = Panel.of(bars, actions)
    assert panel.timestamps.equals(SESSIONS)
    book = simulated(
        panel,
        start=64,
        stop=len(SESSIONS),
        capital=1e5,
        costs=FREE,
        bars_per_year=252,
        horizon=21,
        mandate="long_only",
        shortable=False,
        profile=RULES,
        weights=np.full((len(SESSIONS), 1), 0.5),
        volatility=np.full((len(SESSIONS), 1), 0.01),
    )
    np.testing.assert_allclose(book.equity, 1e5, rtol=1e-9)
    assert (book.fills("s")["kind"] == "order").all()
    assert book.quantity[-1, 0] > 3 * book.quantity[1, 0] > 0


@pytest.mark.parametrize("actions_in", ["UTC", NEW_YORK])
@pytest.mark.parametrize("bars_in", ["UTC", NEW_YORK])
def test_quality_finds_nothing_in_such_an_export(export, bars_in, actions_in):
    found = examine_files(export(bars_in, actions_in)).findings
    assert not [each for each in found if each.kind in ("jump", "unit", "closed", "gap")]


def test_two_dividends_of_a_day_are_paid_together(export):
    """A regular and a special one; the file is read, and not refused as a duplicate."""
    folder = export("UTC", "UTC")
    table = pd.read_parquet(folder / ACTIONS_FILE)
    special = table[table["kind"] == "dividend"].assign(value=2.5)
    pd.concat([table, special]).to_parquet(folder / ACTIONS_FILE, index=False)
    actions = ParquetSource(folder).actions(["AAPL"])
    assert actions["value"].tolist() == [3.5, 4.0]


def test_an_action_told_in_two_zones_counts_once(export):
    folder = export("UTC", "UTC")
    table = pd.read_parquet(folder / ACTIONS_FILE)
    again = table.assign(timestamp=at(table["timestamp"], NEW_YORK).tz_convert("UTC"))
    pd.concat([table, again]).to_parquet(folder / ACTIONS_FILE, index=False)
    assert ParquetSource(folder).actions(["AAPL"])["value"].tolist() == [1.0, 4.0]
