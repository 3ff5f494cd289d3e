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

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading_pipeline.core.features.windows import Array
from trading_pipeline.core.leakage.perturbations import between, cut_dates, scrambled, telling_dates
from trading_pipeline.core.market.bars import KEY

Compute = Callable[[pd.DataFrame], pd.DataFrame]
Tables = Mapping[str, pd.DataFrame]  # by stage
Stages = Callable[[pd.DataFrame], Tables]
Watch = Callable[[int, int, str], object]  # (experiments done, all, what)
Mask = npt.NDArray[np.bool_]
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

    @property
    def clean(self) -> bool:
        """Whether something was compared, and none of it had changed."""
        return self.values > 0 and not self.leaks

    @property
    def verdict(self) -> str:
        """In a word or two, for a table."""
        if self.leaks:
            return f"LEAK ({len(self.leaks)})"
        return "clean" if self.values else "nothing to compare"


def merged(examined: Iterable[Examined]) -> list[Examined]:
    """One for each stage and check, in the order they were first seen."""
    groups: dict[tuple[str, str], list[Examined]] = {}
    for each in examined:
        groups.setdefault((each.stage, each.check), []).append(each)
    return [
        Examined(
            *place,
            group[0].done + (f"; and {len(group) - 1} more such" if len(group) > 1 else ""),
            sum(each.values for each in group),
            tuple(leak for each in group for leak in each.leaks),
        )
        for place, group in groups.items()
    ]


def find_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    lookbacks: Mapping[str, int],
    cuts: int = 3,
    seed: int = 0,
) -> list[Leak]:
    """All three experiments on features, at dates spread over the bars; empty if nothing leaks.

    Args:
        compute: bars to features: `timestamp`, `symbol`, float columns, a row per bar.
        bars: in the data format, sorted by (timestamp, symbol).
        lookbacks: bars that each feature is made of; features without one skip the start check.
        cuts: how many dates to cut, scramble and start at.
        seed: of the noise.
    """
    dates = cut_dates(bars, cuts)
    examined = examine(
        lambda some: {FEATURES: compute(some)},
        bars,
        truncate=[*dates, *telling_dates(bars, cuts)],
        scramble=dates,
        starts=dates,
        lookbacks=lookbacks,
        seed=seed,
    )
    return [leak for each in examined for leak in each.leaks]


