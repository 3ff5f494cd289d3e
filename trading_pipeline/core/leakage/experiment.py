"""Does anything look ahead? Experiments on any function that turns bars into tables.

Truncation: cutting off the future must not change one bit of the past.
Scrambling: replacing the future by noise must not either; this catches a future that is used only
    when it is there.
Start: beginning the history later must not change a value that has its whole lookback.

They know nothing of what they are run on: features, what a network is given, its predictions and
the orders that follow are stages, each a table with `timestamp`, `symbol` and columns of numbers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading_pipeline.core.features.windows import Array
from trading_pipeline.core.leakage.perturbations import (
    backfill_dates,
    between,
    even_dates,
    scrambled,
)
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.progress import Advance

Compute = Callable[[pd.DataFrame], pd.DataFrame]
Tables = Mapping[str, pd.DataFrame]  # by stage
Stages = Callable[[pd.DataFrame], Tables]
Mask = npt.NDArray[np.bool_]
Differ = Callable[[Array, Array], Mask]  # (expected, got): where they are not the same
FEATURES = "features"
TOLERANCE = 1e-6  # absolute plus relative, for values that must not depend on the start


@dataclass(frozen=True)
class Leak:
    """A value that changed although nothing it may depend on did."""

    stage: str  # such as "features" or "orders"
    check: str  # "truncation", "scrambling", "start", or one of training
    column: str  # or "rows", when rows themselves came or went
    symbol: str
    timestamp: pd.Timestamp  # the first value that changed
    expected: float  # on all bars
    got: float  # on the cut or scrambled ones
    cut: pd.Timestamp  # where the bars were cut or scrambled
    values: int  # how many of the column's values changed

    def __str__(self) -> str:
        how = _OTHERWISE.get(self.check, "").format(f"{self.cut:%Y-%m-%d %H:%M}")
        return (
            f"{self.stage}, {self.check}: {self.column} of {self.symbol} at "
            f"{self.timestamp:%Y-%m-%d %H:%M} is {self.expected:.9g}, but {self.got:.9g}{how} "
            f"({self.values} values differ)"
        )


_NOISE = " when the bars from {} on are noise"
_OTHERWISE = {
    "truncation": " when the bars end before {}",
    "scrambling": _NOISE,
    "start": " when the bars begin at {}",
    "stored": " as stored",
    "targets": _NOISE,
    "window": _NOISE,
    "scaler": _NOISE,
    "fit": " in the checkpoint",
}


@dataclass(frozen=True)
class Examined:
    """One check of one stage: what was done, and what came of it."""

    stage: str
    check: str
    done: str  # for a person
    values: int  # compared
    leaks: tuple[Leak, ...] = ()

    @classmethod
    def total(cls, done: str, parts: Sequence[Self]) -> Self:
        """Parts of one check of one stage, at least one, as a whole."""
        leaks = tuple(leak for each in parts for leak in each.leaks)
        return cls(parts[0].stage, parts[0].check, done, sum(each.values for each in parts), leaks)

    @property
    def verdict(self) -> str:
        """In a word or two, for a table."""
        if self.leaks:
            return f"LEAK ({len(self.leaks)})"
        return "clean" if self.values else "nothing to compare"


def merged(examined: Iterable[Examined]) -> list[Examined]:
    """One for each stage and check, in the order they were first seen."""
    return [
        Examined.total(
            group[0].done + (f"; and {len(group) - 1} more such" if len(group) > 1 else ""), group
        )
        for group in _by_check(examined)
    ]


def _by_check(examined: Iterable[Examined]) -> Iterable[list[Examined]]:
    """Those of one stage and check together, in the order they were first seen."""
    groups: dict[tuple[str, str], list[Examined]] = {}
    for each in examined:
        groups.setdefault((each.stage, each.check), []).append(each)
    return groups.values()


def find_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    lookbacks: Mapping[str, int],
    count: int = 3,
    seed: int = 0,
) -> list[Leak]:
    """All three experiments on features, at dates spread over the bars; empty if nothing leaks.

    Args:
        compute: bars to features: `timestamp`, `symbol`, float columns, a row per bar.
        bars: in the data format, sorted by (timestamp, symbol).
        lookbacks: bars that each feature is made of; features without one skip the start check.
        count: how many dates to cut, scramble and start at.
        seed: of the noise.
    """
    dates = even_dates(bars, count)
    examined = examine(
        lambda some: {FEATURES: compute(some)},
        bars,
        truncate=[*dates, *backfill_dates(bars, count)],
        scramble=dates,
        starts=dates,
        lookbacks=lookbacks,
        seed=seed,
    )
    return [leak for each in examined for leak in each.leaks]


# What each experiment does to bars at a date, in words and in code; a seed makes the noise.
_EXPERIMENTS: dict[str, tuple[str, Callable[[pd.DataFrame, pd.Timestamp, int], pd.DataFrame]]] = {
    "truncation": ("bars end", lambda bars, date, seed: between(bars, None, date)),
    "scrambling": ("bars become noise", scrambled),
    "start": ("bars begin", lambda bars, date, seed: between(bars, date, None)),
}


def examine(
    stages: Stages,
    bars: pd.DataFrame,
    *,
    truncate: Sequence[pd.Timestamp] = (),
    scramble: Sequence[pd.Timestamp] = (),
    starts: Sequence[pd.Timestamp] = (),
    lookbacks: Mapping[str, int] | None = None,
    seed: int = 0,
    watch: Advance = lambda done, total, note: None,
) -> list[Examined]:
    """Experiments on all stages at once: what each check of each stage came to.

    Args:
        stages: bars to the table of each stage; a stage may lack rows, never make them up.
        bars: in the data format, sorted by (timestamp, symbol), perhaps with actions.
        truncate, scramble, starts: where to cut the future off, turn it into noise, begin.
        lookbacks: bars that a column is made of; only those columns are compared by `starts`. A
            value counts from the date on which every symbol traded then has its lookback within
            the shorter history, because ranks and the market block are made of all symbols.
        seed: of the noise of the first date; each has its own.
    """
    dates = {"truncation": truncate, "scrambling": scramble, "start": starts}
    experiments = [
        (check, date, seed + place)
        for check, of_check in dates.items()
        for place, date in enumerate(of_check)
    ]
    whole, parts = stages(bars), list[Examined]()
    for number, (check, date, noise) in enumerate(experiments, start=1):
        changed = _EXPERIMENTS[check][1](bars, date, noise)
        got = stages(changed)
        if check == "start":
            ages = _settled_bars(bars, changed)
            parts += _compare_starts(whole, got, date, ages, lookbacks or {})
        else:
            parts += [
                compare(
                    stage, check, between(table, None, date), between(got[stage], None, date), date
                )
                for stage, table in whole.items()
            ]
        watch(number, len(experiments), f"{check} at {date:%Y-%m-%d}")
    return [
        Examined.total(_in_words(group[0].check, dates[group[0].check]), group)
        for group in _by_check(parts)
    ]


def _in_words(check: str, dates: Sequence[pd.Timestamp]) -> str:
    first, last = f"{min(dates):%Y-%m-%d}", f"{max(dates):%Y-%m-%d}"
    when = f"on {first}" if len(dates) == 1 else f"at {len(dates)} dates, {first} to {last}"
    return f"{_EXPERIMENTS[check][0]} {when}"


def _compare_starts(
    whole: Tables,
    got: Tables,
    start: pd.Timestamp,
    ages: pd.Series,
    lookbacks: Mapping[str, int],
) -> Iterable[Examined]:
    """Of values that have their whole lookback after the start."""
    for stage, table in whole.items():
        if names := [name for name in table.columns if name in lookbacks]:
            settled = {name: (ages >= lookbacks[name]).to_numpy() for name in names}
            expected, differ = between(table, start, None), partial(far_apart, tolerance=TOLERANCE)
            yield compare(stage, "start", expected, got[stage], start, differ, settled)


def other_bits(expected: Array, got: Array) -> Mask:
    """Where two arrays of one shape are not the same; NaN is NaN."""
    same: Mask = (expected == got) | (np.isnan(expected) & np.isnan(got))
    return ~same


def far_apart(expected: Array, got: Array, tolerance: float) -> Mask:
    """Where two arrays differ by more than a tolerance, absolute plus relative; NaN is NaN."""
    near: Mask = np.isclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    return ~near


def compare(
    stage: str,
    check: str,
    expected: pd.DataFrame,
    got: pd.DataFrame,
    cut: pd.Timestamp,
    differ: Differ = other_bits,
    settled: Mapping[str, Mask] | None = None,
    done: str = "",
) -> Examined:
    """How many values two tables of one stage were compared in, and where they are not the same.

    Args:
        expected, got: the same rows and columns, or rows themselves are the difference.
        differ: where two columns are not the same; by default in any bit.
        settled: the columns to compare, and in which rows; None is all of them.
    """
    if not _same_rows(expected, got):
        leak = _rows_differ(stage, check, expected, got, cut)
        return Examined(stage, check, done, len(expected), (leak,))
    if settled is None:
        everywhere = np.ones(len(expected), dtype=bool)
        settled = {name: everywhere for name in expected.columns if name not in KEY}
    leaks = []
    for name, rows in settled.items():
        ours, theirs = (each[name].to_numpy(np.float64) for each in (expected, got))
        wrong = differ(ours, theirs) & rows
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            symbol, stamp = str(expected["symbol"].iloc[row]), expected["timestamp"].iloc[row]
            values = float(ours[row]), float(theirs[row])
            leaks.append(Leak(stage, check, name, symbol, stamp, *values, cut, int(wrong.sum())))
    return Examined(
        stage, check, done, sum(int(rows.sum()) for rows in settled.values()), tuple(leaks)
    )


def _settled_bars(bars: pd.DataFrame, kept: pd.DataFrame) -> pd.Series:
    """Bars of the shorter history behind each row, the least of any symbol at its date; (R,).

    A symbol that begins later than the shorter history has lost none, and does not count.
    """
    age = kept.groupby("symbol").cumcount() + 1
    first = bars.groupby("symbol")["timestamp"].min()
    lost = kept["symbol"].map(first) < kept["timestamp"].min()
    dates = kept["timestamp"].rank(method="dense")
    return age.where(lost, np.inf).groupby(kept["timestamp"]).transform("min").clip(upper=dates)


def _same_rows(expected: pd.DataFrame, got: pd.DataFrame) -> bool:
    """Whether the keys are the same; by value, for an empty part may change a column's type."""
    if len(expected) != len(got):
        return False
    stamps = [pd.DatetimeIndex(each["timestamp"]).as_unit("us").asi8 for each in (expected, got)]
    symbols = [each["symbol"].to_numpy(object) for each in (expected, got)]
    return bool((stamps[0] == stamps[1]).all() and (symbols[0] == symbols[1]).all())


def _rows_differ(
    stage: str, check: str, expected: pd.DataFrame, got: pd.DataFrame, cut: pd.Timestamp
) -> Leak:
    changed = pd.concat([expected[KEY], got[KEY]]).drop_duplicates(keep=False)
    changed = changed if len(changed) else expected[KEY]  # the same rows in another order
    first = changed.iloc[0]
    symbol, stamp = str(first["symbol"]), first["timestamp"]
    return Leak(stage, check, "rows", symbol, stamp, len(expected), len(got), cut, len(changed))
