"""A recording gives the orders that were made, and anything that was changed shows."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.adapters.kill_switch import HALTED, TRADING, record_intent
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import BrokenChain, LedgerError, StoreError
from trading_pipeline.steps import recording
from trading_pipeline.steps.identity import compare
from trading_pipeline.steps.recording import Recording, history_arrays
from trading_pipeline_tests.core.trading.markets import rough_panel
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import FIRST, LAST, MARKET, STREAM


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What an undisturbed session left."""
    folder = tmp_path_factory.mktemp("session")
    kills.undisturbed(folder)
    return folder


@pytest.fixture
def ledger(folder):
    with Ledger(folder / "ledger.sqlite") as opened:
        yield opened


def traded(panel):
    return panel.traded


def compared(ledger, folder):
    return compare(ledger, MARKET, RecordingStore(folder / "recordings"), "s", traded)


@pytest.mark.slow
def test_a_recording_makes_the_orders_of_the_session(ledger, folder):
    found = compared(ledger, folder)
    assert found.same
    assert (found.bars, found.cause) == (LAST - FIRST + 1, "")
    assert found.orders >= 100
    assert found.fills >= 100
    assert found.vetoes >= 2


@pytest.mark.slow
def test_a_session_without_bars_has_nothing_to_compare(ledger, folder):
    with pytest.raises(LedgerError, match=r"no bar; there are: paper/killed/s"):
        compare(ledger, MARKET, RecordingStore(folder / "recordings"), "other", traded)


@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.slow
def test_a_halted_session_is_replayed_with_the_operators_word(tmp_path, flatten):
    """Halted before it begins, and trading again at the end of a bar in between."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        record_intent(ledger, MARKET.name, HALTED, "", kills.BEGIN, flatten=flatten)
    kills.trade(tmp_path, 0, last=FIRST + 9)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        record_intent(ledger, MARKET.name, TRADING, "", kills.BEGIN)
    kills.trade(tmp_path, 1)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        found = compared(ledger, tmp_path)
        assert found.same
        assert found.orders >= 50


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume", "split", "dividend"])
def test_a_changed_bar_breaks_the_chain(ledger, folder, name):
    """Whoever changes the ledger does not know that each event carries the hash before it."""
    events = ledger.read(STREAM, kind="bar")
    payload = events[3].payload
    changed = [2.0] * len(payload["open"]) if name in payload else {"AAA": 2.0}
    with ledger._table.writing() as connection:
        row = {**payload, name: changed}
        _put(connection, events[3].seq, row)
    try:
        with pytest.raises(BrokenChain, match=f"event {events[3].seq} was changed"):
            compared(ledger, folder)
        with pytest.raises(BrokenChain):  # nor does a session go on from it
            Recording.read(ledger, STREAM, RecordingStore(folder / "recordings"))
    finally:
        with ledger._table.writing() as connection:
            _put(connection, events[3].seq, payload)
    assert compared(ledger, folder).same


def _put(connection, seq, payload):
    from trading_pipeline.adapters.store.event_table import EVENTS
    from trading_pipeline.adapters.store.ledger import canonical_json

    chosen = (EVENTS.c.stream == STREAM) & (EVENTS.c.seq == seq)
    connection.execute(EVENTS.update().where(chosen).values(payload=canonical_json(payload)))


@pytest.mark.parametrize(
    ("name", "what", "cause"),
    [
        ("open", "fill", "a fill that the engine would not have made"),
        ("close", "equity", "fills are the same, and the account is worth something else"),
    ],
)
def test_a_bar_changed_with_its_chain_changes_what_follows(
    ledger, folder, monkeypatch, name, what, cause
):
    """Forged so that every hash fits again: the replay still differs, from that bar on."""
    true = Recording.of.__func__

    def forged(cls, history, bars, decisions):
        seen = true(cls, history, bars, decisions)
        grid = getattr(seen.panel, name).copy()
        grid[FIRST + 12] *= 1.0001
        return replace(seen, panel=replace(seen.panel, **{name: grid}))

    monkeypatch.setattr(Recording, "of", classmethod(forged))
    found = compared(ledger, folder)
    assert not found.same
    assert found.differences[0].at == kills.panel().timestamps[FIRST + 12]
    assert found.differences[0].what.startswith(what)
    assert cause in found.cause


def test_what_was_known_at_the_beginning_cannot_be_changed(ledger, folder, tmp_path):
    (file,) = (folder / "recordings").glob("*.npz")
    with np.load(file) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    arrays["close"][5] *= 1.01
    place = tmp_path / file.name
    np.savez_compressed(place, **arrays)
    with pytest.raises(StoreError, match="was changed since"):
        compare(ledger, MARKET, RecordingStore(tmp_path), "s", traded)
    with pytest.raises(StoreError, match="cannot be read"):
        compare(ledger, MARKET, RecordingStore(tmp_path / "none"), "s", traded)


class Written:
    """An event of the ledger, as far as a recording looks."""

    def __init__(self, at, payload):
        self.at, self.payload = at, payload


@pytest.mark.parametrize("seed", range(4))
def test_a_panel_comes_back_bit_for_bit(seed):
    """Gaps, late listings, splits, dividends, doubts: rows as events, the others as arrays."""
    panel = rough_panel(seed, T=90)
    if seed == 3:
        doubts = np.zeros(panel.close.shape, dtype=bool)
        doubts[40:70, 1] = True
        panel = replace(panel, in_doubt=doubts, shares=np.array([1.0, 2.0, 1.0, 0.5]))
    first = 30
    nothing = np.full(panel.close.shape, np.nan)
    said = recording.Forecasts(score=nothing, volatility=nothing, half_life=nothing[:, 0])
    events = [
        Written(panel.timestamps[row].to_pydatetime(), recording.bar_payload(panel, row))
        for row in range(first, 90)
    ]
    seen = Recording.of(history_arrays(panel, said, first), events, [])
    assert seen.panel.data_hash(90) == panel.data_hash(90)
    assert (seen.panel.conversion == panel.conversion).all()
    assert seen.continued(panel) is panel


def test_what_was_seen_stays_when_the_stored_bars_are_revised():
    """The bars after it follow in its units: adjusted prices do not jump where both meet."""
    panel = rough_panel(1, T=90)
    nothing = np.full(panel.close.shape, np.nan)
    said = recording.Forecasts(score=nothing, volatility=nothing, half_life=nothing[:, 0])
    seen = Recording.of(history_arrays(panel, said, 60), [], [])
    close = panel.close.copy()
    close[20] *= 1.001
    revised = replace(panel, close=close, factor=panel.factor * 3.0)
    joined = seen.continued(revised)
    assert isinstance(joined, Panel)
    assert joined.data_hash(60) == panel.data_hash(60)
    assert joined.timestamps.equals(panel.timestamps)
    np.testing.assert_allclose(joined.factor, panel.factor, rtol=1e-12)
    np.testing.assert_array_equal(joined.close[60:], panel.close[60:])
