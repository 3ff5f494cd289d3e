"""Do features look ahead? Three experiments on any function that turns bars into features.

Truncation: cutting off the future must not change one bit of the past.
Scrambling: replacing the future by noise must not either; this catches a future that is used only
    when it is there.
Start: beginning the history later must not change a value that has its whole lookback.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading_pipeline.core.features.windows import Array

Compute = Callable[[pd.DataFrame], pd.DataFrame]
Mask = npt.NDArray[np.bool_]
KEY = ["timestamp", "symbol"]
WARM_UP = (2, 17, 40, 100, 200)  # dates within the lookback of most features
TOLERANCE = 1e-6  # absolute plus relative, for values that must not depend on the start


@dataclass(frozen=True)
class Leak:
    """A feature that changed although nothing it may depend on did."""

    check: str  # "truncation", "scrambling" or "start"
    feature: str  # or "rows", when rows themselves came or went
    symbol: str
    timestamp: pd.Timestamp  # the first value that changed
    expected: float  # on all bars
    got: float  # on the cut or scrambled ones
    cut: pd.Timestamp  # where the bars were cut or scrambled
    values: int  # how many of the feature's values changed

    def __str__(self) -> str:
        return (
            f"{self.check}: {self.feature} of {self.symbol} at {self.timestamp:%Y-%m-%d %H:%M} is "
            f"{self.expected:.9g} on all bars and {self.got:.9g} when they are cut at "
            f"{self.cut:%Y-%m-%d %H:%M} ({self.values} values differ)"
        )


def find_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    lookbacks: Mapping[str, int],
    cuts: int = 3,
    seed: int = 0,
) -> list[Leak]:
    """All three experiments at dates spread over the bars; empty if nothing leaks.

    Args:
        compute: bars to features: `timestamp`, `symbol`, float columns, a row per bar.
        bars: in the data format, sorted by (timestamp, symbol).
        lookbacks: bars that each feature is made of; features without one skip the start check.
        cuts: how many dates to cut, scramble and start at.
        seed: of the noise.
    """
    whole = compute(bars)
    dates = cut_dates(bars, cuts)
    return [
        *truncation_leaks(compute, bars, [*dates, *telling_dates(bars, cuts)], whole),
        *scrambling_leaks(compute, bars, dates, whole, seed),
        *start_leaks(compute, bars, dates, lookbacks, whole),
    ]


def cut_dates(bars: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """Up to `count` dates that split the bars into equal parts, never the first."""
    stamps = _dates(bars)
    places = np.linspace(0, len(stamps), count + 2)[1:-1].astype(int)
    return [stamps[place] for place in sorted(set(places.tolist())) if place > 0]


def telling_dates(bars: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """Dates where a back-fill shows: within the warm-up, and as a symbol returns after a gap.

    A value filled in from the future stays the same when the cut is anywhere else. Truncation
    there is cheap or rare: the first have little history, of the second there are up to `count`.
    """
    stamps = _dates(bars)
    early = [stamps[place] for place in WARM_UP if place < len(stamps)]
    date = bars["timestamp"].rank(method="dense")
    returns = bars.loc[date.groupby(bars["symbol"]).diff() > 1, "timestamp"].drop_duplicates()
    places = np.linspace(0, len(returns) - 1, min(count, len(returns))).astype(int)
    return sorted({*early, *returns.iloc[places]})


def _dates(bars: pd.DataFrame) -> pd.Series:
    return bars["timestamp"].drop_duplicates().sort_values(ignore_index=True)


def truncation_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    cuts: Iterable[pd.Timestamp],
    whole: pd.DataFrame | None = None,
) -> list[Leak]:
    """Features before a cut that change when the bars from the cut on are left out."""
    whole = compute(bars) if whole is None else whole
    leaks = []
    for cut in cuts:
        got = compute(_between(bars, None, cut))
        leaks += _differences("truncation", _between(whole, None, cut), got, cut)
    return leaks


def scrambling_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    cuts: Iterable[pd.Timestamp],
    whole: pd.DataFrame | None = None,
    seed: int = 0,
) -> list[Leak]:
    """Features before a cut that change when the bars from the cut on become noise."""
    whole = compute(bars) if whole is None else whole
    leaks = []
    for cut in cuts:
        got = compute(scrambled(bars, cut, seed))
        expected = _between(whole, None, cut)
        leaks += _differences("scrambling", expected, _between(got, None, cut), cut)
    return leaks


def start_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    starts: Iterable[pd.Timestamp],
    lookbacks: Mapping[str, int],
    whole: pd.DataFrame | None = None,
) -> list[Leak]:
    """Features that change, beyond their lookback, when the bars before a start are left out.

    A value counts from the date on which every symbol traded then has its lookback within the
    shorter history, because ranks and the market block are made of all symbols.
    """
    whole = compute(bars) if whole is None else whole
    leaks = []
    for start in starts:
        kept = _between(bars, start, None)
        settled = _settled_bars(bars, kept)
        expected, got = _between(whole, start, None), compute(kept)
        leaks += _differences("start", expected, got, start, settled, lookbacks)
    return leaks


def scrambled(bars: pd.DataFrame, cut: pd.Timestamp, seed: int) -> pd.DataFrame:
    """Bars with random prices and volumes from `cut` on, still possible ones, same keys."""
    later = (bars["timestamp"] >= cut).to_numpy()
    noise = np.random.default_rng(seed)
    size = int(later.sum())
    prices = ["open", "high", "low", "close"]
    paths = np.sort(np.exp(noise.normal(size=(size, 4))), axis=1)  # low, two between, high
    factors = paths[:, [1, 3, 0, 2]] * bars.loc[later, ["close"]].to_numpy()
    mixed = bars.copy()
    mixed.loc[later, prices] = factors
    mixed.loc[later, "volume"] = bars.loc[later, "volume"] * np.exp(noise.normal(size=size))
    return mixed


def _between(
    rows: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> pd.DataFrame:
    inside = np.ones(len(rows), dtype=bool)
    if start is not None:
        inside &= (rows["timestamp"] >= start).to_numpy()
    if end is not None:
        inside &= (rows["timestamp"] < end).to_numpy()
    return rows[inside].reset_index(drop=True)


def _settled_bars(bars: pd.DataFrame, kept: pd.DataFrame) -> pd.Series:
    """Bars of the shorter history behind each row, the least of any symbol at its date; (R,).

    A symbol that begins later than the shorter history has lost none, and does not count.
    """
    age = kept.groupby("symbol").cumcount() + 1
    first = bars.groupby("symbol")["timestamp"].min()
    lost = kept["symbol"].map(first) < kept["timestamp"].min()
    dates = kept["timestamp"].rank(method="dense")
    return age.where(lost, np.inf).groupby(kept["timestamp"]).transform("min").clip(upper=dates)


def _differences(
    check: str,
    expected: pd.DataFrame,
    got: pd.DataFrame,
    cut: pd.Timestamp,
    settled: pd.Series | None = None,
    lookbacks: Mapping[str, int] | None = None,
) -> list[Leak]:
    if not expected[KEY].equals(got[KEY].reset_index(drop=True)):
        return [_rows_differ(check, expected, got, cut)]
    leaks = []
    for name in [name for name in expected.columns if name not in KEY]:
        ours, theirs = expected[name].to_numpy(np.float64), got[name].to_numpy(np.float64)
        if settled is None:
            wrong = _other_bits(ours, theirs)
        elif lookbacks and name in lookbacks:
            wrong = _far_apart(ours, theirs) & (settled >= lookbacks[name]).to_numpy()
        else:
            continue
        if wrong.any():
            leaks.append(_leak(check, name, expected, ours, theirs, wrong, cut))
    return leaks


def _other_bits(ours: Array, theirs: Array) -> Mask:
    same: Mask = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return ~same


def _far_apart(ours: Array, theirs: Array) -> Mask:
    near: Mask = np.isclose(theirs, ours, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return ~near


def _leak(
    check: str,
    name: str,
    expected: pd.DataFrame,
    ours: Array,
    theirs: Array,
    wrong: Mask,
    cut: pd.Timestamp,
) -> Leak:
    row = int(np.flatnonzero(wrong)[0])
    symbol, stamp = expected["symbol"].iloc[row], expected["timestamp"].iloc[row]
    return Leak(
        check, name, str(symbol), stamp, float(ours[row]), float(theirs[row]), cut, int(wrong.sum())
    )


def _rows_differ(check: str, expected: pd.DataFrame, got: pd.DataFrame, cut: pd.Timestamp) -> Leak:
    changed = pd.concat([expected[KEY], got[KEY]]).drop_duplicates(keep=False)
    changed = changed if len(changed) else expected[KEY]  # the same rows in another order
    first = changed.iloc[0]
    return Leak(
        check,
        "rows",
        str(first["symbol"]),
        first["timestamp"],
        len(expected),
        len(got),
        cut,
        len(changed),
    )
