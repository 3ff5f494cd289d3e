"""How fast the features are: beside TA-Lib and two libraries, a day after a day, in memory, read.

    python benchmarks/features_speed.py [--symbols 500] [--bars 1260] [--long 12600] [--rounds 3]

CPU seconds of one process are what counts (a shared machine stretches the clock). What is compared
takes turns, and the median of the ratios is printed beside what is asked. Everything is warmed up
first. The full run takes some minutes; --long 0 leaves out the long history.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import talib

from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.core.features.catalog import NAMES, catalog_hash, compute_features
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline.core.market.market import Market
from trading_pipeline.steps.features import update_features
from trading_pipeline.steps.home import Home

os.environ.setdefault("OMP_NUM_THREADS", "1")
FIRST, NOW = "1970-01-01", datetime(2100, 1, 1, tzinfo=UTC)
COLUMNS = ("open", "high", "low", "close", "volume")

# The specification's indicators over several windows: (function, its inputs, its parameters).
TALIB = [
    *((talib.SMA, "c", (n,)) for n in (5, 10, 20, 50, 100, 200)),
    *((talib.EMA, "c", (n,)) for n in (5, 12, 26, 50, 100, 200)),
    *((talib.MACD, "c", spans) for spans in ((12, 26, 9), (5, 35, 5))),
    *((talib.ADX, "hlc", (n,)) for n in (7, 14, 28)),
    *((of, "hlc", (14,)) for of in (talib.PLUS_DI, talib.MINUS_DI)),
    (talib.SAR, "hl", (0.02, 0.2)),
    *((talib.AROON, "hl", (n,)) for n in (14, 25)),
    *((talib.RSI, "c", (n,)) for n in (7, 14, 21)),
    (talib.STOCH, "hlc", (14, 3, 0, 3, 0)),
    (talib.STOCHF, "hlc", (14, 3)),
    *((talib.WILLR, "hlc", (n,)) for n in (7, 14, 28)),
    *((talib.CCI, "hlc", (n,)) for n in (14, 20, 40)),
    *((talib.ROC, "c", (n,)) for n in (1, 5, 10, 21, 63, 126, 252)),
    *((talib.MFI, "hlcv", (n,)) for n in (7, 14, 28)),
    *((talib.ATR, "hlc", (n,)) for n in (7, 14, 21)),
    (talib.NATR, "hlc", (14,)),
    *((talib.BBANDS, "c", (n, 2, 2, 0)) for n in (20, 50)),
    *((talib.KC, "hlc", spans) for spans in ((20, 10, 2.0), (50, 20, 2.0))),
    (talib.OBV, "cv", ()),
    (talib.VWAP, "hlcv", ()),
    *((talib.CMF, "hlcv", (n,)) for n in (10, 20, 63)),
    *((talib.EFI, "cv", (n,)) for n in (2, 13, 20)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=1260)
    parser.add_argument("--long", type=int, default=12600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        print(peak_over_result(random_bars(given.symbols, given.bars)))
        return
    print(
        f"{given.symbols} symbols x {given.bars} bars x {len(NAMES)} features; ratios of CPU time"
    )
    for what, asked, reached in results(given):
        print(f"  {what:<66} {asked:>14} {reached:>10}", flush=True)


def results(given: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Lines of the table: what, asked, reached."""
    bars = random_bars(given.symbols, given.bars)
    yield from against_talib(bars, given.rounds)
    yield from against_libraries(bars)
    yield from reading_back(bars, given.rounds)
    yield from one_day(given)
    command = [sys.executable, __file__, "--memory", "--symbols", str(given.symbols)]
    done = subprocess.run(
        [*command, "--bars", str(given.bars)], check=True, capture_output=True, text=True
    )
    yield "peak memory of compute_features / its result", "at most 3", done.stdout.strip()


def against_talib(bars: pd.DataFrame, rounds: int) -> Iterator[tuple[str, str, str]]:
    """Ours, from bars to the table of features, beside the loop that everyone writes first."""
    arrays = by_symbol(bars)
    compute_features(bars, "XNYS")
    ratios, seconds = [], []
    for _ in range(rounds):
        theirs, ours = cpu(lambda: talib_loop(arrays)), cpu(lambda: compute_features(bars, "XNYS"))
        ratios.append(ours / theirs)
        seconds.append((ours, theirs))
    spent = " / ".join(f"{median(each):.2f} s" for each in zip(*seconds, strict=True))
    yield (
        f"ours / TA-Lib loop, {len(TALIB)} calls a symbol ({spent})",
        "at most 2",
        f"{median(ratios):.2f}",
    )


