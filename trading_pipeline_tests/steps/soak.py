"""A paper session of thousands of hourly bars: what a bar costs, what stays in memory, and whether
its orders are the backtest's.

    python -m trading_pipeline_tests.steps.soak --bars 8760 --data HOURLY.parquet

Without a file the market is made up. The network is of the preset's size and was never trained.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.identity import Identity, compare
from trading_pipeline.steps.past_session import eligibility_of
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.session import Session
from trading_pipeline_tests.core.learning.checkpoints import untrained

STEPS, WARM_UP, MONTH = 60, 50, 730  # bars: of a window, not measured, of a fold
SYMBOLS = tuple(f"C{n:02d}" for n in range(12))
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)  # on the wall's clock, which does not matter


@dataclass(frozen=True)
class Soaked:
    """What a run left."""

    bars: int
    cpu: float  # seconds of a process, per bar after the warm-up
    growth: float  # of resident memory over the second half, a fraction
    size: float  # bytes of the ledger's file, per bar
    identity: Identity

    def check(self) -> None:
        """Raises AssertionError where it was too dull to show anything, or not the backtest."""
        assert self.identity.bars == self.bars, f"{self.identity.bars} bars of {self.bars}"
        assert self.identity.same, f"not the backtest's: {self.identity.differences[:3]}"
        assert self.identity.fills >= 100, f"only {self.identity.fills} fills"
        assert self.identity.vetoes >= 2, f"only {self.identity.vetoes} vetoes"


def made_up(rows: int, symbols: tuple[str, ...] = SYMBOLS, step: str = "1h") -> Panel:
    """Symbols that drift for days beside their market, and at times do not trade."""
    rng, shape = np.random.default_rng(5), (rows, len(symbols))
    drift = np.repeat(rng.normal(0, 0.001, (rows // 50 + 1, shape[1])), 50, axis=0)[:rows]
    moves = drift + rng.normal(0, 0.003, (rows, 1)) + rng.normal(0, 0.006, shape)
    moves[rng.random(rows) < 0.002] -= 0.05  # so that limits trip
    close = 80 * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.0005, shape))
    spread = 1 + np.abs(rng.normal(0, 0.002, shape))
    stamps = pd.date_range("2021-01-01", periods=rows, freq=step, tz="UTC").as_unit("us")
    keys = pd.MultiIndex.from_product([stamps, symbols], names=["timestamp", "symbol"])
    grids = {
        "open": opened,
        "high": np.maximum(opened, close) * spread,
        "low": np.minimum(opened, close) / spread,
        "close": close,
        "volume": rng.uniform(1e6, 2e6, shape),
    }
    table = keys.to_frame(index=False).assign(
        **{name: each.ravel() for name, each in grids.items()}
    )
    there = rng.random(len(table)) >= 0.0005
    return Panel.of(table[there].astype({"symbol": "str"}), None, symbols)


def read(path: Path) -> Panel:
    """The panel of a file in the data format."""
    return Panel.of(check_bars(pd.read_parquet(path)), None)


def market_of(panel: Panel, timeframe: str = "1h", horizon: int = 24) -> Market:
    return Market(
        name="soak",
        source="parquet",
        symbols=panel.symbols,
        start=date(2015, 1, 1),
        calendar="24/7",
        timeframe=timeframe,
        horizon=horizon,
        costs=Costs(min_notional=100.0),
        limits={"daily_loss": 0.02},
    )


def forecaster_of(panel: Panel, market: Market, first: int, last: int, preset: str) -> Forecaster:
    """Of folds of a month each from `first` to `last`, all with one network."""
    past, recipe = panel.until(first), Plan(market, preset=preset).recipe
    data = Dataset.of(past, features_of(past, market.calendar), STEPS)
    ready = burn_in(STEPS)
    split = (ready + first) // 2
    rows = Rows(ready, split), Rows(split + 1, first - market.horizon - 2)
    starts = range(first, last + 1, MONTH)
    folds = [Fold(str(at), *rows, Rows(at, min(at + MONTH - 1, last))) for at in starts]
    checkpoint = untrained(data, folds[0], recipe)
    return Forecaster(panel, market, folds, lambda key: checkpoint)


def soak(
    panel: Panel,
    bars: int,
    preset: str,
    folder: Path,
    say: Callable[[str], Any] = lambda text: None,
) -> Soaked:
    """Live through the last `bars` of a panel, and compare with the backtest of what was seen."""
    last = len(panel.timestamps) - 1
    first = last + 1 - bars
    market = market_of(panel)
    ledger, recordings = Ledger(folder / "ledger.sqlite"), RecordingStore(folder / "recordings")
    with ledger:
        session = Session(
            ledger,
            market,
            forecaster_of(panel, market, first, last, preset),
            recordings,
            session="soak",
            capital=100_000.0,
            clock=lambda: BEGIN,
        )
        done, counted, half = 0, 0, 0.0
        warm, began = time.process_time(), time.monotonic()
        for bar in session.run(first, last):
            done += 1
            if done == min(WARM_UP, bars // 2):
                warm, counted = time.process_time(), done
            if done == bars // 2:
                half = resident()
            if done % max(1, bars // 50) == 0 and done > counted:
                spent = 1000 * (time.process_time() - warm) / (done - counted)
                say(
                    f"{done:>6} of {bars} bars  {bar.at:%Y-%m-%d}  {spent:5.1f} ms of CPU a bar  "
                    f"{resident() / 1e6:6.0f} MB  equity {bar.equity:10,.0f}  "
                    f"{time.monotonic() - began:5.0f} s"
                )
        cpu = (time.process_time() - warm) / (done - counted)
        growth = resident() / half - 1
        size = (folder / "ledger.sqlite").stat().st_size / bars
        identity = compare(ledger, market, recordings, "soak", eligibility_of(STEPS))
    return Soaked(done, cpu, growth, size, identity)


def resident() -> float:
    """Bytes of memory that the process has now; where nobody says, the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return float(statm.read_text().split()[1]) * resource.getpagesize()
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--bars", type=int, default=8760)
    asked.add_argument("--preset", default="tiny")
    asked.add_argument("--data", type=Path, help="hourly bars, Parquet; made up if not given")
    given = asked.parse_args()
    panel = read(given.data) if given.data else made_up(given.bars + 1000)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(
            panel, given.bars, given.preset, Path(folder), lambda text: print(text, flush=True)
        )
    identity = found.identity
    print(
        f"{found.bars} bars, {identity.fills} fills, {identity.vetoes} vetoes, "
        f"{len(identity.differences)} differences to the backtest; "
        f"{1000 * found.cpu:.1f} ms of CPU a bar, memory {found.growth:+.1%} over the second half, "
        f"{found.size / 1000:.1f} kB of ledger a bar"
    )
    found.check()
    if found.cpu >= 0.05 or found.growth >= 0.05:
        sys.exit("more than 50 ms of CPU a bar, or memory grew by more than 5 %")


if __name__ == "__main__":
    main()
