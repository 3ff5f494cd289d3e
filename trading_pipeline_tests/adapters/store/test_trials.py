import math
import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.trials import STREAM, Trial, TrialLedger, panel_identity
from trading_pipeline.errors import BrokenChain, LedgerError, StoreError

AT = datetime(2024, 1, 2, tzinfo=UTC)
LATER = AT + timedelta(days=3)


@pytest.fixture
def book(home):
    with home.trials() as opened:
        yield opened


def daily(*names, days=5, seed=0):
    """Returns of the configurations of these names."""
    drawn = np.random.default_rng(seed).normal(0, 0.01, (days, len(names)))
    index = pd.date_range("2024-01-01", periods=days, tz="UTC", name="day")
    return pd.DataFrame(drawn, index=index, columns=list(names))


def record(book, config, panel, sharpe=1.0, returns=None, recorded_at=AT):
    trial = Trial(config, panel, "walk_forward", sharpe, "us", "network tiny")
    table = daily(config) if returns is None else returns
    return book.record([trial], table, at=AT, recorded_at=recorded_at)


def known(book, panel="us"):
    return book.known(panel)


def test_an_empty_ledger_does_not_know_the_number_of_trials(book):
    assert known(book) == (None, [])
    record(book, "a", "crypto")
    assert known(book) == (None, [])  # nor how many there were on another panel


def test_a_trial_is_a_distinct_configuration_on_a_distinct_panel(book):
    for config, panel in [("a", "us"), ("a", "us"), ("b", "us"), ("a", "crypto"), ("a", "us")]:
        record(book, config, panel)
    told, faults = known(book)
    assert (told.count, told.elsewhere, faults) == (2, 1, [])
    assert len(book.ledger.read(STREAM)) == 5  # yet every evaluation is kept


def test_an_evaluation_again_replaces_the_figures_of_its_trial(book):
    record(book, "a", "us", 0.5)
    record(book, "b", "us", None)
    record(book, "a", "us", 0.7, daily("a", seed=1), recorded_at=LATER)
    first, second = book.distinct()
    assert (first.trial.sharpe, first.first, first.last, first.evaluations) == (0.7, AT, LATER, 2)
    assert (second.trial.sharpe, second.first, second.last) == (None, AT, AT)
    returns = known(book)[0].returns
    pd.testing.assert_series_equal(returns["a"], daily("a", seed=1)["a"], check_freq=False)


def test_returns_come_back_bit_for_bit_on_the_days_that_each_trial_saw(book):
    record(book, "a", "us", returns=daily("a", days=3))
    both = [Trial(each, "us", "sweep", 1.0) for each in "bc"]
    book.record(both, daily("b", "c", days=5), at=AT, recorded_at=AT)
    returns = known(book)[0].returns
    assert list(returns) == ["a", "b", "c"]
    assert returns["a"].notna().tolist() == [True] * 3 + [False] * 2
    assert (returns[["b", "c"]] == daily("b", "c", days=5)).all(axis=None)
    assert len(list(book.folder.iterdir())) == 2  # one file for each evaluation, not each variant


def test_equal_returns_are_one_file(book):
    for config in ("a", "a"):
        record(book, config, "us")
    (file,) = book.folder.iterdir()
    assert book.ledger.last(STREAM).payload["returns"] == file.stem


@pytest.mark.parametrize("harm", ["removed", "altered", "swapped"])
def test_returns_that_are_not_what_was_written_are_named_and_still_a_trial(book, harm):
    record(book, "a", "us")
    record(book, "b", "us", returns=daily("b", seed=2))
    path = book.path(book.distinct()[0].returns)
    if harm == "removed":
        path.unlink()
    elif harm == "altered":
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    else:
        path.write_bytes(book.path(book.distinct()[1].returns).read_bytes())
    told, faults = known(book)
    assert (told.count, list(told.returns)) == (2, ["b"])
    assert len(faults) == 1
    assert str(path) in faults[0]


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_the_next_evaluation_of_a_trial_makes_its_damaged_file_whole(book, damage):
    record(book, "a", "us")
    path = book.path(book.distinct()[0].returns)
    path.unlink() if damage is None else path.write_bytes(damage)
    assert known(book)[1]
    record(book, "a", "us")
    told, faults = known(book)
    assert (told.count, list(told.returns), faults) == (1, ["a"], [])


def test_a_file_of_another_home_is_no_fault_where_a_ledger_is_shared(book, tmp_path):
    """Its trial counts, as one whose returns are not known; a damaged file of ours is a fault."""
    record(book, "a", "us")
    other = TrialLedger(book.ledger, tmp_path / "other", shared=True)
    record(other, "b", "us", returns=daily("b", seed=2))
    told, faults = known(other)
    assert (told.count, list(told.returns), faults) == (2, ["b"], [])
    other.path(other.distinct()[1].returns).write_bytes(b"PAR1")
    told, (fault,) = known(other)
    assert (told.count, told.returns.shape[1]) == (2, 0)
    assert "was altered" in fault


def test_a_trial_of_before_returns_were_kept_is_one(book):
    old = {"config_hash": "a", "panel": "us", "sharpe": 0.4}
    book.ledger.append(STREAM, "walk_forward", AT, old, AT)
    told, faults = known(book)
    assert (told.count, told.returns.shape, faults) == (1, (0, 0), [])


def test_a_broken_chain_has_no_number(book, home):
    for config in "abc":
        record(book, config, "us")
    with sqlite3.connect(home.path / "ledger.sqlite") as connection:
        connection.execute("DELETE FROM events WHERE seq = 2")
    with pytest.raises(BrokenChain, match=r"trials: event 2 is missing \(a gap: the next one is 3"):
        known(book)


def test_an_undefined_sharpe_has_to_say_so(book):
    with pytest.raises(LedgerError, match="not to be journalled"):
        record(book, "a", "us", math.nan)
    assert book.distinct() == []


def test_returns_that_cannot_be_written_journal_nothing(book):
    book.folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot write"):
        record(book, "a", "us")
    assert book.distinct() == []


def test_returns_are_those_of_the_trials(book):
    with pytest.raises(ValueError, match="one column for each trial"):
        record(book, "a", "us", returns=daily("b"))


def test_a_panel_is_known_by_what_is_in_it_not_by_how_it_is_listed():
    panel = panel_identity("sample", ["MSFT", "AAPL"], "1d")
    assert panel == panel_identity("sample", ("AAPL", "MSFT", "AAPL"), "1d")
    assert len(panel) == 16
    others = {
        panel_identity("sample", ["MSFT"], "1d"),
        panel_identity("alpaca", ["MSFT", "AAPL"], "1d"),
        panel_identity("sample", ["MSFT", "AAPL"], "1h"),
    }
    assert len(others - {panel}) == 3
