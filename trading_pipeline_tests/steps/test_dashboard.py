"""What the live page is given: the session as the ledger has it, and the backtest's band."""

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps import dashboard
from trading_pipeline.steps.dashboard import Dashboard, backtest_returns
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import FIRST, MARKET

NOW = kills.BEGIN + timedelta(days=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("session")
    kills.trade(made, 0, last=FIRST + 8)
    return made


@pytest.fixture
def ledger(folder):
    with Ledger(folder / "ledger.sqlite") as opened:
        yield opened


@pytest.mark.slow
def test_the_state_is_the_ledgers_and_plain_json(ledger, tmp_path):
    known = Dashboard(ledger, MARKET, "", tmp_path).state(NOW)
    assert json.loads(json.dumps(known)) == known
    marks = [each.payload["equity"] for each in ledger.read(kills.STREAM, kind="mark")]
    assert known["curve"] == [round(each, 2) for each in marks]
    assert (known["bars"], known["capital"], known["band"]) == (9, kills.CAPITAL, None)
    assert known["deepest"] == pytest.approx(1 - marks[-1] / max(marks), abs=0.02)
    newest = known["decisions"][0]
    assert newest["at"] == ledger.last(kills.STREAM, "decision").at.isoformat()
    assert {row["rule"] for row in newest["refused"]} >= {"weekly loss"}
    assert len(known["decisions"]) == 9


def test_a_name_with_a_slash_is_shown_whole(ledger, tmp_path):
    opened = ledger.first(kills.STREAM)
    with Ledger(tmp_path / "ledger.sqlite") as other:
        other.append("paper/killed/desk/s", "opened", NOW, opened.payload, NOW)
        assert Dashboard(other, MARKET, "", tmp_path).state(NOW)["session"] == "desk/s"


@pytest.mark.slow
def test_the_history_is_read_once_and_then_what_is_new(folder, tmp_path):
    """A year of hours is read by a page every two seconds."""
    kills.trade(tmp_path, 0, last=FIRST + 1)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        shown, asked, read = Dashboard(ledger, MARKET, "s", tmp_path), [], ledger.read
        ledger.read = lambda *of, **how: asked.append(how) or read(*of, **how)
        assert shown.state(NOW)["bars"] == 2
        seen = ledger.last(kills.STREAM, "mark").seq
        kills.trade(tmp_path, 1, last=FIRST + 3)
        asked.clear()
        assert shown.state(NOW)["bars"] == 4
    assert {"after": seen, "kind": "mark"} in asked


def test_the_band_is_that_of_the_report_in_bars_of_the_session(ledger, tmp_path):
    pd.DataFrame({"equity": [50.0, 51.0, 50.5, 52.0]}).to_csv(tmp_path / "equity.csv")
    band = Dashboard(ledger, MARKET, "", tmp_path).state(NOW)["band"]
    mean = np.log(52 / 50) / 3
    assert band["middle"] == pytest.approx(kills.CAPITAL * np.exp(mean * np.arange(9)), abs=0.01)
    assert band["low"][0] == band["high"][0] == kills.CAPITAL
    assert all(low < high for low, high in zip(band["low"][1:], band["high"][1:], strict=True))


@pytest.mark.parametrize("text", [None, "", "equity\n5\n", "other\n1\n2\n3\n"])
def test_a_report_that_says_nothing_makes_no_band(tmp_path, text):
    if text is not None:
        (tmp_path / "equity.csv").write_text(text)
    assert backtest_returns(tmp_path) is None


def test_a_long_curve_is_thinned_and_keeps_its_ends(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(dashboard, "_POINTS", 4)
    known = Dashboard(ledger, MARKET, "", tmp_path).state(NOW)
    assert (len(known["curve"]), known["bars"]) == (4, 9)
    assert known["at"][0] == kills.panel().timestamps[FIRST].isoformat()
    assert known["at"][-1] == kills.panel().timestamps[FIRST + 8].isoformat()


def test_a_market_without_a_session_says_so(ledger, tmp_path):
    with pytest.raises(LedgerError, match="has no paper session nobody"):
        Dashboard(ledger, MARKET, "nobody", tmp_path).state(NOW)
