"""How fast the backtest engine is, beside vectorbt, backtesting.py and backtrader.

    python benchmarks/engine_speed.py [--symbols 500] [--bars 1260] [--rounds 5] [--history 2769]

backtesting.py is AGPL and backtrader GPL, so they are no dependencies. `make bench-engine` installs
them beside the environment, for this script only, which runs without them and says what is missing.

CPU seconds of one process are what counts (a shared machine stretches the clock). What is compared
takes turns after a warm-up, and the median of the ratios is printed beside what is asked.

All engines trade the same random walks by the same plan: each symbol is wanted for some 20 bars and
not for some 20; what becomes wanted at a close is bought at the next open, and sold at the open
after it stops being wanted, or before at a stop 5 % below or a take-profit 10 % above its price,
and then not bought again until it is wanted anew. Equal shares of the capital, 10 bp of fees, 5 bp
of slippage, one account for all symbols. How many orders each of them filled is printed as well.
No engine but ours knows a share of the volume that is not to be exceeded, so it is off here.

Ours is given a table of orders with brackets, under a profile whose rules are all worked out but so
far off that none refuses. Every engine has its inputs prepared beforehand; what it costs to check
the table of orders, and to prepare the panel, is printed beside. What differs:

ours            writes down positions, orders, fills, reasons, costs and equity; stops are set from
                the close that decides
vectorbt        `Portfolio.from_signals` writes down orders; its equity is another call; stops are
                set from the fill
backtesting.py  `Backtest.run` makes its statistics as well (also timed without); stops are set from
                the close that decides; spread for slippage; whole units; all sold at the end
backtrader      feeds of pandas, brackets of stop and limit orders, no observers; stops are set from
                the close that decides
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from engine_rivals import (
    CAPITAL,
    FEE,
    INVESTED,
    SLIPPAGE,
    STOP,
    TAKE,
    Rival,
    backtesting_run,
    backtrader_run,
    cpu,
    timed,
    vectorbt_run,
)

from trading_pipeline.core.backtest import run as backtest
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.simulate import simulate, simulate_orders
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.inputs import Inputs, Prepared, prepare
from trading_pipeline.core.trading.order_table import orders_from
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.terms import Terms

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")  # backtesting.py would draw a progress bar
RIVALS = Path(sys.prefix) / "rivals"  # where `make bench-engine` installs them
sys.path.append(str(RIVALS))

HOLDING = 20  # bars, on average
ASKED = {"vectorbt": 10, "backtesting": 50, "backtrader": 1000}
PREPARED = "all inputs prepared"
KINDS = ("scores", "orders")  # of first calls

# All rules of the account are worked out, but none refuses or closes anything, and the levels of a
# bracket stay as they are.
FAR = replace(
    PROFILES["moderate"],
    **dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "halve"), 0.98),
    flat=0.99,
    trailing_stop=inf,
)
TERMS = Terms(
    capital=CAPITAL,
    costs=Costs(fee=FEE, slippage=SLIPPAGE, min_notional=0.0, participation=inf),
    bars_per_year=252,
    profile=FAR,
)

Line = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=1260)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--universe", type=int, default=100, help="symbols of the whole backtest")
    parser.add_argument("--history", type=int, default=2769, help="bars of the whole backtest")
    parser.add_argument("--first-calls", nargs="*", choices=KINDS, default=KINDS, metavar="KIND")
    parser.add_argument("--alone", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(alone(given)))
        return
    print(f"{given.symbols} symbols x {given.bars} bars; ratios of CPU time")
    for what, asked, reached in results(given):
        print(f"  {what:<74} {asked:>14} {reached:>10}", flush=True)


def results(given: argparse.Namespace) -> Iterator[Line]:
    """Lines of the table: what, asked, reached."""
    yield from against("vectorbt", vectorbt_run, given.symbols, given)
    yield from all_rules(given)
    yield from against("backtesting", backtesting_run, 1, given)
    yield from against("backtrader", backtrader_run, min(10, given.symbols), given)
    yield from whole_backtest(given)
    yield from first_calls(given)


def against(package: str, rival: Rival, symbols: int, given: argparse.Namespace) -> Iterator[Line]:
    """One rival beside ours: the ratios, what both spent, and how many orders both filled."""
    title = f"{package} / ours, {symbols} x {given.bars}"
    asked = f"at least {ASKED[package]}"
    if find_spec(package) is None:
        yield title, asked, "not installed: make bench-engine"
        return
    panel, wanted = random_panel(symbols, given.bars), random_plan(symbols, given.bars)
    ways, theirs = order_engines(panel, planned_orders(panel, wanted)), rival(panel, wanted)
    filled, fills = len(ways[PREPARED]().fills("bench")), theirs()[0]
    many = max(1, 200_000 // wanted.size)  # a run of a millisecond is timed as one of many
    laps = []
    for _ in range(given.rounds):
        spent, (_, parts) = cpu(theirs)
        laps.append((spent, parts, {way: each_of(many, run) for way, run in ways.items()}))
    yield (
        f"{title}, {PREPARED}",
        asked,
        ratio_of((spent, mine[PREPARED]) for spent, _, mine in laps),
    )
    for way in list(ways)[1:]:
        yield f"    {way}", "", ratio_of((spent, mine[way]) for spent, _, mine in laps)
    for name, part in laps[0][1].items():
        pairs = ((spent + parts[name], mine[PREPARED]) for spent, parts, mine in laps)
        word = "with" if part > 0 else "without"
        yield f"    {PREPARED}, {package} {word} {name}", "", ratio_of(pairs)
    ours, others = median(mine[PREPARED] for *_, mine in laps), median(lap[0] for lap in laps)
    for name, seconds, count in (("ours", ours, filled), (package, others, fills)):
        each = f"{1e9 * seconds / wanted.size:,.0f} ns a bar and symbol, {count:,} orders filled"
        yield f"    {name}: {each}", "", f"{1e3 * seconds:.1f} ms"


def ratio_of(pairs: Iterable[tuple[float, float]]) -> str:
    """The median ratio of what was spent side by side."""
    return f"{median(theirs / ours for theirs, ours in pairs):.1f}"


def each_of(many: int, run: Callable[[], Any]) -> float:
    """CPU seconds of one of many runs."""
    return cpu(lambda: [run() for _ in range(many)])[0] / many


def order_engines(panel: Panel, table: pd.DataFrame) -> dict[str, Callable[[], BacktestResult]]:
    """Ours, by how much of its inputs is prepared beforehand."""
    shared, orders, rows = prepare(panel), orders_from(table, panel), len(panel.timestamps)
    options: dict[str, Any] = {"terms": TERMS, "start": 0, "stop": rows}
    return {
        PREPARED: lambda: simulate_orders(panel, orders, prepared=shared, **options),
        "table of orders checked anew": lambda: simulate_orders(
            panel, table, prepared=shared, **options
        ),
        # A copy has to look for breaks and volatility again.
        "panel prepared anew as well": lambda: simulate_orders(replace(panel), table, **options),
    }


def planned_orders(panel: Panel, wanted: np.ndarray) -> pd.DataFrame:
    """Buys with a bracket where symbols become wanted, and sells of as much where they no longer
    are."""
    turns = np.zeros_like(wanted)
    turns[1:] = wanted[1:] != wanted[:-1]
    share = INVESTED * CAPITAL / wanted.shape[1]
    bought = np.where(turns & wanted, share / panel.close, np.nan)
    quantity = pd.DataFrame(bought).ffill().to_numpy()
    t, n = np.nonzero(turns)
    buys, close = wanted[t, n], panel.close[t, n]
    columns = {
        "decided_at": panel.timestamps[t],
        "symbol": np.array(panel.symbols)[n],
        "side": np.where(buys, "buy", "sell"),
        "quantity": quantity[t, n],
        "stop_loss": np.where(buys, close * (1 - STOP), np.nan),
        "take_profit": np.where(buys, close * (1 + TAKE), np.nan),
    }
    return pd.DataFrame(columns)


def all_rules(given: argparse.Namespace) -> Iterator[Line]:
    """As a market is really traded: scores sized and guarded by a profile."""
    panel = random_panel(given.symbols, given.bars)
    spent, _ = cpu(lambda: (panel.discontinuities, panel.conversion))
    yield "breaks in the data, looked for once a panel", "", f"{1e3 * spent:.1f} ms"
    spent, shared = cpu(lambda: prepare(panel))
    yield "the rest that books on a panel share", "", f"{1e3 * spent:.1f} ms"
    engine = scored_engine(panel, shared)
    count = len(engine().fills("bench"))
    spent = median(cpu(engine)[0] for _ in range(given.rounds))
    title = f"ours from scores, with all rules of `moderate`, prepared, {count:,} orders filled"
    yield title, "", f"{1e3 * spent:.1f} ms"


def scored_engine(panel: Panel, shared: Prepared | None = None) -> Callable[[], BacktestResult]:
    terms, inputs = replace(TERMS, profile=PROFILES["moderate"], horizon=21), random_scores(panel)
    rows: dict[str, Any] = {"start": 0, "stop": len(panel.timestamps), "prepared": shared}
    return lambda: simulate(panel, terms, Inputs(score=inputs), **rows)


def whole_backtest(given: argparse.Namespace) -> Iterator[Line]:
    """`run_backtest`: the strategy, its variants, all baselines, and the random portfolios."""
    panel = random_panel(given.universe, given.history)
    first = panel.timestamps[0].date()
    market = Market(name="bench", source="sample", symbols=panel.symbols, start=first)
    keys = pd.MultiIndex.from_product([panel.timestamps, panel.symbols])
    predictions = keys.to_frame(index=False, name=["timestamp", "symbol"])
    predictions = predictions.assign(score=random_scores(panel).ravel()).dropna()
    inputs = (panel, predictions, panel.traded)

    def everything() -> tuple[float, float, int]:
        with timed(backtest, "random_portfolios") as luck:
            total, result = cpu(lambda: backtest.run_backtest(*inputs, market, CAPITAL))
        return total, sum(luck), len(result.random.log)

    *_, count = everything()
    laps = [everything() for _ in range(given.rounds)]
    total, luck = (median(lap[part] for lap in laps) for part in (0, 1))
    rest = median(lap[0] - lap[1] for lap in laps)
    title = f"backtest of {given.universe} symbols x {given.history} bars"
    yield f"{title}: strategy, variants, baselines", "under 2 s", f"{rest:.2f} s"
    yield f"    {count:,} random portfolios", "", f"{luck:.2f} s"
    yield "    all of it", "", f"{total:.2f} s"


def first_calls(given: argparse.Namespace) -> Iterator[Line]:
    """Processes that do nothing else, each kind twice, from an empty cache of kernels."""
    for kind in given.first_calls:
        compiling, cached = first_and_next(kind, given)
        yield f"first call from {kind}, compiled", "under 10 s", f"{compiling['first']:.2f} s"
        yield "    in the next process, from the cache", "", f"{cached['first']:.2f} s"
        yield "    peak memory of that process", "under 500 MB", f"{cached['peak']:.0f} MB"
        yield "    after imports alone", "", f"{cached['imports']:.0f} MB"
        yield "    with the panel", "", f"{cached['panel']:.0f} MB"
        yield "    at the peak, where it compiles first", "", f"{compiling['peak']:.0f} MB"


def first_and_next(kind: str, given: argparse.Namespace) -> list[dict[str, float]]:
    """What `alone` says with no compiled kernels, and with them."""
    sizes = ["--symbols", str(given.symbols), "--bars", str(given.bars)]
    command = [sys.executable, __file__, "--alone", kind, *sizes]
    with tempfile.TemporaryDirectory() as cache:
        options: dict[str, Any] = {"env": os.environ | {"NUMBA_CACHE_DIR": cache}, "check": True}
        runs = [subprocess.run(command, stdout=subprocess.PIPE, **options) for _ in range(2)]
    return [json.loads(run.stdout) for run in runs]


def alone(given: argparse.Namespace) -> dict[str, float]:
    """Build a panel and simulate: CPU seconds of the first call, peaks of memory in MB."""
    imports = peak_megabytes()
    panel = random_panel(given.symbols, given.bars)
    table = planned_orders(panel, random_plan(given.symbols, given.bars))
    options: dict[str, Any] = {"start": 0, "stop": given.bars}
    engine = scored_engine(panel)
    if given.alone == "orders":
        engine = partial(simulate_orders, panel, table, TERMS, **options)
    built = peak_megabytes()
    first, _ = cpu(engine)
    return {"first": first, "imports": imports, "panel": built, "peak": peak_megabytes()}


def peak_megabytes() -> float:
    """The most memory that this process ever had. `getrusage` would count its parent's as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def random_panel(symbols: int, bars: int, seed: int = 0) -> Panel:
    """Random walks on business days, complete, without corporate actions."""
    noise, shape = np.random.default_rng(seed), (bars, symbols)
    close = 100 * np.exp(np.cumsum(noise.normal(0, 0.015, shape), axis=0))
    opens = np.vstack([close[:1], close[:-1]]) * np.exp(noise.normal(0, 0.003, shape))
    return Panel(
        timestamps=pd.bdate_range("2014-01-01", periods=bars, tz="UTC"),
        symbols=tuple(f"S{n:04d}" for n in range(symbols)),
        open=opens,
        high=np.maximum(opens, close) * (1 + np.abs(noise.normal(0, 0.005, shape))),
        low=np.minimum(opens, close) * (1 - np.abs(noise.normal(0, 0.005, shape))),
        close=close,
        volume=np.exp(noise.normal(10, 1, shape)),
        split=np.ones(shape),
        dividend=np.zeros(shape),
        factor=np.ones(shape),
        total_return_units=False,
    )


def random_plan(symbols: int, bars: int, seed: int = 1) -> np.ndarray:
    """(T, N) bool: when each symbol is wanted, from no bar at first."""
    turns = np.random.default_rng(seed).random((bars, symbols)) < 1 / HOLDING
    turns[0] = False
    wanted: np.ndarray = np.cumsum(turns, axis=0) % 2 == 1
    return wanted


def random_scores(panel: Panel, seed: int = 2) -> np.ndarray:
    """(T, N) scores that say nothing, and last some 20 bars; none while σ is unknown."""
    noise = np.random.default_rng(seed).normal(0, 1, panel.close.shape)
    score: np.ndarray = pd.DataFrame(noise).ewm(halflife=HOLDING).mean().to_numpy(copy=True)
    score[: min(63, len(score) // 2)] = np.nan
    return score


if __name__ == "__main__":
    main()
