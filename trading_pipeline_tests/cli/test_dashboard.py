"""The live page in a real browser: what it shows, on a desk and on a phone, and what it does."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.kill_switch import intent_of
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline_tests.browser import browser
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import FIRST, MARKET

pytestmark = pytest.mark.slow
SETTINGS = f"""
[markets.{MARKET.name}]
source = "parquet"
path = "panel.parquet"
symbols = {list(MARKET.symbols)}
start = {MARKET.start}
calendar = "24/7"
"""
DESK, PHONE = 1280, 390


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A home with a session that has fallen for a week, and a backtest's report."""
    made = tmp_path_factory.mktemp("page")
    (made / "pipeline.toml").write_text(SETTINGS)
    kills.trade(made, 0, last=FIRST + 12)
    report = made / "reports" / MARKET.name
    report.mkdir(parents=True)
    moves = np.random.default_rng(1).normal(0.0005, 0.01, 300)
    equity = 100_000 * np.exp(np.cumsum(moves))
    pd.DataFrame({"equity": equity}).to_csv(report / "equity.csv", index=False)
    return made


@pytest.fixture(scope="module")
def address(folder):
    """The command, as a shell runs it; where its page is."""
    command = [sys.executable, "-m", "trading_pipeline.cli", "dashboard", "--market", MARKET.name]
    places = {"TP_HOME": str(folder), "TP_CONFIG": str(folder / "pipeline.toml")}
    with subprocess.Popen(
        [*command, "--port", "0"],
        env=os.environ | places,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        yield running.stdout.readline().split()[0]
        running.terminate()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def page(tab, address):
    """Opens the page on a screen of some width, and waits until it shows something."""

    def opened(width):
        tab.errors.clear()
        tab.open(address, width)
        tab.wait("document.querySelector('#decisions details') !== null")
        return tab

    return opened


def word(folder):
    """What the operator said last, and why."""
    with Ledger(folder / "ledger.sqlite") as ledger:
        said = intent_of(ledger, MARKET.name)
    return said and (said.kind, said.payload["reason"], said.payload["who"])


def shown(tab, name):
    return tab.ask(f"document.getElementById('{name}').innerText")


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.sampled(2)
def test_everything_is_on_the_page_and_fits_the_screen(page, folder, width):
    """A phone is 390 pixels wide; nothing is to be pushed sideways."""
    tab = page(width)
    tab.picture(folder / f"page-{width}.png")
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask("getComputedStyle(document.body).fontSize") == "16px"  # its style is let in
    with Ledger(folder / "ledger.sqlite") as ledger:
        mark = ledger.last(kills.STREAM, "mark").payload
        orders = ledger.last(kills.STREAM, "decision").payload["orders"]
    assert shown(tab, "equity") == f"{mark['equity']:,.2f}"
    assert shown(tab, "runs") == "does not run"
    assert shown(tab, "recipe") == "recipe: not proven: there is no backtest report"
    assert shown(tab, "notice").startswith("No session trades this market now")
    assert tab.ask("document.querySelectorAll('#positions tbody tr').length") == len(
        mark["positions"]
    )
    assert tab.ask("document.querySelectorAll('#orders tbody tr').length") == len(orders)
    assert "weekly loss: nothing new this week" in shown(tab, "limits")
    assert "refused by weekly loss" in tab.ask("document.getElementById('decisions').textContent")
    assert tab.ask("document.querySelectorAll('#chart path').length") == 3  # band, mean, account
    assert "the band now" in shown(tab, "legend")
    for name in ("halt", "pause", "resume"):  # as large as a finger
        assert tab.ask(f"document.getElementById('{name}').offsetHeight") >= 44
    assert tab.errors == []


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.sampled(2)
def test_halt_asks_twice_and_the_page_shows_it_without_being_loaded_again(page, folder, width):
    tab, before = page(width), word(folder)
    tab.ask("window.stayed = true")

    def question():
        return shown(tab, "question") if tab.ask("document.getElementById('ask').open") else None

    assert question() is None
    tab.press("#halt")
    assert question() == "Halt killed?"
    tab.press("#yes")
    assert question() == "Really halt killed?"
    tab.picture(folder / f"halt-{width}.png")
    tab.press("#no")
    assert question() is None
    assert word(folder) == before

    tab.press("#halt")
    tab.press("#yes")
    tab.press("#reason")
    tab.type("odd prices")
    assert word(folder) == before
    tab.press("#yes")
    tab.wait("document.getElementById('intent').innerText === 'halted'")
    kind, reason, who = word(folder)
    assert (kind, reason) == ("halted", "odd prices")
    assert who.endswith(", live page")
    assert "odd prices" in shown(tab, "limits")

    tab.press("#resume")
    assert question() == "Let killed trade?"
    tab.press("#yes")
    tab.wait("document.getElementById('intent').innerText === 'trading'")
    assert word(folder)[0] == "trading"
    assert tab.ask("window.stayed")
    assert tab.errors == []


def test_what_the_session_does_next_appears_by_itself(page, folder):
    tab = page(DESK)
    bars = FIRST + 13 - FIRST
    assert f"in {bars} bars" in shown(tab, "deepest")
    tab.press("#decisions details:nth-of-type(2) summary")
    opened = "[...document.querySelectorAll('#decisions details[open]')].map(d => d.dataset.at)"
    before = tab.ask(opened)
    assert len(before) == 2
    kills.trade(folder, 1, last=FIRST + 14)
    tab.wait(f"document.getElementById('deepest').innerText.includes('in {bars + 2} bars')")
    assert tab.ask(opened) == before  # what a reader has unfolded stays so
    assert tab.errors == []


@pytest.mark.long
def test_a_server_that_is_gone_is_said(page, folder, tmp_path):
    """The last picture stays, with a word that it is an old one."""
    tab = page(DESK)
    tab.do("Network.enable")
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.do("Network.emulateNetworkConditions", **offline)
    tab.wait("document.getElementById('notice').innerText.startsWith('Not up to date for')")
    assert shown(tab, "equity") != "..."
    tab.do("Network.emulateNetworkConditions", **(offline | {"offline": False}))
    tab.wait("document.getElementById('notice').innerText.startsWith('No session trades')")
