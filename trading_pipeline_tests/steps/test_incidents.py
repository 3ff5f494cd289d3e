"""What went wrong around a session is said once, until it is over, whoever is killed meanwhile."""

from datetime import UTC, datetime

import pytest

from trading_pipeline.adapters.alerts import DOWNLOAD_FAILED, MODEL_REFUSED
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.steps.incidents import Incidents, incidents

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def process(ledger):
    """The incidents of a session, as a process that starts has them."""
    return Incidents(ledger, "coins", "s", lambda: NOON)


def told(ledger):
    return {each.kind: (each.text, each.over) for each in incidents(ledger, "coins", "s")}


def test_what_goes_on_is_said_once_and_that_it_is_over_once(ledger, caplog):
    seen = process(ledger)
    for error in ("500", "503"):
        seen.begin(DOWNLOAD_FAILED, "no answer", error)
    assert told(ledger) == {DOWNLOAD_FAILED: ("no answer: 500", False)}
    for _ in range(2):
        seen.end(DOWNLOAD_FAILED, "it answers")
        seen.end(MODEL_REFUSED, "nothing was wrong with it")
    assert told(ledger) == {DOWNLOAD_FAILED: ("it answers", True)}
    assert caplog.messages == ["coins/s: no answer: 500", "coins/s: it answers"]
    assert ledger.verify("incidents/coins/s") == 2


def test_another_thing_of_the_kind_is_said_too(ledger):
    seen = process(ledger)
    for text in ("model a", "model a", "model b"):
        seen.begin(MODEL_REFUSED, text)
    assert told(ledger) == {MODEL_REFUSED: ("model b", False)}
    assert ledger.verify("incidents/coins/s") == 2


def test_what_a_killed_session_left_open_is_over_when_the_next_one_says_so(ledger):
    process(ledger).begin(DOWNLOAD_FAILED, "no answer")
    process(ledger).end(DOWNLOAD_FAILED, "it answers")
    assert told(ledger) == {DOWNLOAD_FAILED: ("it answers", True)}
    process(ledger).end(DOWNLOAD_FAILED, "it answers")
    assert ledger.verify("incidents/coins/s") == 2
