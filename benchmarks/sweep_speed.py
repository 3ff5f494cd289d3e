"""How fast a sweep of risk limits is, beside a Python loop over `simulate`.

    python benchmarks/sweep_speed.py [--books 64] [--symbols 100] [--bars 2769] [--threads 2]
                                     [--rounds 3]

Both trade the same random walks and scores under the same profiles, with everything prepared that
books have in common; the loop gets it handed over, too. What takes turns is compared by the median
of the ratios: of CPU seconds, which a shared machine does not stretch, and of the clock, which is
what threads are for. Every book of the sweep is checked to be that of the loop, to the last bit.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.sweep import grid_of_limits, sweep
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.profiles import PROFILES, Profile
from trading_pipeline.core.trading.terms import Terms

CAPITAL = 1_000_000.0
LIMITS = {"stop_loss": (1.5, 2.0, 2.5, 3.0), "drawdown_limit": (0.15, 0.2, 0.25, 0.3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=int, default=64)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--bars", type=int, default=2769)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    basis, terms = random_market(given.symbols, given.bars)
    profiles = many_profiles(given.books)
    bars = basis.stop - basis.start
    print(f"{len(profiles)} books, {given.symbols} symbols x {bars} bars")
    one, many = (swept(basis, terms, profiles, count) for count in (1, given.threads))
    loop = looped(basis, terms, profiles)
    same = np.array_equal(np.stack(loop()), many().equity)
    laps = [[timed(each) for each in (loop, one, many)] for _ in range(given.rounds)]
    threaded = f"sweep, {given.threads} threads"
    for place, name in enumerate(("loop over simulate", "sweep", threaded)):
        cpu, wall = (median(lap[place][clock] for lap in laps) for clock in (0, 1))
        rate = len(profiles) * bars / wall
        print(f"  {name:<24} {cpu:7.2f} s CPU {wall:7.2f} s wall {rate:12,.0f} books x bars / s")
    for place, name in ((1, "sweep"), (2, threaded)):
        ratios = [median(lap[0][clock] / lap[place][clock] for lap in laps) for clock in (0, 1)]
        print(f"  loop / {name:<17} {ratios[0]:7.2f} of CPU {ratios[1]:7.2f} of wall")
    print(f"  every book the same to the last bit: {'yes' if same else 'NO'}")


def random_market(symbols: int, bars: int) -> tuple[Basis, Terms]:
    """Scores of a random market, all that is prepared of them, and the terms of an account."""
    rng = np.random.default_rng(0)
    common = rng.normal(0.0003, 0.008, (bars, 1))
    close = 50 * np.exp(np.cumsum(common + rng.normal(0, 0.018, (bars, symbols)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.006, close.shape))
    spread = np.exp(np.abs(rng.normal(0, 0.006, close.shape)))
    ones = np.ones_like(close)
    panel = Panel(
        timestamps=weekdays(bars),
        symbols=tuple(f"S{n:03d}" for n in range(symbols)),
        open=open_,
        high=np.fmax(open_, close) * spread,
        low=np.fmin(open_, close) / spread,
        close=close,
        volume=1e7 * ones,
        split=ones,
        dividend=0 * ones,
        factor=ones,
        total_return_units=False,
    )
    market = Market(
        name="random",
        source="parquet",
        symbols=panel.symbols,
        start=date(2008, 1, 1),
        mandate="neutral",
        shortable=True,
        costs=Costs(fee=0.0005),
    )
    score = np.zeros(close.shape)
    for t in range(1, bars):
        score[t] = 0.95 * score[t - 1] + rng.normal(size=symbols)
    score[: min(252, bars // 4)] = np.nan
    basis = Basis.of(panel, score, np.ones(close.shape, dtype=bool), market)
    return basis, Terms.of(market, CAPITAL)


def weekdays(bars: int) -> Any:
    import pandas as pd

    return pd.bdate_range("2008-01-01", periods=bars, tz="UTC").as_unit("us")


def many_profiles(books: int) -> dict[str, Profile]:
    """Stops, drawdowns and sizes; as many combinations as are asked for."""
    sizes = np.linspace(0.05, 0.4, -(-books // 16)).round(4)
    grid = grid_of_limits(PROFILES["moderate"], {**LIMITS, "kelly_fraction": list(sizes)})
    return dict(list(grid.profiles.items())[:books])


def swept(
    basis: Basis, terms: Terms, profiles: dict[str, Profile], threads: int
) -> Callable[[], Any]:
    return lambda: sweep(basis, terms, profiles, threads=threads)


def looped(
    basis: Basis, terms: Terms, profiles: dict[str, Profile]
) -> Callable[[], list[np.ndarray]]:
    """The same books, one after the other; all are sized alike, and share their evidence."""

    def run() -> list[np.ndarray]:
        return [
            basis.trade(replace(terms, profile=each), kelly=basis.evidence.share_under(each)).equity
            for each in profiles.values()
        ]

    return run


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of all threads, and seconds of the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    main()
