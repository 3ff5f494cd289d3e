"""Bars as markets can be, in whatever length the longest lookback needs."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import check_bars

FIRST = pd.Timestamp("2020-01-06", tz="UTC")
KINDS = (
    "calm", "ticks", "flat", "jumps", "idle", "tiny", "huge", "still", "points", "spike", "silent"
)  # fmt: skip


def bars_of(kind: str, size: int, seed: int, symbol: str = "AAA") -> pd.DataFrame:
    """One symbol's daily bars of a kind.

    calm: a random walk. ticks: rounded to cents, so that much ties. flat: long stretches without
    a move. jumps: now and then by a factor of ten thousand. idle: most bars without volume.
    tiny, huge: prices near 1e-8 and 1e8, volumes near 1e-4 and 1e15. still: never a move. points:
    a bar's four prices are one. spike: a single jump by a factor of a million, in the middle.
    silent: never any volume.
    """
    noise = np.random.default_rng(seed)
    steps = noise.normal(0, 0.02, size)
    if kind == "flat":
        steps *= np.sin(np.arange(size) / 60) > 0.3
    if kind == "jumps":
        steps += noise.choice([0.0, 9.2, -9.2], size, p=[0.98, 0.01, 0.01])
    if kind == "still":
        steps[:] = 0.0
    if kind == "spike":
        steps[size // 2] = noise.choice([13.8, -13.8])
    close = 100 * np.exp(np.cumsum(steps))
    moves = np.abs(noise.normal(0, 0.01, (3, size))) * (steps != 0) * (kind != "points")
    open_ = close * np.exp(moves[0] - moves[1])
    high = np.maximum(open_, close) * (1 + moves[1])
    low = np.minimum(open_, close) * (1 - moves[2])
    volume = np.exp(noise.normal(10, 1, size)) * (
        noise.random(size) < 0.2 if kind == "idle" else kind != "silent"
    )
    prices = np.stack([open_, high, low, close]) * {"tiny": 1e-10, "huge": 1e6}.get(kind, 1.0)
    if kind == "ticks":
        prices = np.maximum(np.round(prices, 0), 1.0)
    volume = volume * {"tiny": 1e-8, "huge": 1e11}.get(kind, 1.0)
    table = pd.DataFrame(prices.T, columns=["open", "high", "low", "close"])
    stamps = pd.date_range(FIRST, periods=size, unit="us")
    return table.assign(timestamp=stamps, symbol=symbol, volume=volume)


def together(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return check_bars(pd.concat(tables))


@st.composite
def wild_bars(
    draw: st.DrawFn, min_bars: int = 1, max_bars: int = 400, max_symbols: int = 9
) -> pd.DataFrame:
    """Bars of 1 to `max_symbols` symbols of any kind, listed at any date, with gaps."""
    seed = draw(st.integers(0, 2**32 - 1))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=max_symbols))
    size = draw(st.integers(min_bars, max_bars))
    gappy = draw(st.booleans())
    noise = np.random.default_rng(seed)
    tables = []
    for place, kind in enumerate(kinds):
        table = bars_of(kind, size, seed + place, f"S{place}")
        kept = noise.random(size) < (0.9 if gappy else 1.1)
        kept[: noise.integers(0, size) if gappy else 0] = False
        kept[-1] = True
        tables.append(table[kept])
    return together(tables)
