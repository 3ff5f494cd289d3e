"""Every fault of both venues, through the unmodified clients, into a real store.

The same bars as from a venue that behaves, or a clear error and a store that is as it was.
"""

from typing import Any

import pandas as pd
import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.errors import CredentialsError, SourceError, SourceUnavailable
from trading_pipeline_tests.fakes.downloads import CASES, fetch
from trading_pipeline_tests.fakes.venue import (
    CHANGES_HISTORY,
    FAULTS,
    FOREVER,
    HTML,
    Answer,
    Fault,
    refusal,
)

MOMENTS = ("first", "nightly")


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """What well-behaved venues tell, with their history as it was and as it is changed."""
    found = {}
    for name, case in CASES.items():
        for changed in (False, True):
            with case.venue() as venue:
                store = BarStore(tmp_path_factory.mktemp("truth"))
                if changed:
                    venue.change_history()
                assert not fetch(case, venue, store).failures
                found[name, changed] = store.read()
    return found


@pytest.mark.slow
@pytest.mark.sampled(20)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CASES)
def test_a_fault_does_not_show_in_the_store(tmp_path, truth, name, fault, moment):
    case, store = CASES[name], BarStore(tmp_path / "raw")
    changed = fault in CHANGES_HISTORY
    with case.venue() as venue:
        if moment == "nightly":
            fetch(case, venue, store, instant=case.before)
        FAULTS[fault](venue)
        done = fetch(case, venue, store, timeout=0.7 if fault == "silence" else 10.0)
        assert not done.failures
        if changed and moment == "nightly":  # settled bars are believed until all are asked for
            assert fetch(case, venue, store, refetch=True).changed
    pd.testing.assert_frame_equal(store.read(), truth[name, changed])
    assert bool(len(store.revisions())) == (changed and moment == "nightly")


HOPELESS = {
    "429": (refusal(429), SourceUnavailable),
    "429 until tomorrow": (refusal(429, retry_after=86_400), SourceUnavailable),
    "418": (refusal(418, retry_after=86_400), SourceUnavailable),
    "500": (refusal(500), SourceUnavailable),
    "a page of HTML": (Fault(answer=Answer(HTML.payload)), SourceUnavailable),
    "an empty body": (Fault(answer=Answer(b"")), SourceUnavailable),
    "half of a JSON text": (Fault(answer=Answer(b"[[160945")), SourceUnavailable),
    "cut before the answer": (Fault(cut=0.0), SourceUnavailable),
    "cut in the middle": (Fault(cut=0.5), SourceUnavailable),
    "silence": (Fault(silent=True), SourceUnavailable),
    "JSON of something else": (Fault(answer=Answer({"hello": "world"})), SourceError),
    "keys refused": (refusal(401), SourceError),
}


@pytest.mark.slow
@pytest.mark.sampled(8)
@pytest.mark.parametrize("fault", HOPELESS)
@pytest.mark.parametrize("name", CASES)
def test_a_venue_that_does_not_come_back_leaves_the_store_as_it_was(tmp_path, name, fault):
    case, store = CASES[name], BarStore(tmp_path / "raw")
    misbehaviour, error = HOPELESS[fault]
    with case.venue() as venue:
        fetch(case, venue, store, instant=case.before)
        before = contents(store)
        venue.misbehave(misbehaviour, FOREVER)
        with pytest.raises(error) as refused:
            fetch(case, venue, store, timeout=0.2 if fault == "silence" else 10.0)
        assert len(str(refused.value)) > 20
        if fault == "keys refused" and name == "alpaca":
            assert isinstance(refused.value, CredentialsError)
    assert contents(store) == before
    assert not [path for path in store.folder.rglob(".*") if path.name != ".lock"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_symbol_that_only_fails_does_not_take_the_others_with_it(tmp_path, truth, name):
    case, store = CASES[name], BarStore(tmp_path / "raw")
    bad = "NEWCO" if name == "alpaca" else "BTC/USDT"  # both have bars that are asked for
    with case.venue() as venue:
        # A few more nights: one or two impossible rows would be set aside, and no failure.
        fetch(case, venue, store, instant=case.before - pd.Timedelta(days=7))
        where = bad if name == "alpaca" else f"symbol={bad.replace('/', '')}"
        venue.misbehave(Fault(rows=lambda rows: [_broken(row) for row in rows]), FOREVER, where)
        done = fetch(case, venue, store)
        venue.behave()
        assert list(done.failures) == [bad]
        assert not fetch(case, venue, store).failures
    pd.testing.assert_frame_equal(store.read(), truth[name, False])


def _broken(row: Any) -> Any:
    """The bar with a price that is none."""
    return [*row[:2], "-1", *row[3:]] if isinstance(row, list) else row | {"h": -1.0}


def contents(store: BarStore) -> dict[str, bytes]:
    paths = [path for path in store.folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}
