"""`trading-pipeline explain`: what a person or a program reads, and what is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.explanation import Section, plain_text, rich_table
from trading_pipeline.cli import explain as command
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.market.bars import price_text
from trading_pipeline_tests.core.explain.reruns import LONG_ONLY, NEUTRAL, rerun_of


@pytest.fixture(scope="module")
def rerun():
    return rerun_of(NEUTRAL)


@pytest.fixture
def stored(monkeypatch, rerun):
    """A strategy to explain, without a home to read it from."""
    shape = (*rerun.panel.close.shape, len(NAMES))
    grid = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    monkeypatch.setattr(command, "_rerun", lambda *_: (rerun, grid, 1))
    name_symbols(monkeypatch, rerun)


def name_symbols(monkeypatch, rerun):
    """The market of the settings is that of the strategy."""
    monkeypatch.setenv("TP_MARKETS__SAMPLE__SYMBOLS", json.dumps(list(rerun.panel.symbols)))


def some_order(rerun):
    """Day and symbol of an order that was filled."""
    events = rerun.result.events
    event = events[(events["quantity"] != 0) & (events["slot"] == 0)][20]
    decided = rerun.result.timestamps[event["bar"] - max(event["age"], 1)]
    return f"{decided:%Y-%m-%d}", rerun.panel.symbols[event["symbol"]]


def test_a_symbol_is_explained_from_features_to_trade(run, stored, rerun):
    day, symbol = some_order(rerun)
    code, said = run("explain", "--at", day, "--symbol", symbol)
    assert code == 0
    titles = (
        *(f"{symbol} in test, decided at the close of {day}", "Features: the 12 most unusual"),
        *("Prediction of the model", "Eligibility", "Account, and the limits on it"),
        *("Position held at the close", "From score to target", "Order", "Reasons", "Vetoes"),
        *("What became of it", "Position at the next close", "Trade"),
    )
    place = 0
    for title in titles:  # in this order
        place = said.find(title, place)
        assert place >= 0, title
    assert "in words" in said
    for name in ("drawdown control", "drawdown half", "drawdown flat", "daily loss"):
        assert name in said  # each rule by the report's name
    assert "day loss" not in said
    assert "drawdown_control" not in said


def test_prices_of_a_small_coin_are_told_with_their_digits(run, monkeypatch):
    """A coin of 0.0000123 was bought, held and sold at 0.0000."""
    coin = rerun_of(LONG_ONLY, level=0.0000123 / 50)
    grid = np.zeros((*coin.panel.close.shape, len(NAMES)), np.float32)
    monkeypatch.setattr(command, "_rerun", lambda *_: (coin, grid, 1))
    name_symbols(monkeypatch, coin)
    day, symbol = some_order(coin)
    k, n = coin.bar(pd.Timestamp(day, tz="UTC"), day=True), coin.column(symbol)
    _, said = run("explain", "--at", day, "--symbol", symbol)
    _, overview = run("explain", "--at", day)
    close = price_text(coin.panel.close[coin.row(k), n])
    assert re.fullmatch(r"0\.0000\d{4,}", close)
    assert f"close {close}" in said
    for text in (said, overview):
        assert re.search(r"at 0\.0000\d{4,}", text)
        assert not re.search(r"(?<![\d.])0\.0000(?!\d)|\de-\d", text)


def test_all_features_are_shown_when_asked_for(run, stored, rerun):
    day, symbol = some_order(rerun)
    _, said = run("explain", "--at", day, "--symbol", symbol, "--all-features")
    assert all(f" {name} " in said for name in NAMES)


def test_without_a_symbol_the_whole_decision_is_shown(run, stored, rerun):
    code, said = run("explain", "--at", f"{rerun.result.timestamps[50]:%Y-%m-%d}")
    assert code == 0
    assert "symbol score signal held target order became reasons" in said
    assert all(f" {symbol} " in said for symbol in rerun.panel.symbols)


def test_a_program_reads_json_with_the_same_figures(run, stored, rerun, capsys):
    """Valid JSON: no NaN, and floats that are those of the book to the last bit."""
    day, symbol = some_order(rerun)
    code, said = run("explain", "--at", day, "--symbol", symbol, "--json")
    assert code == 0
    why = json.loads(said, parse_constant=lambda name: pytest.fail(name))
    k, n = rerun.bar(pd.Timestamp(day, tz="UTC"), day=True), rerun.column(symbol)
    assert why["target"] == rerun.decided(k)[n]["target"]
    assert why["order"]["quantity"] == abs(rerun.decided(k)[n]["order"])
    assert len(why["features"]) == len(NAMES)
    assert why["steps"][-1]["name"] == "target"
    code, said = run("explain", "--at", day, "--json")
    assert [each["symbol"] for each in json.loads(said)["symbols"]] == list(rerun.panel.symbols)


def test_what_cannot_be_explained_is_refused_with_the_next_step(run, stored):
    for arguments, complaint in (
        (("--at", "soon"), "--at 'soon' is no date; write it like 2011-08-08"),
        (("--at", "07/08/2011"), "is no date; write it like 2011-08-08"),  # in July, or in August?
        (("--at", "2024-01-02"), "before the first fold only train. The first decision is 2024-03"),
        (("--at", "2031-01-02"), "no bar at 2031-01-02; the nearest is"),
        (("--at", "2024-05-06", "--symbol", "AA"), "no symbol 'AA'; did you mean AAA?"),
    ):
        code, said = run("explain", *arguments)
        assert code == 2
        assert complaint in said


def test_a_market_without_predictions_names_the_command_that_makes_them(run):
    code, said = run("explain", "--at", "2011-08-08", "--symbol", "AAPL")
    assert code == 2
    assert "run `trading-pipeline download --market sample`" in said


def test_help_teaches_with_an_example(run):
    code, said = run("explain", "--help")
    assert code == 0
    assert "explain --at 2011-08-08 --symbol AAPL" in said


def test_an_instant_may_have_an_offset():
    for text, instant, day in (
        ("2011-08-08", "2011-08-08 00:00", True),
        ("2011-08-08T15:00", "2011-08-08 15:00", False),
        ("2011-08-08T00:00", "2011-08-08 00:00", False),
        ("2011-08-08T15:00-04:00", "2011-08-08 19:00", False),
    ):
        assert command._instant(text) == (pd.Timestamp(instant, tz="UTC"), day)


def test_text_for_a_pipe_is_aligned_and_never_cut():
    section = Section("Title", [("a", "1"), ("long", "100")], ("name", "figure"), (1,))
    assert plain_text(section) == "Title\n  name  figure\n  a          1\n  long     100"
    assert plain_text(Section("Reasons", [], ("reason", ""))) == "Reasons\n  none"
    assert rich_table(section).row_count == 2
