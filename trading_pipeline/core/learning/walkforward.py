"""Walk-forward folds: what a model may learn from, and the bars it is then asked about.

A fold is a span of calendar months. Its first decision is row `s` of the market's clock. A target
of horizon h, decided at row d, is touched by the opens of rows d + 1 .. d + 1 + h; so the last
training decision is s - h - 2, whose target ends on s - 1. The same gap lies between training and
validation. Every bar of the fold is predicted, the last h + 1 included, which have no label yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import pandas as pd

from trading_pipeline.core.market.market import Market, WalkForward
from trading_pipeline.errors import HistoryTooShort

VALIDATION_SHARE = 0.15  # of the training window, its most recent part
_TEST_MONTHS = (12, 6, 4, 3, 2, 1)
_DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Rows:
    """Rows `first` to `last` of the clock, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True)
class Fold:
    """One fold; every row counts bars of the market's clock."""

    key: str  # first day of its span, YYYY-MM-DD
    train: Rows
    validation: Rows
    test: Rows

    def check(self, horizon: int) -> "Fold":
        """The fold itself, or ValueError where a target would reach into what comes after."""
        if self.train.last + horizon + 1 >= self.validation.first:
            raise ValueError(f"fold {self.key}: training targets reach into validation")
        if self.validation.last + horizon + 1 >= self.test.first:
            raise ValueError(f"fold {self.key}: validation targets reach into the test span")
        return self


def fold_rows(
    key: str, earliest: int, first_test: int, last_test: int, horizon: int, embargo: int = 0
) -> Fold:
    """The arithmetic of one fold.

    Args:
        earliest: first row whose decision may be trained on.
        first_test, last_test: first and last row decided on in the fold (`s` is `first_test`).
        horizon: h, in bars.
        embargo: bars left out beyond the purge.
    """
    last = first_test - horizon - 2 - embargo
    validation = Rows(last + 1 - round(VALIDATION_SHARE * (last - earliest + 1)), last)
    train = Rows(earliest, validation.first - horizon - 2 - embargo)
    return Fold(key, train, validation, Rows(first_test, last_test)).check(horizon)


def fold_starts(first: pd.Timestamp, last: pd.Timestamp, spans: WalkForward) -> list[pd.Timestamp]:
    """First days of the folds: calendar months that `spans.test` divides.

    The first fold is the first such month with `spans.first_train` months of history before it,
    counted from the month of the first bar; the last one contains the last bar.
    """
    earliest = _month(first) + pd.DateOffset(months=spans.first_train)
    starts = []
    start = _aligned(earliest, spans.test)
    while start <= last:
        starts.append(start)
        start += pd.DateOffset(months=spans.test)
    return starts


def folds(
    clock: pd.DatetimeIndex, spans: WalkForward, horizon: int, burn_in: int
) -> dict[str, Fold]:
    """All folds that the bars of a market allow, by key.

    Args:
        clock: opening instants of the market's bars, (T,), increasing, UTC.
        burn_in: bars before a decision that its window of features needs.

    Raises:
        HistoryTooShort: not one fold fits; the message names the bars needed.
    """
    found = {}
    for start in fold_starts(clock[0], clock[-1], spans):
        end = start + pd.DateOffset(months=spans.test)
        window = start - pd.DateOffset(months=spans.window)
        first_test, after = clock.searchsorted(start), clock.searchsorted(end)
        earliest = max(burn_in, int(clock.searchsorted(window)))
        if after > first_test and first_test - earliest >= minimum_decisions(horizon):
            key = start.strftime("%Y-%m-%d")
            found[key] = fold_rows(
                key, earliest, int(first_test), int(after) - 1, horizon, spans.embargo
            )
    if not found:
        _refuse_short_window(clock, spans, horizon)
        raise HistoryTooShort(_too_short(clock, horizon, burn_in, spans))
    return found


def refitted_every(known: Mapping[str, Fold], count: int | None) -> dict[str, Fold]:
    """The same test span with fewer trainings: of every `count` folds the first, whose model is
    asked about the bars of all of them; None: one training for the whole span.

    Args:
        known: folds that follow one another, in order.
    """
    keys, step = list(known), count or len(known)
    last = {key: keys[min(n + step, len(keys)) - 1] for n, key in enumerate(keys)}
    return {
        key: replace(known[key], test=Rows(known[key].test.first, known[last[key]].test.last))
        for key in keys[::step]
    }


def production_fold(clock: pd.DatetimeIndex, market: Market, burn_in: int, dates: int) -> Fold:
    """The fold of a model for tomorrow: it trains on all rows whose targets are known today.

    Args:
        clock: (T,), the market's timestamps. burn_in: rows before the first decision.
        dates: of a training block at least; so many there have to be beside the horizon.

    Raises:
        HistoryTooShort: there are fewer.
    """
    window = clock[-1] - np.timedelta64(int(market.walk_forward.window * _DAYS_A_MONTH), "D")
    earliest = max(burn_in, int(clock.searchsorted(window)))
    return _last_fold("production", clock, market.horizon, earliest, dates)


