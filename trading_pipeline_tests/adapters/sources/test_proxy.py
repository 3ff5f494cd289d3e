"""HTTPS_PROXY of the environment is honoured by both clients, and its password is said nowhere."""

import traceback
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pandas as pd
import pytest
from pydantic import SecretStr

from trading_pipeline.adapters.sources.alpaca import AlpacaSource
from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.errors import SourceError

START, END = (pd.Timestamp(day, tz="UTC") for day in ("2024-01-02", "2024-01-10"))
ONCE = Patience(tries=1, timeout=5.0)


@contextmanager
def refusing_proxy():
    """A proxy that connects to nobody, and what it was asked to connect to."""
    asked = []

    class Refusal(StreamRequestHandler):
        def handle(self):
            asked.append(self.rfile.readline().decode().split()[:2])
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Refusal) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], asked
        server.shutdown()


def alpaca():
    return AlpacaSource(SecretStr("KEY"), SecretStr("SECRET"), patience=ONCE)


def binance():
    return CcxtSource("binance", patience=ONCE)


@pytest.fixture(autouse=True)
def no_other_proxy(monkeypatch):
    for name in ("HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        for each in (name, name.lower()):
            monkeypatch.delenv(each, raising=False)


def refused(source, symbol):
    with pytest.raises(SourceError) as error:
        source.bars([symbol], START, END)
    said = "".join(traceback.format_exception(error.value))
    assert "canary" not in said
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "symbol", "host"),
    [(alpaca, "IBM", "alpaca.markets:443"), (binance, "BTC/USDT", "api.binance.com:443")],
)
def test_requests_go_through_the_proxy_of_the_environment(monkeypatch, make, symbol, host):
    """A whole network may be behind one; what it refuses is an error, without its password."""
    with refusing_proxy() as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:canary@127.0.0.1:{port}")
        refused(make(), symbol)
    assert {verb for verb, _ in asked} == {"CONNECT"}
    assert all(place.endswith(host) for _, place in asked)


@pytest.mark.parametrize("make", [alpaca, binance])
@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:canary@127.0.0.1:1",
        "me:canary@127.0.0.1:port",
        "odd://canary",
    ],
)
def test_a_proxy_that_is_no_proxy_is_an_error_without_its_password(monkeypatch, make, proxy):
    """Those of `requests` and urllib3 quote what they cannot read."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    refused(make(), "IBM" if make is alpaca else "BTC/USDT")
