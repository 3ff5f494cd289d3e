"""Halt cancels what is open at the broker at once: from a shell, and from the live page."""

import json
import os
import re
import subprocess
import sys
from urllib.request import Request, urlopen

import pandas as pd
import pytest

from trading_pipeline.adapters.brokers.ccxt_broker import venue_id
from trading_pipeline.adapters.kill_switch import is_halted
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline_tests.fakes.binance_broker import KEY, SECRET, FakeBinanceBroker
from trading_pipeline_tests.fakes.books import Booked


@pytest.fixture
def venue(folder, monkeypatch):
    """A market with a broker, and an order there that waits."""
    with FakeBinanceBroker() as opened:
        opened.now = pd.Timestamp.now(tz="UTC")
        name = venue_id(order_id("s", opened.books.now.floor("D"), "BTC/USDT", 0))
        opened.books.accept(Booked(name, "BTC/USDT", 1, 0.5))
        (folder / "pipeline.toml").write_text(
            '[markets.coins]\nsource = "binance"\nsymbols = ["BTC/USDT"]\nstart = 2021-01-01\n'
            f'calendar = "24/7"\nbroker = "binance_testnet"\nbroker_url = "{opened.url}"\n'
        )
        monkeypatch.setenv("TP_CONFIG", str(folder / "pipeline.toml"))
        monkeypatch.setenv("TP_BINANCE_KEY", KEY)
        monkeypatch.setenv("TP_BINANCE_SECRET", SECRET)
        yield opened


def is_stopped(venue, folder):
    (order,) = venue.books.orders.values()
    with Ledger(folder / "home" / "ledger.sqlite") as ledger:
        return order.status == "canceled", is_halted(ledger, "coins")


@pytest.mark.slow
def test_halt_from_a_shell(venue, run, folder):
    code, said = run("halt", "--market", "coins", "--reason", "news")
    assert (code, is_stopped(venue, folder)) == (0, (True, True))
    assert "coins: halted from the next decision on" in said
    assert ": canceled" in said


def test_a_halt_whose_orders_cannot_be_cancelled_says_that_it_is_one(
    venue, run, folder, monkeypatch
):
    """Else somebody in a hurry reads an error, and takes the market for one that trades."""
    for name in ("TP_BINANCE_KEY", "TP_BINANCE_SECRET"):
        monkeypatch.delenv(name)
    code, said = run("halt", "--market", "coins")
    assert (code, is_stopped(venue, folder)) == (2, (False, True))
    assert "coins is halted, but its open orders were not all cancelled" in " ".join(said.split())


@pytest.mark.long
@pytest.mark.slow
def test_halt_on_the_live_page(venue, folder):
    command = [sys.executable, "-m", "trading_pipeline.cli", "dashboard", "--market", "coins"]
    with subprocess.Popen(
        [*command, "--port", "0"], env=os.environ, stdout=subprocess.PIPE, text=True
    ) as running:
        address = running.stdout.readline().split()[0]
        page = urlopen(address).read().decode()  # of our own
        (token,) = set(re.findall(r'name="token" content="([\w-]+)"', page))
        word = json.dumps({"intent": "halted", "reason": "news"}).encode()
        headers = {"x-token": token, "content-type": "application/json"}
        told = urlopen(Request(f"{address}/intent", word, headers)).read()
        running.terminate()
    assert json.loads(told) == {"intent": "halted"}
    assert is_stopped(venue, folder) == (True, True)
