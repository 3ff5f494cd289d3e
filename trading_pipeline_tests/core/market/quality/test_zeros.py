"""Zeros, constants and bars that nobody expects: what is found in them has words and numbers."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.reports.quality import quality_markdown, quality_text
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.quality.report import examine, held_out
from trading_pipeline.errors import BarsError
from trading_pipeline_tests.core.market.planted import CALENDAR, clean_bars, panel_of

CLEAN = clean_bars(100)
ALWAYS, HOURS = trading_calendar("24/7", "1d"), trading_calendar("XNYS", "1h")


def examined(bars, calendar=CALENDAR):
    """All that is said of bars; any warning of numpy is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        quality = examine(bars, None, calendar, "zeros")
        said = [quality_text(quality), quality_markdown(quality), *held_out(panel_of(bars))]
    for text in said:
        assert not re.search(r"\b(inf|nan|NaN|NaT)\b", text), text
    return quality


@st.composite
def degenerate(draw):
    """Each symbol has stretches of no volume, of constant prices, and of jumps by orders."""
    bars, size = CLEAN.copy(), CLEAN["timestamp"].nunique()
    for symbol in draw(st.sets(st.sampled_from(["AAA", "BBB", "CCC", "DDD"]), min_size=1)):
        rows = bars.index[bars["symbol"] == symbol]
        for _ in range(draw(st.integers(1, 3))):
            first = draw(st.integers(0, size - 1))
            part = rows[first : first + draw(st.integers(1, size))]
            change = draw(st.sampled_from(["no volume", "still", "level", "little", "gone"]))
            if change == "no volume":
                bars.loc[part, "volume"] = 0.0
            elif change == "still":
                bars.loc[part, ["open", "high", "low", "close"]] = draw(
                    st.sampled_from([1e-12, 0.0000123, 1.0, 1e12])
                )
            elif change == "level":
                bars.loc[part, ["open", "high", "low", "close"]] *= draw(
                    st.sampled_from([1e-9, 0.01, 100.0, 1e9])
                )
            elif change == "little":
                bars.loc[part, "volume"] *= draw(st.sampled_from([1e-300, 1e-6, 1e6]))
            else:
                bars.loc[part, "close"] = np.nan
    kept = bars.dropna()
    return check_bars(kept if len(kept) else CLEAN)


@given(degenerate(), st.sampled_from([CALENDAR, ALWAYS]))
@pytest.mark.slow
def test_nothing_infinite_is_said_of_zeros_and_constants(bars, calendar):
    """'Volume at inf times its level' helps nobody, and a division warns of a fault of ours."""
    examined(bars, calendar)


@pytest.mark.parametrize("quiet", [slice(0, 70), slice(70, 100)])
def test_a_volume_that_begins_or_ends_says_by_how_much(quiet):
    """The medians of such stretches are zero; what is compared is what is traded on average."""
    bars = CLEAN.copy()
    rows = bars.index[bars["symbol"] == "BBB"]
    bars.loc[rows[quiet], "volume"] = 0.0
    bars.loc[rows[60 if quiet.start == 0 else 72], "volume"] = 1.0
    (unit,) = (each for each in examined(bars).findings if each.kind == "unit")
    assert re.match(r"volume at (1/)?[\d,.e+]+ (times|of) its level", unit.figure)


def test_bars_that_are_all_outside_the_session_are_refused():
    """No bar is expected then: everything would be counted over nothing."""
    stamps = pd.date_range("2020-01-06 10:00", periods=3, freq="h", tz="UTC", unit="us")
    early = CLEAN.groupby("symbol").head(3).assign(timestamp=list(np.repeat(stamps, 4)))
    with pytest.raises(BarsError, match="XNYS expects no bar of 1h from 2020-01-06 10:00 to"):
        examined(check_bars(early), HOURS)