def whole_fold(clock: pd.DatetimeIndex, horizon: int, burn_in: int, dates: int) -> Fold:
    """The fold of a model that is to be trained on all bars that there are, however old.

    Arguments and errors as of `production_fold`.
    """
    return _last_fold("whole", clock, horizon, burn_in, dates)


def _last_fold(key: str, clock: pd.DatetimeIndex, horizon: int, earliest: int, dates: int) -> Fold:
    if len(clock) - earliest < 2 * (horizon + 2) + dates:
        raise HistoryTooShort(
            f"{len(clock)} bars are too few to train a model: {earliest} go into the "
            "first window of features. Give more history."
        )
    return fold_rows(key, earliest, len(clock), len(clock), horizon)


def minimum_decisions(horizon: int) -> int:
    """Decisions before a fold below which there is nothing to learn from."""
    return 250 + 2 * (horizon + 2)


def sufficient_bars(
    clock: pd.DatetimeIndex, horizon: int, burn_in: int, spans: WalkForward | None = None
) -> int:
    """Bars, as dense as those of the clock, with which a walk-forward is surely possible.

    With spans that may shrink (None): one month more than the shortest training span, four folds
    of a month, and a month for a history that begins or ends within one.
    """
    a_month = _bars_a_month(clock)
    months = ceil((burn_in + minimum_decisions(horizon)) / a_month) + 6
    if spans:
        months = max(months, spans.first_train + spans.test + 1)
    return ceil(months * a_month)


def fitting_spans(
    clock: pd.DatetimeIndex, spans: WalkForward, horizon: int, burn_in: int
) -> tuple[WalkForward, str | None]:
    """Spans that fit the history, and a sentence on what was shrunk, or None.

    The spans stand when one whole fold fits after the first training span. Otherwise folds become
    the longest of 12, 6, 4, 3, 2, 1 months of which four fit beside the shortest training span,
    and the training span what is left, but no more than asked for.

    Raises:
        HistoryTooShort: not even folds of one month fit.
    """
    starts = fold_starts(clock[0], clock[-1], spans)
    if starts and starts[0] + pd.DateOffset(months=spans.test) <= clock[-1] + (
        clock[-1] - clock[-2]
    ):
        return spans, None
    history = _months_between(clock[0], clock[-1])
    needed = ceil((burn_in + minimum_decisions(horizon)) / (len(clock) / max(history, 1)))
    for test in (months for months in _TEST_MONTHS if months <= spans.test):
        if (train := min(spans.first_train, history - 4 * test)) > needed:
            shrunk = replace(spans, first_train=train, window=min(spans.window, train), test=test)
            return shrunk, (
                f"history of {history} months is short: training {spans.first_train} -> {train} "
                f"months, folds {spans.test} -> {test} months"
            )
    raise HistoryTooShort(_too_short(clock, horizon, burn_in))


def _month(stamp: pd.Timestamp) -> pd.Timestamp:
    return pd.Timestamp(year=stamp.year, month=stamp.month, day=1, tz="UTC")


def _aligned(month: pd.Timestamp, test: int) -> pd.Timestamp:
    return month + pd.DateOffset(months=-(month.month - 1) % test)


def _months_between(first: pd.Timestamp, last: pd.Timestamp) -> int:
    return int(12 * (last.year - first.year) + last.month - first.month)


def _refuse_short_window(clock: pd.DatetimeIndex, spans: WalkForward, horizon: int) -> None:
    """Raise HistoryTooShort where no history, however long, would fill the training window."""
    a_month = _bars_a_month(clock)
    needed = minimum_decisions(horizon)
    if spans.window * a_month < needed:
        raise HistoryTooShort(
            f"a training window of {spans.window} months holds about {spans.window * a_month:.0f} "
            f"bars, and {needed} are needed to learn from: set `window` to at least "
            f"{ceil(needed / a_month) + 1} months (walk_forward in pipeline.toml), or a shorter "
            "horizon"
        )


def _bars_a_month(clock: pd.DatetimeIndex) -> float:
    bars: float = len(clock) / max((clock[-1] - clock[0]) / pd.Timedelta(days=_DAYS_A_MONTH), 1.0)
    return bars


def _too_short(
    clock: pd.DatetimeIndex, horizon: int, burn_in: int, spans: WalkForward | None = None
) -> str:
    needed = sufficient_bars(clock, horizon, burn_in, spans)
    return (
        f"{len(clock)} bars are too short a history: {needed} are needed ({burn_in} "
        f"before the first decision, {minimum_decisions(horizon)} to learn from, "
        "some months to test on). Give more history, or a shorter horizon."
    )
