"""A venue that answers 200 with less than it has is never believed for good.

Two healthy runs after any such answer the store is that of a venue that always behaved.
"""

from contextlib import suppress

import pandas as pd
import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline_tests.fakes.downloads import CASES, fetch
from trading_pipeline_tests.fakes.venue import FOREVER, Fault

DAY = pd.Timedelta(days=1)
NONE = Fault(rows=lambda rows: [])
# A symbol of each venue; a hole of some days, of all of them, and what lies before and after it.
ONE = {"alpaca": "AAPL", "binance": "BTC/USDT"}
FEW = {"alpaca": ("2024-11-05", "2024-11-08"), "binance": ("2021-03-05", "2021-03-08")}
MOST = {"alpaca": ("2024-10-30", "2024-11-26"), "binance": ("2021-02-20", "2021-06-01")}
EARLY, LATE = "1990-01-01", "2050-01-01"


def page_faults(times, after):
    return lambda venue, name: venue.misbehave(NONE, times, after=after)


def withheld(spans, everyone=False):
    """Spans of the time of a venue, of one symbol or of all, that it says nothing of for a run."""

    def tell(venue, name):
        symbols = CASES[name].market.symbols if everyone else [ONE[name]]
        venue.withheld = {symbol: [spans(name)] for symbol in symbols}

    return tell


LIES = {
    **{f"nothing once, after {n} pages": page_faults(1, n) for n in (0, 1, 2, 4, 8)},
    **{f"nothing twice, after {n} pages": page_faults(2, n) for n in (0, 4)},
    "nothing but empty pages": page_faults(FOREVER, 0),
    "nothing of one symbol": withheld(lambda name: (EARLY, LATE)),
    "a small hole": withheld(lambda name: FEW[name]),
    "a large hole": withheld(lambda name: MOST[name]),
    "a small hole of all": withheld(lambda name: FEW[name], everyone=True),
    "a large hole of all": withheld(lambda name: MOST[name], everyone=True),
    "no head": withheld(lambda name: (EARLY, FEW[name][0])),
    "no tail": withheld(lambda name: (FEW[name][1], LATE)),
    "no tail of all": withheld(lambda name: (FEW[name][1], LATE), everyone=True),
}


def night(case, venue, store, nights):
    return fetch(case, venue, store, instant=case.today - nights * DAY)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    found = {}
    for name, case in CASES.items():
        with case.venue() as venue:
            store = BarStore(tmp_path_factory.mktemp("truth"))
            assert not night(case, venue, store, 0).failures  # of the late and the delisted, too
            found[name] = store.read()
    return found


@pytest.mark.slow
@pytest.mark.sampled(40)
@pytest.mark.parametrize("moment", ["first", "nightly"])
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", CASES)
def test_two_healthy_nights_later_nothing_is_missing(tmp_path, truth, name, lie, moment):
    """Whatever was left out, of whom, and in whichever of its answers."""
    case, store = CASES[name], BarStore(tmp_path / "raw")
    with case.venue() as venue:
        if moment == "nightly":
            night(case, venue, store, 6)
        LIES[lie](venue, name)
        with suppress(TradingPipelineError):
            night(case, venue, store, 2)
        venue.behave()
        venue.withheld.clear()
        night(case, venue, store, 1)
        assert not night(case, venue, store, 0).failures
    pd.testing.assert_frame_equal(store.read(), truth[name])
