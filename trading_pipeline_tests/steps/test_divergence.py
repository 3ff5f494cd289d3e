"""What is written and told of a session beside the backtest of its days."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from trading_pipeline.adapters.alerts import DIVERGED, STREAM
from trading_pipeline.adapters.reports.divergence import markdown_divergence, sections_of
from trading_pipeline.adapters.reports.explanation import plain_text
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.errors import EvaluationError, LedgerError
from trading_pipeline.steps import divergence, past_session
from trading_pipeline.steps.divergence import (
    divergence_of,
    is_reported,
    newest_session,
    news_of,
    report,
)
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.streams import session_of
from trading_pipeline_tests.steps import kills, paper_home
from trading_pipeline_tests.steps.kills import FIRST, LAST, MARKET
from trading_pipeline_tests.steps.paper_home import NOW, PLAN

STAMPS = kills.panel().timestamps


@pytest.fixture(autouse=True)
def _stored(monkeypatch):
    """The bars of the market, and who of them may be bought."""
    monkeypatch.setattr(divergence, "read_panel", lambda home, market: kills.panel())
    monkeypatch.setattr(past_session, "eligibility_of", lambda n_steps: paper_home.traded)


@pytest.fixture(scope="module")
def dear(tmp_path_factory):
    """A home with a session whose broker fills at bad prices."""
    home = Home(root=str(tmp_path_factory.mktemp("dear")))
    paper_home.trade(home, execute=paper_home.worse)
    paper_home.predict(home)
    return home


@pytest.mark.slow
def test_a_session_of_the_engine_is_the_backtest(home):
    paper_home.trade(home)
    paper_home.predict(home)
    with home.ledger() as ledger:
        done = report(home, PLAN, ledger, "s")
        assert is_reported(home, MARKET, newest_session(ledger, MARKET))
    assert done.summary["difference"] == 0
    assert set(done.summary["parts"].values()) == {0.0}
    assert done.news.over
    assert len(done.summary["days"]) == LAST - FIRST + 1
    assert "Nothing differs." in markdown_divergence(done.summary)


@pytest.mark.slow
def test_a_broker_that_fills_worse_is_told_of_as_fill(dear):
    with dear.ledger() as ledger:
        found = divergence_of(dear, PLAN, ledger)
        fills = pd.DataFrame([each.payload for each in ledger.read("paper/killed/s", kind="fill")])
    assert found["session"] == "s"
    parts = found["parts"]
    assert parts["fill"] < 0
    others = {name: amount for name, amount in parts.items() if name != "fill"}
    assert all(abs(amount) < 1e-9 * kills.CAPITAL for amount in others.values())
    assert found["difference"] == pytest.approx(parts["fill"])
    # About what was lost to the prices; later orders are others, too.
    lost = 0.004 * (fills["quantity"].abs() * fills["price"]).sum()
    assert -parts["fill"] == pytest.approx(lost, rel=0.5)
    news = news_of(found)
    assert not news.over
    assert (news.kind, news.subject) == (DIVERGED, "killed/s")
    assert "25.0 bp a day are tolerated (most of it fill, -" in news.text
    assert "100.0 bp are tolerated" in news.text


@pytest.mark.slow
def test_days_that_were_reported_before_are_not_told_again(dear):
    with dear.ledger() as ledger:
        found = divergence_of(dear, replace(PLAN, divergence=Tolerance(total=9.0)), ledger)
    first = found["days"][1]["day"]
    assert first[:10] in news_of(found).text
    earlier = {**found, "days": found["days"][:-1]}
    assert first[:10] not in news_of(found, earlier).text


@pytest.mark.slow
def test_a_day_that_was_not_over_is_told_when_it_is(dear):
    """Of hourly bars a night reports the first ones of its day; the next night has them all."""
    with dear.ledger() as ledger:
        found = divergence_of(dear, replace(PLAN, divergence=Tolerance(total=9.0)), ledger)
    *before, worst, after = [{**day, "share": 0.0} for day in found["days"]]
    first = {**found, "days": [*before, worst]}
    whole = {**found, "days": [*before, {**worst, "share": -0.02}, after]}
    assert news_of(first).over
    assert news_of(whole, first).text.startswith(f"{worst['day'][:10]}: -200.0 bp of equity apart")
    assert news_of({**whole, "days": [*whole["days"], after]}, whole).over


@pytest.mark.slow
def test_a_report_is_written_in_four_ways_and_told_once(dear):
    """The table, the page, the picture, the summary; and one event in the ledger's alerts."""
    alerts = dear.alerts()
    with dear.ledger() as ledger:
        for _ in range(2):
            done = report(dear, PLAN, ledger)
            alerts.report([done.news], NOW)
        told = [event.payload["kind"] for event in ledger.read(STREAM)]
    assert told == [DIVERGED]
    assert json.loads(done.file.read_text())["parts"] == done.summary["parts"]
    table = pd.read_parquet(done.file.with_suffix(".parquet"))
    added = table[["data", "signal", "timing", "fill", "cost"]].sum(axis=1)
    assert (table["difference"] - added).abs().max() < 1e-9 * kills.CAPITAL
    assert done.file.with_suffix(".md").read_text().startswith("**s of killed, 2024-03-11 to ")
    assert done.picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_words_say_what_was_earned_why_and_when(dear):
    with dear.ledger() as ledger:
        found = divergence_of(dear, PLAN, ledger)
    text = "\n".join(map(plain_text, sections_of(found, 5)))
    assert "The session earned " in text
    assert " less, -" in text
    assert "prices and quantities that were executed, beside the engine's" in text
    assert "The last 5 of 20 days" in text
    assert "unexplained" not in text
    odd = {**found, "days": [{**day, "unexplained": 7.0} for day in found["days"]]}
    odd["parts"] = {**found["parts"], "unexplained": 140.0}
    assert "unexplained" in "\n".join(map(plain_text, sections_of(odd)))
    assert "+140.00 is explained by nothing: run `trading-pipeline replay s" in news_of(odd).text


@pytest.mark.slow
def test_the_newest_session_is_meant_and_new_bars_are_to_be_reported(home):
    with home.ledger() as ledger:
        assert newest_session(ledger, MARKET) is None
        with pytest.raises(LedgerError, match="no paper session that has lived through a bar"):
            divergence_of(home, PLAN, ledger)
    paper_home.trade(home, "one", last=FIRST + 5)
    paper_home.trade(home, "a/b", last=FIRST + 4, at=kills.BEGIN.replace(year=2031))
    paper_home.predict(home, "a/b")
    with home.ledger() as ledger:
        newest = newest_session(ledger, MARKET)
        assert session_of(newest.stream) == "a/b"
        assert not is_reported(home, MARKET, newest)
        report(home, PLAN, ledger)
        assert is_reported(home, MARKET, newest)
    paper_home.trade(home, "a/b", last=FIRST + 6, at=kills.BEGIN.replace(year=2032))
    with home.ledger() as ledger:
        assert not is_reported(home, MARKET, newest_session(ledger, MARKET))


@pytest.mark.slow
def test_days_without_predictions_wait(home):
    """The walk-forward's predictions come later in the night than the session's newest bar."""
    paper_home.trade(home)
    with home.ledger() as ledger:
        with pytest.raises(EvaluationError, match="predictions of 0"):
            divergence_of(home, PLAN, ledger, "s")
        paper_home.predict(home, bars=6)
        found = divergence_of(home, PLAN, ledger, "s")
        assert found["end"][:10] == f"{STAMPS[FIRST + 6]:%Y-%m-%d}"
        assert found["difference"] == 0
