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
from datetime import date
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from trading_pipeline.core.backtest.run import book_settings, scored_rows
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.backtest.sweep import grid_of_limits, sweep
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import prepare
from trading_pipeline.core.trading.kelly import kelly_caps
from trading_pipeline.core.trading.profiles import PROFILES, Profile

CAPITAL = 1_000_000.0
LIMITS = {"stop_loss": (1.5, 2.0, 2.5, 3.0), "halve": (0.06, 0.08, 0.1, 0.12)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=int, default=64)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--bars", type=int, default=2769)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    inputs, shared = random_market(given.symbols, given.bars)
    profiles = many_profiles(given.books)
    bars = inputs[0].close.shape[0] - int(np.isfinite(inputs[1]).any(axis=1).argmax())
    print(f"{len(profiles)} books, {given.symbols} symbols x {bars} bars")
    one, many = (swept(inputs, shared, profiles, count) for count in (1, given.threads))
    loop = looped(inputs, shared, profiles)
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


def random_market(symbols: int, bars: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(panel, score, eligible, market), and what is prepared of them."""
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
        book="neutral",
        shortable=True,
        costs=Costs(fee=0.0005),
    )
    score = np.zeros(close.shape)
    for t in range(1, bars):
        score[t] = 0.95 * score[t - 1] + rng.normal(size=symbols)
    score[: min(252, bars // 4)] = np.nan
    inputs = (panel, score, np.ones(close.shape, dtype=bool), market)
    return inputs, {"prepared": prepare(panel), "groups": groups_of(panel, market)}


def weekdays(bars: int) -> Any:
    import pandas as pd

    return pd.bdate_range("2008-01-01", periods=bars, tz="UTC").as_unit("us")


def many_profiles(books: int) -> dict[str, Profile]:
    """Stops, drawdowns and sizes; as many combinations as are asked for."""
    sizes = np.linspace(0.05, 0.4, -(-books // 16)).round(4)
    grid = grid_of_limits(PROFILES["moderate"], {**LIMITS, "kelly_fraction": list(sizes)})
    return dict(list(grid.profiles.items())[:books])


def swept(
    inputs: tuple[Any, ...], shared: dict[str, Any], profiles: dict[str, Profile], threads: int
) -> Callable[[], Any]:
    panel, score, able, market = inputs
    return lambda: sweep(panel, score, able, market, profiles, CAPITAL, threads=threads, **shared)


def looped(
    inputs: tuple[Any, ...], shared: dict[str, Any], profiles: dict[str, Profile]
) -> Callable[[], list[np.ndarray]]:
    """The same books, one after the other; caps are made once for each fraction of Kelly."""
    panel, score, able, market = inputs
    start, stop = scored_rows(score, len(panel.timestamps))
    terms = {name: getattr(market, name) for name in ("horizon", "book", "shortable", "costs")}
    sigma = shared["prepared"].volatility

    def run() -> list[np.ndarray]:
        caps: dict[float, np.ndarray] = {}
        equity = []
        for each in profiles.values():
            if each.kelly_fraction not in caps:
                evidence = kelly_caps(panel, score, sigma, able, profile=each, **terms)
                caps[each.kelly_fraction] = evidence.cap
            book = simulate(
                panel,
                start=start,
                stop=stop,
                profile=each,
                score=score,
                eligible=able,
                kelly=caps[each.kelly_fraction],
                **book_settings(market, CAPITAL),
                **shared,
            )
            equity.append(book.equity)
        return equity

    return run


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of all threads, and seconds of the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    main()
