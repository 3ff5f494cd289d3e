"""The operator's word: kept in the ledger, per market, the last one holds."""

import getpass
import platform
from datetime import UTC, datetime

import pytest

from trading_pipeline.adapters.kill_switch import (
    HALTED,
    PAUSED,
    TRADING,
    is_flattened,
    is_halted,
    is_paused,
    operator,
    record_intent,
)
from trading_pipeline.adapters.store.ledger import Ledger

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


def test_without_a_word_a_market_trades(url):
    with Ledger(url) as ledger:
        assert not is_halted(ledger, "sample")


def test_the_last_word_holds_after_a_restart_and_for_its_market_alone(url):
    with Ledger(url) as ledger:
        record_intent(ledger, "sample", HALTED, "exchange on fire", NOW, "ann")
    with Ledger(url) as ledger:
        assert is_halted(ledger, "sample")
        assert not is_halted(ledger, "crypto")
        assert ledger.last("operator/sample").payload == {
            "reason": "exchange on fire",
            "who": "ann",
        }
        assert not is_flattened(ledger, "sample")
        record_intent(ledger, "sample", HALTED, "", NOW, flatten=True)
        assert is_flattened(ledger, "sample")
        record_intent(ledger, "sample", PAUSED, "", NOW)
        assert not is_flattened(ledger, "sample")
        assert is_paused(ledger, "sample")
        assert not is_halted(ledger, "sample")
        record_intent(ledger, "sample", TRADING, "", NOW)
        assert not is_halted(ledger, "sample")
        assert not is_paused(ledger, "sample")
        assert ledger.verify("operator/sample") == 4


def test_the_operator_is_the_user_of_this_machine(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert operator() == f"ann on {platform.node()}"


def test_a_user_without_a_name_is_told_by_number(monkeypatch):
    """A container that runs as any number has to be able to halt, too."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    assert operator() == f"user 4000000000 on {platform.node()}"
