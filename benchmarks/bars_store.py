"""How fast bars are stored and read, beside pandas reading the same bars from one Parquet file.

    python benchmarks/bars_store.py [--symbols 500] [--years 10] [--rounds 7]

Prices are random walks in cents. One night's bars are merged by a process of its own, so that its
CPU time and peak memory are those of a nightly run, imports included. Reading takes turns with
pandas; a ratio above 1 says that the store is faster.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.fetch_plan import asked_at, requests_for

FIRST = pd.Timestamp("2014-01-01", tz="UTC")
CALENDAR = trading_calendar("XNYS", "1d")
DAY = pd.Timedelta(days=1)


def panel(symbols: int, years: int) -> pd.DataFrame:
    """Canonical daily bars, (sessions × symbols) rows, ordered by (timestamp, symbol)."""
    sessions = CALENDAR.sessions(FIRST, FIRST + pd.DateOffset(years=years))
    shape, random = (len(sessions), symbols), np.random.default_rng(0)
    close = np.exp(4 + 0.02 * np.cumsum(random.normal(size=shape), axis=0))
    open_ = close * np.exp(0.005 * random.normal(size=shape))
    wide = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.005,
        "low": np.minimum(open_, close) * 0.995,
        "close": close,
    }
    prices = {name: np.maximum(values.round(2), 0.01).ravel() for name, values in wide.items()}
    names = [f"S{n:04d}" for n in range(symbols)]
    keys = {"timestamp": sessions.repeat(symbols), "symbol": names * len(sessions)}
    volume = random.integers(10_000, 10_000_000, size=shape).ravel().astype(float)
    return check_bars(pd.DataFrame(keys | prices | {"volume": volume}))


def night(folder: Path, last: Path) -> None:
    """What a nightly download does on disk: see what is due, merge it. Prints figures as JSON."""
    bars = pd.read_parquet(last)
    store, now = BarStore(folder), bars["timestamp"].iloc[0] + DAY
    seconds = time.process_time()
    symbols = sorted(bars["symbol"].unique())
    due = requests_for(
        CALENDAR,
        (FIRST, now),
        symbols,
        stored=store.keys(),
        absent=store.absences(),
        asked=store.asked(),
        now=now,
    )
    planned = time.process_time()
    asked = pd.DataFrame({"symbol": symbols, "asked_at": asked_at(CALENDAR, now, now)})
    merged = store.merge(bars, now, asked=asked)
    done = time.process_time()
    assert (len(due), merged.added) == (len(symbols), len(symbols))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"plan": planned - seconds, "merge": done - planned, "process": time.process_time()}
    print(json.dumps(figures | {"peak": usage.ru_maxrss / 1024}))


def lap(read: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    read()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(store: BarStore, one: Path, rounds: int) -> None:
    """Read in turns, and print both and their ratio."""
    pd.testing.assert_frame_equal(store.read(), pd.read_parquet(one))
    laps = [(lap(store.read), lap(lambda: pd.read_parquet(one))) for _ in range(rounds)]
    for which, unit in ((0, "wall"), (1, "CPU")):
        ours, pandas = ([pair[n][which] for pair in laps] for n in (0, 1))
        print(
            f"  {unit:>4}: store {min(ours):.3f} s (median {median(ours):.3f}), "
            f"pandas {min(pandas):.3f} s (median {median(pandas):.3f}), "
            f"ratio {min(pandas) / min(ours):.2f} (median {median(pandas) / median(ours):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--night", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.night:
        night(*given.night)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), panel(given.symbols, given.years), given.rounds)


def measure(folder: Path, bars: pd.DataFrame, rounds: int) -> None:
    """Store all but the last session, merge that in a process of its own, then read."""
    store, one, last = BarStore(folder / "raw"), folder / "one.parquet", folder / "last.parquet"
    bars.to_parquet(one, index=False)
    is_last = bars["timestamp"] == bars["timestamp"].iloc[-1]
    bars[is_last].to_parquet(last, index=False)
    before = bars["timestamp"].iloc[-1]
    asked = pd.DataFrame({"symbol": bars["symbol"].unique(), "asked_at": before})
    wall, cpu = lap(lambda: store.merge(bars[~is_last], before, asked=asked))
    size = sum(path.stat().st_size for path in store.folder.rglob("*.parquet")) / 2**20
    print(f"{len(bars):,} bars of {bars['symbol'].nunique()} symbols, {size:.0f} MB in the store")
    print(f"storing all but the last session at once: {cpu:.1f} s of CPU, {wall:.1f} s")

    command = [sys.executable, __file__, "--night", str(store.folder), str(last)]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print(
        f"one night: {figures['merge']:.2f} s of CPU to merge, {figures['plan']:.2f} s to see what "
        f"is due, {figures['process']:.1f} s with all imports; peak {figures['peak']:.0f} MB"
    )
    print(f"reading all, in turns, {rounds} rounds:")
    compare(store, one, rounds)
    for name, call in (("keys", store.keys), ("data_hash", store.data_hash)):
        laps = [lap(call) for _ in range(3)]
        print(f"{name}: {min(wall for wall, _ in laps):.3f} s, {min(c for _, c in laps):.3f} s CPU")
    at = before - DAY
    wall, cpu = lap(lambda: store.read_as_known(at + 2 * DAY))
    print(f"read_as_known: {wall:.3f} s, {cpu:.3f} s CPU")


if __name__ == "__main__":
    main()
