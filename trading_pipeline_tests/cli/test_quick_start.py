"""The commands of docs/quick-start.md, read from the page, do what it says in its order."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.fakes.alpaca import KEY, SECRET, FakeAlpaca
from trading_pipeline_tests.fakes.binance import FakeBinance, Pair
from trading_pipeline_tests.synthetic import panel

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quick-start.md"
SHARES = ("AAPL", "MSFT")
COINS = ("BTC", "ETH")
PATIENCE = 900  # seconds; a command that takes longer hangs
_SET_UP = ["make install", ". .venv/bin/activate"]  # what `test_packaging.py` tries
YEAR = datetime.now(UTC) - timedelta(days=400)  # a report takes some days more than a year's
SHORTER = {
    "100": "1",  # epochs
    "2022-12-31": f"{YEAR - timedelta(days=1):%Y-%m-%d}",
    "2023-01-01": f"{YEAR:%Y-%m-%d}",
}
# Of the specification's quick start: what is there has to be here, by a command of the same name.
OPTIONS = {
    "download": [
        {"--source": "all", "--start": "2019-01-01"},
        {"--source": "alpaca", "--timeframe": "1Day"},
        {"--source": "binance", "--interval": "1d"},
    ],
    "train": [{"--epochs": "100", "--batch-size": "64", "--lr": "0.001"}],
    "backtest": [
        {
            "--model-path": "data_storage/models/best_model.pt",
            "--start": "2023-01-01",
            "--capital": "100000",
        }
    ],
    "paper-trade": [
        {"--source": "binance", "--capital": "100000"},
        {"--source": "alpaca", "--capital": "100000"},
    ],
}


class Command(NamedTuple):
    words: list[str]
    output: str  # that the page shows of it


def commands() -> list[Command]:
    """Of all console blocks, in order: what is typed after `$`, and what is shown below it."""
    found: list[Command] = []
    for block in re.findall(r"```console\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed = re.match(r"(?:.*\\\n)*.*\n", part)[0]
            words = shlex.split(typed.replace("\\\n", " "))
            found.append(Command(words, part.removeprefix(typed).strip()))
    return found


def options_of(words: list[str]) -> dict[str, str]:
    return {name: value for name, value in pairwise(words) if name.startswith("--")}


def test_the_page_has_every_command_of_the_specification_in_its_order():
    typed = [each.words for each in commands()]
    assert [" ".join(words) for words in typed[:2]] == _SET_UP
    assert typed[2] == ["cp", ".env.example", ".env"]
    place = 2
    for name, wanted in OPTIONS.items():
        for options in wanted:
            place = next(
                n
                for n, words in enumerate(typed)
                if n > place
                and words[:2] == ["trading-pipeline", name]
                and options.items() <= options_of(words).items()
            )
            assert name in ("download", "paper-trade") or "--data-path" in options_of(typed[place])


def shares(now: datetime) -> pd.DataFrame:
    """Two random walks, a bar for every session of three years and of some days beyond now."""
    first = pd.Timestamp(now).normalize() - pd.Timedelta(days=1200)
    days = trading_calendar("XNYS", "1d").sessions(first, pd.Timestamp(now) + pd.Timedelta(days=5))
    bars = panel(len(days), SHARES, days="XNYS")
    return bars.assign(timestamp=days.repeat(len(SHARES)))


SETTINGS = """
[markets.us_equities]
source = "alpaca"
url = "{alpaca}"
trading_url = "{alpaca}"
symbols = ["AAPL", "MSFT"]
start = {shares:%Y-%m-%d}
preset = "tiny"

[markets.crypto]
source = "binance"
url = "{binance}"
symbols = ["BTC/USDT", "ETH/USDT"]
start = {coins:%Y-%m-%d}
preset = "tiny"
"""


class Machine:
    """A fresh folder, and two venues that it is directed to."""

    def __init__(self, folder: Path, alpaca: FakeAlpaca, binance: FakeBinance) -> None:
        self.folder, self.alpaca, self.binance = folder, alpaca, binance
        self.home = Home(root=str(folder / "data_storage"))

    def next_day(self) -> None:
        self.alpaca.now += pd.Timedelta(days=1)
        self.binance.now = str(pd.Timestamp(self.binance.now) + pd.Timedelta(days=1))

    def start(self, words: list[str]) -> subprocess.Popen:
        program = [sys.executable, "-m", "trading_pipeline.cli"]
        kept = ("PATH", "HOME", "LANG", "OMP_NUM_THREADS", "TMPDIR")
        known = {name: os.environ[name] for name in kept if name in os.environ}
        return subprocess.Popen(
            [*(program if words[0] == "trading-pipeline" else words[:1]), *words[1:]],
            cwd=self.folder,
            env=known | {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "BROWSER": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, words: list[str]) -> tuple[int, str]:
        with self.start(words) as process:
            said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def trade(self, words: list[str], market: str) -> tuple[int, str]:
        """A session until its first decision, and then Ctrl-C."""
        with self.start(words) as process:
            ended = threading.Timer(PATIENCE, process.kill)
            ended.start()
            while process.poll() is None and not self.decisions(market):
                time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate()
            ended.cancel()
        return process.returncode, said

    def decisions(self, market: str) -> int:
        with self.home.ledger() as ledger:
            return sum(each.kind == "decision" for each in ledger.read(f"paper/{market}/paper"))


@pytest.fixture
def machine(tmp_path):
    now = datetime.now(UTC).replace(hour=22, minute=0, second=0, microsecond=0)
    now -= timedelta(days=1)
    pairs = tuple(Pair(name, since=f"{now - timedelta(days=600):%Y-%m-%d}") for name in COINS)
    with (
        FakeAlpaca(now, bars=shares(now)) as alpaca,
        FakeBinance(f"{now:%Y-%m-%d %H:%M:%S}", pairs) as binance,
    ):
        starts = {"shares": now - timedelta(days=1100), "coins": now - timedelta(days=500)}
        text = SETTINGS.format(alpaca=alpaca.url, binance=binance.url, **starts)
        (tmp_path / "pipeline.toml").write_text(text)
        (tmp_path / ".env.example").write_text((ROOT / ".env.example").read_text())
        yield Machine(tmp_path, alpaca, binance)


@pytest.mark.slow
@pytest.mark.long
def test_every_command_of_the_page_does_what_it_says(machine):
    """As it stands there, with one epoch for a hundred, a test of a year, and keys in .env."""
    for words, output in commands()[len(_SET_UP) :]:
        words = [SHORTER.get(each, each) for each in words]
        if words[1] == "paper-trade":
            market = {"binance": "crypto", "alpaca": "us_equities"}[options_of(words)["--source"]]
            machine.next_day()
            code, said = machine.trade(words, market)
            assert code == 130, said
            assert machine.decisions(market) >= 1
        else:
            code, said = machine.run(words)
            assert code == (2 if output.startswith("error:") else 0), said
        assert output in " ".join(said.split()), said
        if words[0] == "cp":
            keys = f"TP_ALPACA_KEY={KEY}\nTP_ALPACA_SECRET={SECRET}\n"
            (machine.folder / ".env").open("a").write(keys)
    assert (machine.folder / "backtest/us_equities/report.html").exists()
