"""Counting trials: what is journalled, and what a ledger that was harmed can still say."""

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.errors import BrokenChain
from trading_pipeline.steps.trials import Evaluation, counted, journal
from trading_pipeline_tests.defs.small_market import MARKET

DAYS = pd.date_range("2002-07-01", periods=40, freq="B", tz="UTC")


def evaluate(home, *configs):
    """Journal configurations; a report of the market says which event is its own."""
    steps = [np.random.default_rng(len(each)).normal(0, 0.01, len(DAYS)) for each in configs]
    curves = [1e5 * np.exp(np.cumsum(each)) for each in steps]
    traded = [Evaluation(each, each, curve) for each, curve in zip(configs, curves, strict=True)]
    done = journal(home, MARKET, DAYS, traded)
    folder = home.report(MARKET)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({"lineage": {"trial": done.event}}))
    return done


def sql(home, text):
    with sqlite3.connect(home.path / "ledger.sqlite") as connection:
        assert connection.execute(text).rowcount > 0


def test_every_evaluation_is_counted_with_its_returns(home):
    assert evaluate(home, "a").trials.count == 1
    assert evaluate(home, "a").trials.count == 1
    done = evaluate(home, "a", "bb", "ccc")
    assert done.trials.count == 3
    assert done.trials.returns.shape == (39, 3)
    assert done.event["seq"] == 5
    assert counted(home, MARKET).trials.count == 3
    assert counted(home, MARKET).event == done.event


def test_without_a_ledger_trials_are_unknown_and_none_is_made(home):
    trials, (why,), event = counted(home, MARKET)
    assert (trials, event) == (None, None)
    assert "there is no ledger" in why
    assert not (home.path / "ledger.sqlite").exists()


@pytest.mark.parametrize("payload", ["{}", "no JSON"])
def test_a_broken_chain_is_refused_and_takes_no_more(home, payload):
    for config in "abc":
        evaluate(home, config)
    sql(home, f"UPDATE events SET payload = '{payload}' WHERE seq = 2")
    for ask in (lambda: evaluate(home, "d"), lambda: counted(home, MARKET)):
        with pytest.raises(BrokenChain, match=r"event 2 was changed.*no report is written"):
            ask()
    with home.ledger() as ledger:
        assert ledger.last("trials").seq == 3


@pytest.mark.parametrize("harm", ["cut", "emptied", "removed"])
def test_a_ledger_that_lacks_its_end_says_unknown_and_never_less(home, harm):
    """However often it is asked, and whatever is journalled after."""
    for config in "abc":
        last = evaluate(home, config)
    if harm == "removed":
        (home.path / "ledger.sqlite").unlink()
    else:
        sql(home, f"DELETE FROM events WHERE seq > {2 if harm == 'cut' else 0}")
    for config in "dd":
        done = evaluate(home, config)
        assert done.trials is None
        assert done.event == last.event  # the report goes on to vouch for what is gone
        assert f"names event 3 of trials ({last.event['hash'][:12]}" in done.warnings[0]
    assert counted(home, MARKET).trials is None


def test_a_ledger_that_cannot_be_read_says_unknown(home):
    last = evaluate(home, "a")
    (home.path / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    done = evaluate(home, "b")
    assert (done.trials, done.event) == (None, last.event)
    assert "trials are unknown: ledger" in done.warnings[0]


def test_returns_that_are_gone_are_named(home):
    evaluate(home, "a")
    for file in (home.path / "trials").iterdir():
        file.unlink()
    done = evaluate(home, "bb")
    assert (done.trials.count, done.trials.returns.shape[1]) == (2, 1)
    assert done.warnings[0].startswith("counted as a trial, but ")
