"""How fast the backtest engine is, beside vectorbt, backtesting.py and backtrader.

    python benchmarks/engine_speed.py [--symbols 500] [--bars 1260] [--rounds 5] [--history 2769]

backtesting.py is AGPL and backtrader GPL, so they are no dependencies. `make bench-engine` installs
them beside the environment, for this script only, which runs without them and says what is missing.

CPU seconds of one process are what counts (a shared machine stretches the clock). What is compared
takes turns after a warm-up, and the median of the ratios is printed beside what is asked.

All engines trade the same random walks by the same plan: each symbol is wanted for some 20 bars and
not for some 20; what becomes wanted at a close is bought at the next open with an equal share of
the capital, and sold at the open after it stops being wanted, or before at 5 % below or 10 % above
its price, and then not bought again until it is wanted anew. 10 bp of fees, 5 bp of slippage, one
account for all symbols. How many orders each of them filled is printed as well. What differs:

ours            decides, caps and guards every bar, and writes down positions, reasons, costs and
                equity; its share is of equity, not of the first capital
vectorbt        `Portfolio.from_signals` writes down orders; its equity is another call
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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from math import inf, log
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import PRICES
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading import backtest
from trading_pipeline.core.trading.book import Book
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.simulate import simulate

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")  # backtesting.py would draw a progress bar
RIVALS = Path(sys.prefix) / "rivals"  # where `make bench-engine` installs them
sys.path.append(str(RIVALS))

CAPITAL, INVESTED = 1_000_000.0, 0.95
FEE, SLIPPAGE, STOP, TAKE = 0.001, 0.0005, 0.05, 0.10
HOLDING = 20  # bars, on average
ASKED = {"vectorbt": 10, "backtesting": 50, "backtrader": 1000}

# What the others have of our rules: stops, and nothing else. Stops are in units of σ√h; a long h
# keeps a symbol that was stopped out blocked until its signal turns.
HORIZON = 10_000
OFF = ("volatility_target", "gross_cap", "net_cap", "symbol_cap", "daily_loss", "weekly_loss")
LIMITLESS: dict[str, Any] = dict.fromkeys((*OFF, "monthly_loss", "halve", "flat"), inf)
ONLY_STOPS = replace(
    PROFILES["moderate"],
    **LIMITLESS,
    starting_cap=1.0,
    stop_loss=-log(1 - STOP) / HORIZON**0.5,
    take_profit=log(1 + TAKE) / HORIZON**0.5,
    band=0.99,  # buys and sells, but does not restore weights
    band_floor=0.0,
)
SETTINGS: dict[str, Any] = {
    "start": 0,
    "capital": CAPITAL,
    "costs": Costs(fee=FEE, slippage=SLIPPAGE, min_notional=0.0),
    "bars_per_year": 252,
    "book": "long_only",
    "shortable": False,
}

Line = tuple[str, str, str]
# Orders filled, and CPU seconds of parts that may be counted too, or (negative) left out.
Run = tuple[int, dict[str, float]]
Rival = Callable[[Panel, np.ndarray], Callable[[], Run]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=1260)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--universe", type=int, default=100, help="symbols of the whole backtest")
    parser.add_argument("--history", type=int, default=2769, help="bars of the whole backtest")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
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
    """One rival beside ours: the ratio, what both spent, and how many orders both filled."""
    title = f"{package} / ours, {symbols} x {given.bars}"
    asked = f"at least {ASKED[package]}"
    if find_spec(package) is None:
        yield title, asked, "not installed: make bench-engine"
        return
    panel, wanted = random_panel(symbols, given.bars), random_plan(symbols, given.bars)
    engine, theirs = our_engine(panel, wanted), rival(panel, wanted)
    book, (fills, _) = engine(), theirs()
    many = max(1, 200_000 // wanted.size)  # a run of a millisecond is timed as one of many
    laps = []
    for _ in range(given.rounds):
        spent, (_, parts) = cpu(theirs)
        laps.append((cpu(lambda: [engine() for _ in range(many)])[0] / many, spent, parts))
    ours, others = (median(lap[side] for lap in laps) for side in (0, 1))
    yield title, asked, f"{median(spent / mine for mine, spent, _ in laps):.1f}"
    for name, part in laps[0][2].items():
        ratio = median((spent + parts[name]) / mine for mine, spent, parts in laps)
        yield f"    {'with' if part > 0 else 'without'} {name}", "", f"{ratio:.1f}"
    filled = len(book.fills("bench"))
    for name, seconds, count in (("ours", ours, filled), (package, others, fills)):
        each = f"{1e9 * seconds / wanted.size:,.0f} ns a bar and symbol, {count:,} orders filled"
        yield f"    {name}: {each}", "", f"{1e3 * seconds:.1f} ms"


def our_engine(panel: Panel, wanted: np.ndarray) -> Callable[[], Book]:
    """Equal weights where wanted; a negative weight is none in a long-only book, and a turn."""
    share = INVESTED / wanted.shape[1]
    weights, sigma = np.where(wanted, share, -share), np.ones(wanted.shape)
    stops = {"profile": ONLY_STOPS, "horizon": HORIZON, "volatility": sigma}
    given = SETTINGS | stops | {"weights": weights}
    return lambda: simulate(panel, stop=len(panel.timestamps), **given)


def vectorbt_run(panel: Panel, wanted: np.ndarray) -> Callable[[], Run]:
    """Its equity is a part to be counted too: `from_signals` leaves it for later."""
    import vectorbt

    before = np.vstack([np.zeros_like(wanted[:1]), wanted[:-1]])
    decided = {"entries": wanted & ~before, "exits": before & ~wanted}
    late = {name: np.vstack([np.zeros_like(at[:1]), at[:-1]]) for name, at in decided.items()}
    prices = {name: getattr(panel, name) for name in PRICES}
    tables = {
        name: pd.DataFrame(values, index=panel.timestamps, columns=panel.symbols)
        for name, values in (prices | late).items()
    }

    def run() -> Run:
        portfolio = vectorbt.Portfolio.from_signals(
            **tables,
            price=tables["open"],
            size=INVESTED * CAPITAL / wanted.shape[1],
            size_type="value",
            stop_entry_price="fillprice",
            sl_stop=STOP,
            tp_stop=TAKE,
            fees=FEE,
            slippage=SLIPPAGE,
            init_cash=CAPITAL,
            cash_sharing=True,
            group_by=True,
            freq="1D",
        )
        return len(portfolio.orders.records), {"its equity": cpu(portfolio.value)[0]}

    return run


def backtesting_run(panel: Panel, wanted: np.ndarray) -> Callable[[], Run]:
    """Its statistics are a part that may be left out."""
    from backtesting import Backtest, Strategy, backtesting

    plan = wanted[:, 0]

    class Planned(Strategy):
        def init(self) -> None: ...

        def next(self) -> None:
            t = len(self.data) - 1
            if plan[t] and not plan[t - 1] and not self.position:
                price = self.data.Close[-1]
                self.buy(size=INVESTED, sl=price * (1 - STOP), tp=price * (1 + TAKE))
            elif not plan[t] and self.position:
                self.position.close()

    bars = feed(panel, 0).rename(columns=str.capitalize)

    def run() -> Run:
        costs = {"commission": FEE, "spread": 2 * SLIPPAGE}
        test = Backtest(bars, Planned, cash=CAPITAL, **costs, finalize_trades=True)
        with timed(backtesting, "compute_stats") as spent:
            trades = test.run()["_trades"]
        return 2 * len(trades), {"its statistics": -sum(spent)}

    return run


def backtrader_run(panel: Panel, wanted: np.ndarray) -> Callable[[], Run]:
    """A strategy of brackets; it has no parts to tell apart."""
    import backtrader

    share = INVESTED * CAPITAL / wanted.shape[1]

    class Planned(backtrader.Strategy):
        def __init__(self) -> None:
            self.filled = 0
            self.brackets: dict[int, list[Any]] = {}

        def notify_order(self, order: Any) -> None:
            self.filled += order.status == order.Completed

        def next(self) -> None:
            t = len(self) - 1
            for n, bars in enumerate(self.datas):
                held = self.getposition(bars).size
                if wanted[t, n] and not wanted[t - 1, n] and not held:
                    self.brackets[n] = self.enter(bars, bars.close[0])
                elif not wanted[t, n] and held:
                    self.close(data=bars)
                    self.cancel(self.brackets[n][1])  # and with it the other one

        def enter(self, bars: Any, price: float) -> list[Any]:
            levels = {"stopprice": price * (1 - STOP), "limitprice": price * (1 + TAKE)}
            market = {"size": share / price, "exectype": backtrader.Order.Market}
            return self.buy_bracket(data=bars, **market, **levels)

    feeds = [feed(panel, n) for n in range(wanted.shape[1])]

    def run() -> Run:
        cerebro = backtrader.Cerebro(stdstats=False)
        for bars in feeds:
            cerebro.adddata(backtrader.feeds.PandasData(dataname=bars))
        cerebro.addstrategy(Planned)
        cerebro.broker.setcash(CAPITAL)
        cerebro.broker.setcommission(FEE)
        cerebro.broker.set_slippage_perc(SLIPPAGE)
        return cerebro.run()[0].filled, {}

    return run


def feed(panel: Panel, n: int) -> pd.DataFrame:
    """Bars of one symbol, as both libraries take them: without a time zone."""
    columns = {name: getattr(panel, name)[:, n] for name in (*PRICES, "volume")}
    return pd.DataFrame(columns, index=panel.timestamps.tz_localize(None))


def all_rules(given: argparse.Namespace) -> Iterator[Line]:
    """As a market is really traded: scores sized and guarded by a profile."""
    panel = random_panel(given.symbols, given.bars)
    spent, _ = cpu(lambda: (panel.breaks, panel.conversion))
    yield "breaks in the data, looked for once a panel", "", f"{1e3 * spent:.1f} ms"
    engine = scored_engine(panel)
    count = len(engine().fills("bench"))
    spent = median(cpu(engine)[0] for _ in range(given.rounds))
    yield f"ours with all rules of `moderate`, {count:,} orders filled", "", f"{1e3 * spent:.1f} ms"


def scored_engine(panel: Panel) -> Callable[[], Book]:
    rules = {"profile": PROFILES["moderate"], "horizon": 21, "score": random_scores(panel)}
    given = SETTINGS | rules
    return lambda: simulate(panel, stop=len(panel.timestamps), **given)


def whole_backtest(given: argparse.Namespace) -> Iterator[Line]:
    """`run_backtest`: the strategy, its variants, all baselines, and the random portfolios."""
    panel = random_panel(given.universe, given.history)
    first = panel.timestamps[0].date()
    market = Market(name="bench", source="sample", symbols=panel.symbols, start=first)
    keys = pd.MultiIndex.from_product([panel.timestamps, panel.symbols])
    predictions = keys.to_frame(index=False, name=["timestamp", "symbol"])
    predictions = predictions.assign(score=random_scores(panel).ravel()).dropna()
    inputs = (panel, predictions, panel.traded)

    def everything() -> tuple[float, float]:
        with timed(backtest, "random_portfolios") as luck:
            total, _ = cpu(lambda: backtest.run_backtest(*inputs, market, CAPITAL))
        return total, sum(luck)

    everything()
    laps = [everything() for _ in range(given.rounds)]
    total, luck = (median(lap[part] for lap in laps) for part in (0, 1))
    rest = median(lap[0] - lap[1] for lap in laps)
    title = f"backtest of {given.universe} symbols x {given.history} bars"
    yield f"{title}: strategy, variants, baselines", "under 2 s", f"{rest:.2f} s"
    yield f"    {backtest.RANDOM_PORTFOLIOS:,} random portfolios", "", f"{luck:.2f} s"
    yield "    all of it", "", f"{total:.2f} s"


def first_calls(given: argparse.Namespace) -> Iterator[Line]:
    """Two processes that do nothing else, one after the other, from an empty cache of kernels."""
    with tempfile.TemporaryDirectory() as cache:
        sizes = ["--symbols", str(given.symbols), "--bars", str(given.bars)]
        command = [sys.executable, __file__, "--alone", *sizes]
        options: dict[str, Any] = {"env": os.environ | {"NUMBA_CACHE_DIR": cache}, "check": True}
        runs = [subprocess.run(command, stdout=subprocess.PIPE, **options) for _ in range(2)]
    compiling, cached = (json.loads(run.stdout) for run in runs)
    yield "first call, compilation included", "under 10 s", f"{compiling['first']:.2f} s"
    yield "first call of the next process, compiled code cached", "", f"{cached['first']:.2f} s"
    yield "peak memory of a process that simulates", "under 500 MB", f"{cached['peak']:.0f} MB"
    yield "    after imports alone", "", f"{cached['imports']:.0f} MB"
    yield "    with the panel", "", f"{cached['panel']:.0f} MB"
    yield "    at the peak, where it compiles first", "", f"{compiling['peak']:.0f} MB"


def alone(given: argparse.Namespace) -> dict[str, float]:
    """Build a panel and simulate: CPU seconds of the first call, peaks of memory in MB."""
    imports = peak_megabytes()
    engine = scored_engine(random_panel(given.symbols, given.bars))
    panel = peak_megabytes()
    first, _ = cpu(engine)
    return {"first": first, "imports": imports, "panel": panel, "peak": peak_megabytes()}


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


@contextmanager
def timed(module: ModuleType, name: str) -> Iterator[list[float]]:
    """CPU seconds of each call of a function that a module knows by this name."""
    function, spent = getattr(module, name), []

    def measured(*args: Any, **options: Any) -> Any:
        seconds, made = cpu(lambda: function(*args, **options))
        spent.append(seconds)
        return made

    with patch.object(module, name, measured):
        yield spent


def cpu(step: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one step, all threads together, and what it returned."""
    start = time.process_time()
    made = step()
    return time.process_time() - start, made


if __name__ == "__main__":
    main()
