"""`trading-pipeline alerts test`: which address takes a message, in words that hold no secret."""

import pytest

from trading_pipeline_tests.fakes.inbox import Inbox
from trading_pipeline_tests.fakes.venue import FOREVER, refusal


@pytest.fixture
def inbox():
    with Inbox() as opened:
        yield opened


@pytest.mark.slow
def test_every_address_gets_a_message_and_is_told_of(run, inbox, monkeypatch, folder):
    monkeypatch.setenv("TP_ALERT_URLS", f"{inbox.at('json')} {inbox.at('json', 'canary')}")
    assert run("alerts", "test") == (0, "address 1 (json): sent address 2 (json): sent ")
    assert {each.path for each in inbox.asked()} == {"/hook", "/canary"}
    assert inbox.said[0].startswith("trading-pipeline: test: alerts\nA test from ")
    assert not (folder / "home").exists()  # nothing is journalled


def test_an_address_that_takes_nothing_is_told_of_with_the_reason(run, inbox, monkeypatch):
    inbox.misbehave(refusal(403), FOREVER, where="canary")
    urls = f"{inbox.at('json')} {inbox.at('json', 'canary')} canary"
    monkeypatch.setenv("TP_ALERT_URLS", urls)
    code, said = run("alerts", "test")
    assert code == 1
    assert said.startswith("address 1 (json): sent address 2 (json): NOT SENT: ")
    assert "error=403" in said
    assert "address 3 (of no kind): NOT SENT: apprise does not know such a URL" in said
    assert "canary" not in said


def test_without_an_address_it_says_how_to_set_one(run, monkeypatch):
    monkeypatch.delenv("TP_ALERT_URLS", raising=False)
    code, said = run("alerts", "test")
    assert code == 2
    assert "set TP_ALERT_URLS in .env" in said