def talib_loop(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(N, T, 59) float32 of TA-Lib's first outputs; arrays are (N, T) float64."""
    out = np.empty((*arrays["c"].shape, len(TALIB)), np.float32)
    for symbol, of_symbol in enumerate(out):
        mine = {name: array[symbol] for name, array in arrays.items()}
        for place, (function, inputs, parameters) in enumerate(TALIB):
            answer = function(*(mine[name] for name in inputs), *parameters)
            of_symbol[:, place] = answer[0] if isinstance(answer, tuple) else answer
    return out


def against_libraries(bars: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Per feature and row, on a few symbols: these libraries take minutes for all."""
    names = bars["symbol"].drop_duplicates().head(4)
    few = [bars[bars["symbol"] == name].set_index("timestamp") for name in names]
    compute_features(bars, "XNYS")
    ours = median(cpu(lambda: compute_features(bars, "XNYS")) for _ in range(3))
    ours /= len(bars) * len(NAMES)
    for package, every in (("pandas_ta_classic", pandas_ta_columns), ("ta", ta_columns)):
        title = f"{package.replace('_', '-')} / ours, per feature and row"
        if find_spec(package) is None:
            yield title, "at least 20", f"not installed: pip install {package.replace('_', '-')}"
            continue
        every(few[0])
        columns: list[int] = []
        spent = cpu(lambda every=every, columns=columns: columns.extend(map(every, few)))
        yield title, "at least 20", f"{spent / sum(c * len(few[0]) for c in columns) / ours:.0f}"


def pandas_ta_columns(bars: pd.DataFrame) -> int:
    """The same indicators by pandas-ta-classic; how many columns it made."""
    import pandas_ta_classic as pta

    h, l, c, v = (bars[name] for name in COLUMNS[1:])  # noqa: E741
    made = [
        *(pta.sma(c, length=n) for n in (20, 50, 200)),
        *(pta.ema(c, length=n) for n in (12, 26)),
        pta.macd(c),
        pta.adx(h, l, c),
        pta.psar(h, l, c),
        pta.aroon(h, l, length=25),
        pta.rsi(c),
        pta.stoch(h, l, c),
        pta.willr(h, l, c),
        pta.cci(h, l, c, length=20),
        pta.roc(c),
        pta.mfi(h, l, c, v),
        pta.atr(h, l, c),
        pta.bbands(c, length=20),
        pta.kc(h, l, c),
        pta.obv(c, v),
        pta.cmf(h, l, c, v),
        pta.efi(c, v),
    ]
    return sum(1 if each.ndim == 1 else each.shape[1] for each in made)


def ta_columns(bars: pd.DataFrame) -> int:
    """All features that `ta` has, in one call; how many columns it made."""
    import ta

    with np.errstate(all="ignore"):
        table = ta.add_all_ta_features(bars.copy(), *COLUMNS)
    return table.shape[1] - bars.shape[1]


def reading_back(bars: pd.DataFrame, rounds: int) -> Iterator[tuple[str, str, str]]:
    """One contiguous array for training, beside the table that it is made of."""
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder) / "features.duckdb", "bench")
        store.write(compute_features(bars, "XNYS"), catalog_hash())
        stamps = pd.DatetimeIndex(bars["timestamp"].unique())
        symbols = sorted(bars["symbol"].unique())
        assert np.array_equal(
            store.read_grid(stamps, symbols),
            feature_grid(store.read(), stamps, symbols),
            equal_nan=True,
        )
        ratios = [
            cpu(lambda: store.read_grid(stamps, symbols))
            / cpu(lambda: feature_grid(store.read(), stamps, symbols))
            for _ in range(rounds)
        ]
    yield "reading a grid / reading the table and laying it out", "below 1", f"{median(ratios):.2f}"


def one_day(given: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """A new day of all symbols: read, compute, store, as the asset does it."""
    lengths = [given.bars, given.long] if given.long else [given.bars]
    rebuilds, days = zip(*(rebuild_and_day(given, length) for length in lengths), strict=True)
    yield f"a new day after {given.bars} bars", "", f"{days[0]:.2f} s"
    yield f"a rebuild of {given.bars} bars / a new day", "", f"{rebuilds[0] / days[0]:.0f}"
    if given.long:
        what = f"a new day after {given.long} bars / after {given.bars}"
        yield what, "at most 1.2", f"{days[1] / days[0]:.2f}"
        what = f"a rebuild of {given.long} bars / a new day ({rebuilds[1]:.0f} s)"
        yield what, "at least 20", f"{rebuilds[1] / days[1]:.0f}"


def rebuild_and_day(given: argparse.Namespace, length: int) -> tuple[float, float]:
    """CPU seconds of all days but the last ones, and the median of those one by one."""
    bars = random_bars(given.symbols, length)
    stamps = pd.DatetimeIndex(bars["timestamp"].unique()).to_pydatetime()
    symbols = tuple(bars["symbol"].unique())
    market = Market(name="bench", source="sample", symbols=symbols, start=date(1970, 1, 1))
    history = (datetime(1970, 1, 1, tzinfo=UTC), NOW)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(folder)
        store = home.bars(market)
        edges = [*stamps[-given.rounds - 1 :], NOW]
        store.merge(bars[bars["timestamp"] < edges[0]], NOW)
        update = lambda *days: update_features(home, market, days, NOW)  # noqa: E731
        rebuild = cpu(lambda: update(*history))
        spent = []
        for start, end in pairwise(edges):
            store.merge(bars[(bars["timestamp"] >= start) & (bars["timestamp"] < end)], NOW)
            spent.append(cpu(lambda start=start, end=end: update(start, end)))
    return rebuild, median(spent[1:])


def peak_over_result(bars: pd.DataFrame) -> str:
    """Peak resident memory above what imports and bars take, over the bytes of the features."""
    compute_features(bars.head(0), "XNYS")
    few = bars["symbol"].drop_duplicates().head(2)
    compute_features(bars[bars["symbol"].isin(few)].reset_index(drop=True), "XNYS")
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return "needs Linux"
    reset.write_text("5")  # the peak so far is forgotten: making the bars took more
    before = resident("VmRSS")
    features = compute_features(bars, "XNYS")
    return f"{(resident('VmHWM') - before) / features[list(NAMES)].to_numpy().nbytes:.2f}"


def resident(what: str) -> int:
    """Bytes of this process in memory: now (VmRSS), or at most since the last reset (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def random_bars(symbols: int, count: int, seed: int = 0) -> pd.DataFrame:
    """Random walks on business days, canonical: sorted by (timestamp, symbol)."""
    noise = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(noise.normal(0, 0.01, (count, symbols)), axis=0))
    away = np.abs(noise.normal(0, 0.01, (3, count, symbols)))
    opens = close * np.exp(away[0] - away[1])
    values = {
        "open": opens,
        "high": np.maximum(opens, close) * (1 + away[1]),
        "low": np.minimum(opens, close) * (1 - away[2]),
        "close": close,
        "volume": np.exp(noise.normal(10, 1, (count, symbols))),
    }
    stamps = pd.bdate_range(FIRST, periods=count, tz="UTC").as_unit("us")
    names = pd.Series([f"S{place:04d}" for place in range(symbols)] * count, dtype="str")
    keys = {"timestamp": stamps.repeat(symbols), "symbol": names}
    return pd.DataFrame(keys | {name: array.ravel() for name, array in values.items()})


def by_symbol(bars: pd.DataFrame) -> dict[str, np.ndarray]:
    """High, low, close, volume as (N, T) float64, a symbol a row."""
    count = bars["timestamp"].nunique()
    arrays = (bars[name].to_numpy().reshape(count, -1).T for name in COLUMNS[1:])
    return dict(zip("hlcv", map(np.ascontiguousarray, arrays), strict=True))


def cpu(step: Callable[[], object]) -> float:
    """CPU seconds of one step, all threads together."""
    start = time.process_time()
    step()
    return time.process_time() - start


if __name__ == "__main__":
    main()