def examine(
    stages: Stages,
    bars: pd.DataFrame,
    *,
    truncate: Sequence[pd.Timestamp] = (),
    scramble: Sequence[pd.Timestamp] = (),
    starts: Sequence[pd.Timestamp] = (),
    lookbacks: Mapping[str, int] | None = None,
    seed: int = 0,
    watch: Watch = lambda done, total, note: None,
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
    experiments = [
        *(("truncation", cut, partial(between, bars, None, cut)) for cut in truncate),
        *(
            ("scrambling", cut, partial(scrambled, bars, cut, seed + place))
            for place, cut in enumerate(scramble)
        ),
        *(("start", cut, partial(between, bars, cut, None)) for cut in starts),
    ]
    whole = stages(bars)
    found: dict[tuple[str, str], list[tuple[pd.Timestamp, int, list[Leak]]]] = {}
    for place, (check, cut, change) in enumerate(experiments, start=1):
        changed = change()
        ages = _settled_bars(bars, changed) if check == "start" else None
        compared = _comparisons(check, cut, whole, stages(changed), ages, lookbacks or {})
        for stage, values, leaks in compared:
            found.setdefault((stage, check), []).append((cut, values, leaks))
        watch(place, len(experiments), f"{check} at {cut:%Y-%m-%d}")
    return [
        Examined(
            stage,
            check,
            _told(check, [cut for cut, _, _ in group]),
            sum(values for _, values, _ in group),
            tuple(leak for _, _, leaks in group for leak in leaks),
        )
        for (stage, check), group in found.items()
    ]


def differences(
    stage: str,
    check: str,
    expected: pd.DataFrame,
    got: pd.DataFrame,
    cut: pd.Timestamp,
    tolerance: float = 0.0,
    settled: Mapping[str, Mask] | None = None,
) -> tuple[int, list[Leak]]:
    """How many values two tables of one stage were compared in, and where they are not the same.

    Args:
        expected, got: the same rows and columns, or rows themselves are the difference.
        tolerance: absolute plus relative; 0 is bit for bit.
        settled: the columns to compare, and in which rows; None is all of them.
    """
    if not _same_rows(expected, got):
        return len(expected), [_rows_differ(stage, check, expected, got, cut)]
    if settled is None:
        everywhere = np.ones(len(expected), dtype=bool)
        settled = {name: everywhere for name in expected.columns if name not in KEY}
    leaks = []
    for name, rows in settled.items():
        ours, theirs = _numbers(expected[name]), _numbers(got[name])
        wrong = _far_apart(ours, theirs, tolerance) if tolerance else other_bits(ours, theirs)
        if (wrong & rows).any():
            leaks.append(_leak(stage, check, name, expected, ours, theirs, wrong & rows, cut))
    return sum(int(rows.sum()) for rows in settled.values()), leaks


def _comparisons(
    check: str,
    cut: pd.Timestamp,
    whole: Tables,
    got: Tables,
    ages: pd.Series | None,
    lookbacks: Mapping[str, int],
) -> Iterable[tuple[str, int, list[Leak]]]:
    """Of every stage: its name, values compared, leaks."""
    for stage, table in whole.items():
        if ages is None:
            expected, theirs = between(table, None, cut), between(got[stage], None, cut)
            yield stage, *differences(stage, check, expected, theirs, cut)
        elif names := [name for name in table.columns if name in lookbacks]:
            # Of values that have their whole lookback after the start.
            settled = {name: (ages >= lookbacks[name]).to_numpy() for name in names}
            expected = between(table, cut, None)
            yield (
                stage,
                *differences(stage, check, expected, got[stage], cut, TOLERANCE, settled),
            )


_DOING = {"truncation": "bars end", "scrambling": "bars become noise", "start": "bars begin"}


def _told(check: str, cuts: Sequence[pd.Timestamp]) -> str:
    first, last = f"{min(cuts):%Y-%m-%d}", f"{max(cuts):%Y-%m-%d}"
    when = f"on {first}" if len(cuts) == 1 else f"at {len(cuts)} dates, {first} to {last}"
    return f"{_DOING[check]} {when}"


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


def _numbers(column: pd.Series) -> Array:
    values: Array = column.to_numpy(np.float64)
    return values


def other_bits(ours: Array, theirs: Array) -> Mask:
    """Where two arrays of one shape are not the same; NaN is NaN."""
    same: Mask = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    different: Mask = ~same
    return different


def _far_apart(ours: Array, theirs: Array, tolerance: float) -> Mask:
    near: Mask = np.isclose(theirs, ours, rtol=tolerance, atol=tolerance, equal_nan=True)
    far: Mask = ~near
    return far


def _leak(
    stage: str,
    check: str,
    name: str,
    expected: pd.DataFrame,
    ours: Array,
    theirs: Array,
    wrong: Mask,
    cut: pd.Timestamp,
) -> Leak:
    row = int(np.flatnonzero(wrong)[0])
    symbol, stamp = str(expected["symbol"].iloc[row]), expected["timestamp"].iloc[row]
    values = float(ours[row]), float(theirs[row])
    return Leak(stage, check, name, symbol, stamp, *values, cut, int(wrong.sum()))


def _rows_differ(
    stage: str, check: str, expected: pd.DataFrame, got: pd.DataFrame, cut: pd.Timestamp
) -> Leak:
    changed = pd.concat([expected[KEY], got[KEY]]).drop_duplicates(keep=False)
    changed = changed if len(changed) else expected[KEY]  # the same rows in another order
    first = changed.iloc[0]
    symbol, stamp = str(first["symbol"]), first["timestamp"]
    return Leak(stage, check, "rows", symbol, stamp, len(expected), len(got), cut, len(changed))
