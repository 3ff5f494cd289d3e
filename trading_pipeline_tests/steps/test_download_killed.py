"""A download whose process is killed, again and again: the next one completes it."""

import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.steps.download import download
from trading_pipeline_tests.fakes.binance import source_of
from trading_pipeline_tests.fakes.downloads import CASES
from trading_pipeline_tests.fakes.venue import Fault

pytestmark = pytest.mark.slow

COMMAND = """
import sys
import pandas as pd
from pathlib import Path
from trading_pipeline.steps import venue_download as module
from trading_pipeline.steps.download import download
from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline_tests.fakes.downloads import CASES

url, folder = sys.argv[1:]
case = CASES["binance"]
module.WINDOW = module.SHORTEST_WINDOW = 20  # a merge for every 20 bars of a symbol
span = pd.Timestamp(case.market.start, tz="UTC"), case.today.normalize() + pd.Timedelta(days=1)
print("begins", flush=True)
download(
    CcxtSource("binance", "1d", url), BarStore(Path(folder)), case.market, span, lambda: case.today
)
print("done", flush=True)
"""


@pytest.mark.long
def test_a_killed_download_is_completed_to_the_same_bars(tmp_path):
    case, chance = CASES["binance"], random.Random(5)
    folder, kept = tmp_path / "raw", []
    span = pd.Timestamp(case.market.start, tz="UTC"), case.today.normalize() + pd.Timedelta(days=1)
    with case.venue() as venue:
        whole = BarStore(tmp_path / "whole")
        download(source_of(venue), whole, case.market, span, lambda: case.today)
        for months in range(6):  # that are stored when it is killed, or some more
            process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, venue.url, str(folder)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout.readline() == "begins\n"
            while len(list(folder.glob("20*.parquet"))) < months and process.poll() is None:
                time.sleep(0.005)
            time.sleep(chance.uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            kept.append(len(BarStore(folder).read()))
        assert kept == sorted(kept)  # what was stored stays
        assert len({rows for rows in kept if rows < len(whole.read())}) > 2, "never in the middle"
        venue.misbehave(Fault(cut=0.5))
        store = BarStore(folder)
        download(source_of(venue), store, case.market, span, lambda: case.today)
    pd.testing.assert_frame_equal(store.read(), whole.read())
    assert store.data_hash() == whole.data_hash()
    assert store.revisions().empty
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
