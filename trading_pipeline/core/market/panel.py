"""A panel: the bars of several symbols as arrays of time × symbol, raw and adjusted.

Letters: T timestamps, N symbols. Orders and fills use the raw prices, features and targets the
adjusted ones.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from trading_pipeline.core.market.actions import empty_actions, forward_factors, place_actions
from trading_pipeline.core.market.bars import KEY, PRICES
from trading_pipeline.core.market.discontinuities import (
    ORDERS,
    find_discontinuities,
    near_power_of_ten,
    nights,
    segment_starts,
)
from trading_pipeline.core.market.quarantine import gap_quarantine, in_doubt
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW, hold_over_gaps

MIN_CROSS_SECTION = 8  # symbols; fewer have no ranks, no mean to stand against, no correlation


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Bars on a grid. All arrays are float64, (T, N), NaN where a symbol has no bar."""

    timestamps: (
        pd.DatetimeIndex
    )  # (T,) UTC, increasing: every instant at which any symbol has a bar
    symbols: tuple[str, ...]  # N names
    open: np.ndarray  # raw, quote currency
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray  # raw, base units
    split: np.ndarray  # new shares per old one, 1.0 where there is none; never NaN
    dividend: np.ndarray  # cash per share as held after that split, 0.0 where there is none
    factor: np.ndarray  # adjusted = raw × factor; held over missing bars, NaN before listing
    total_return_units: bool  # the source has no actions: its prices are adjusted already
    # (N,) held before the first row for one share of the symbol's first bar, where that is older.
    shares: np.ndarray | float = 1.0
    # (T, N) bars within a year of rows that were set aside, of a symbol with too many of them.
    in_doubt: np.ndarray | bool = False

    @classmethod
    def of(
        cls,
        bars: pd.DataFrame,
        actions: pd.DataFrame | None,
        symbols: tuple[str, ...] | None = None,
        units: pd.DataFrame | None = None,
        doubts: pd.DataFrame | None = None,
    ) -> Self:
        """The panel of canonical bars.

        Args:
            bars: as `check_bars` returns them.
            actions: as `check_actions` returns them, or None if the source has none.
            symbols: the columns, in order; all symbols of `bars`, sorted, if None. Bars of other
                symbols are left out, and a symbol without bars is a column without numbers.
            units: `factor` and `shares` of symbols at their first bars here, by symbol, where a
                history is older than the bars: they are adjusted as those of the whole are, bit
                for bit. 1.0 for the others.
            doubts: rows of these symbols that were set aside, as from `rows_in_doubt`.

        Raises:
            ValueError: the bars are not in canonical order.
        """
        if not bars["timestamp"].is_monotonic_increasing:
            raise ValueError("bars are not ordered by timestamp; pass them through check_bars")
        names = tuple(sorted(bars["symbol"].unique())) if symbols is None else tuple(symbols)
        n = pd.Index(names).get_indexer(bars["symbol"])
        kept, n = bars[n >= 0], n[n >= 0]
        timestamps = pd.DatetimeIndex(kept["timestamp"].unique(), name=None)
        t = timestamps.get_indexer(kept["timestamp"])
        grids = {}
        for name in (*PRICES, "volume"):
            grids[name] = np.full((len(timestamps), len(names)), np.nan)
            grids[name][t, n] = kept[name].to_numpy()
        known = empty_actions() if actions is None else actions
        close = grids["close"]
        split, dividend = place_actions(known, timestamps, names, ~np.isnan(close))
        factor, shares = _units_of(names, units)
        return cls(
            timestamps=timestamps,
            symbols=names,
            **grids,
            split=split,
            dividend=dividend,
            factor=forward_factors(close, split, dividend, factor),
            total_return_units=actions is None,
            shares=shares,
            in_doubt=in_doubt(timestamps, names, kept[KEY][:0] if doubts is None else doubts),
        )

    def data_hash(self, rows: int) -> str:
        """SHA-256 of the bars of the first `rows` rows, corporate actions and doubts."""
        digest = hashlib.sha256("\n".join(self.symbols).encode())
        digest.update(self.timestamps[:rows].to_numpy("datetime64[us]").tobytes())
        for name in ("open", "high", "low", "close", "volume", "split", "dividend", "factor"):
            digest.update(np.ascontiguousarray(getattr(self, name)[:rows]).tobytes())
        doubts = np.broadcast_to(self.in_doubt, self.close.shape)[:rows]
        if doubts.any():
            digest.update(np.packbits(doubts).tobytes())
        return digest.hexdigest()

    @property
    def traded(self) -> np.ndarray:
        """(T, N) bool: where there is a bar."""
        has_bar: np.ndarray = ~np.isnan(self.close)
        return has_bar

    @property
    def adjusted_open(self) -> np.ndarray:
        """(T, N), in quote currency of the symbol's first bar; so are the other three."""
        return self._adjusted(self.open)

    @property
    def adjusted_high(self) -> np.ndarray:
        """(T, N); see `adjusted_open`."""
        return self._adjusted(self.high)

    @property
    def adjusted_low(self) -> np.ndarray:
        """(T, N); see `adjusted_open`."""
        return self._adjusted(self.low)

    @property
    def adjusted_close(self) -> np.ndarray:
        """(T, N); see `adjusted_open`."""
        return self._adjusted(self.close)

    @property
    def adjusted_volume(self) -> np.ndarray:
        """(T, N), in shares of the symbol's first bar: splits change it, dividends do not."""
        adjusted: np.ndarray = self.volume / self.shares_held
        return adjusted

    @property
    def shares_held(self) -> np.ndarray:
        """(T, N), after each row's split, for one share of the symbol's first bar."""
        steps = self.split.copy()
        steps[:1] *= self.shares
        held: np.ndarray = np.cumprod(steps, axis=0)
        return held

    def _adjusted(self, raw: np.ndarray) -> np.ndarray:
        adjusted: np.ndarray = raw * self.factor
        return adjusted

    def adjusted_bars(self) -> pd.DataFrame:
        """The adjusted bars as a canonical table (without the optional columns)."""
        t, n = np.nonzero(self.traded)
        # np.nonzero walks row by row, so rows come by timestamp; columns need to be in order too.
        order = np.lexsort((np.argsort(np.argsort(self.symbols))[n], t))
        t, n = t[order], n[order]
        columns = {name: getattr(self, f"adjusted_{name}")[t, n] for name in (*PRICES, "volume")}
        names = pd.Series(np.array(self.symbols, dtype=object)[n], dtype="str")
        return pd.DataFrame({"timestamp": self.timestamps[t], "symbol": names} | columns)

    @cached_property
    def discontinuities(self) -> np.ndarray:
        """(T, N) bool: the symbol's history restarts at this bar; see `find_discontinuities`."""
        return find_discontinuities(self.timestamps, *self._adjusted_values)

    @cached_property
    def quarantined(self) -> np.ndarray:
        """(T, N) bool: bars of a symbol that lacks too many of its own, or is `in_doubt`."""
        gappy = gap_quarantine(self.timestamps, self.traded, self.discontinuities)
        held: np.ndarray = gappy | (self.traded & self.in_doubt)
        return held

    @cached_property
    def conversion(self) -> np.ndarray:
        """(T, N), units held after the night for each one before: splits, and changes of unit.

        Over a discontinuity that jumps, a position keeps its value: neither a change of unit nor
        another company is a profit. A fall that may be ruin stays a loss.
        """
        jump = nights(self.timestamps, *self._adjusted_values).jump
        return converted(self.split, self.discontinuities, jump)

    @property
    def _adjusted_values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.adjusted_open, self.adjusted_close, self.adjusted_volume

    def segments(self) -> pd.DataFrame:
        """`adjusted_bars`, each history between discontinuities under a name of its own.

        Names sort as the symbols do, so that what is computed symbol by symbol, or over all
        symbols of a date, is bit for bit the same where there is none.
        """
        bars = self.adjusted_bars()
        if not self.discontinuities.any():
            return bars
        t = self.timestamps.get_indexer(pd.DatetimeIndex(bars["timestamp"]))
        n = pd.Index(self.symbols).get_indexer(bars["symbol"])
        part = segment_starts(self.traded, self.discontinuities)[t, n]
        rank = np.argsort(np.argsort(self.symbols))[n]
        names = np.char.add(np.char.mod("%06d-", rank), np.char.mod("%09d", part))
        return bars.assign(symbol=pd.Series(names, dtype="str"))

    def until(self, t: int) -> "Panel":
        """The first `t` timestamps: what `of` makes of the bars up to there and these symbols."""
        return self.stretch(0, t)

    def stretch(self, first: int, end: int) -> "Panel":
        """Rows `first` to `end`, the latter left out, adjusted as they are here."""
        rows = (*PRICES, "volume", "split", "dividend", "factor")
        return Panel(
            timestamps=self.timestamps[first:end],
            symbols=self.symbols,
            **{name: getattr(self, name)[first:end] for name in rows},
            total_return_units=self.total_return_units,
            shares=self.shares_held[first - 1] if first else self.shares,
            in_doubt=np.broadcast_to(self.in_doubt, self.close.shape)[first:end],
        )

    def followed_by(
        self,
        bars: pd.DataFrame,
        actions: pd.DataFrame | None,
        doubts: pd.DataFrame | None = None,
    ) -> "Panel":
        """These rows, and later bars after them: what `of` makes of all of them, bit for bit.

        Args:
            bars: canonical, all of them later than the last row; none gives the panel itself.
            doubts: as for `of`.
            actions: as for `of`; those that were due at a symbol's bar of these rows are left out.

        Raises:
            ValueError: the bars are not in canonical order, or begin before the rows end.
        """
        rest = Panel.of(bars, None, self.symbols, doubts=doubts)
        if not len(rest.timestamps):
            return self
        if rest.timestamps[0] <= (end := self.timestamps[-1]):
            raise ValueError(f"bars from {rest.timestamps[0]} on do not follow those up to {end}")
        listed = ~np.isnan(self.factor[-1])
        split, dividend = place_actions(
            self._not_yet_due(actions, end),
            self.timestamps[-1:].append(rest.timestamps),
            self.symbols,
            np.vstack([listed, rest.traded]),  # what is listed has a bar before these
        )
        close = np.vstack([np.where(listed, 1.0, np.nan), rest.close])
        factor = forward_factors(close, split, dividend, np.where(listed, self.factor[-1], 1.0))
        return self.stacked(
            replace(rest, split=split[1:], dividend=dividend[1:], factor=factor[1:])
        )

    def _not_yet_due(self, actions: pd.DataFrame | None, end: pd.Timestamp) -> pd.DataFrame:
        """Actions after each symbol's last bar of these rows; due after `end` at the earliest."""
        if actions is None or not len(actions):
            return empty_actions()
        T, traded = len(self.timestamps), self.traded
        newest = self.timestamps[T - 1 - np.argmax(traded[::-1], axis=0)]  # if it has a bar at all
        due = actions["symbol"].map(dict(zip(self.symbols, newest, strict=True)))
        later = actions[(actions["timestamp"] > due).to_numpy()]
        return later.assign(timestamp=later["timestamp"].clip(lower=end + pd.Timedelta("1us")))

    def stacked(self, later: "Panel") -> "Panel":
        """These rows and, in the same units, those of a later panel of the same symbols."""
        rows = (*PRICES, "volume", "split", "dividend", "factor")
        grids: dict[str, Any] = {
            name: np.vstack([getattr(self, name), getattr(later, name)]) for name in rows
        }
        doubts = [np.broadcast_to(each.in_doubt, each.close.shape) for each in (self, later)]
        return replace(
            self,
            timestamps=self.timestamps.append(later.timestamps),
            **grids,
            in_doubt=np.vstack(doubts),
        )

    def unit_changes(self) -> pd.DataFrame:
        """Bars at which a symbol's factor or shares change: timestamp, symbol, factor, shares."""
        grids = {"factor": self.factor, "shares": self.shares_held}
        changed = np.zeros(self.close.shape, dtype=bool)
        for values in grids.values():
            changed[1:] |= values[1:] != values[:-1]
        changed[1:] &= ~np.isnan(self.factor[:-1])
        t, n = np.nonzero(changed)
        names = pd.Series(np.array(self.symbols, dtype=object)[n], dtype="str")
        columns = {name: values[t, n] for name, values in grids.items()}
        return pd.DataFrame({"timestamp": self.timestamps[t], "symbol": names} | columns)


def _units_of(symbols: tuple[str, ...], units: pd.DataFrame | None) -> np.ndarray:
    """(2, N): factor and shares at the first bars, 1.0 where nothing else is known."""
    if units is None:
        return np.ones((2, len(symbols)))
    known = units[["factor", "shares"]].reindex(symbols).fillna(1.0)
    values: np.ndarray = known.to_numpy(np.float64).T
    return values


def converted(split: np.ndarray, discontinuities: np.ndarray, jump: np.ndarray) -> np.ndarray:
    """`Panel.conversion` of bars that open with such a jump, as of `Nights`."""
    phantom = discontinuities & ((jump >= ORDERS) | near_power_of_ten(jump))
    units: np.ndarray = np.where(phantom, split / np.exp(jump), split)
    return units


def volatility(panel: Panel) -> np.ndarray:
    """σ per bar: standard deviation (ddof = 1) of the last 63 adjusted close-to-close log returns.

    Returns:
        (T, N) > 0, as known at the close of each bar; over the symbol's own bars, held where it
        has none; NaN until 63 returns exist, and again after a discontinuity. A value is bit for
        bit the same when later bars are cut off.
    """
    sigma = np.full(panel.close.shape, np.nan)
    adjusted = panel.adjusted_close
    for n in range(len(panel.symbols)):
        rows = np.flatnonzero(~np.isnan(adjusted[:, n]))
        parts = np.split(rows, np.flatnonzero(panel.discontinuities[rows, n]))
        for part in parts:
            sigma[part, n] = deviations(adjusted[part, n])
    return hold_over_gaps(sigma, panel.discontinuities)


def deviations(closes: np.ndarray) -> np.ndarray:
    """(K, ...) closes of histories of their own → σ at each, NaN for the first 63."""
    values = np.full(closes.shape, np.nan)
    if len(closes) > VOLATILITY_WINDOW:
        returns = np.diff(np.log(closes), axis=0)
        values[VOLATILITY_WINDOW:] = _rolling_deviation(returns, VOLATILITY_WINDOW)
    return values


def _rolling_deviation(values: np.ndarray, window: int) -> np.ndarray:
    """Deviation of every full window of (K, ...) values: (K - window + 1, ...).

    Adds one lag at a time, element by element, so that a result depends on its own window only:
    running sums carry the rounding of all that came before, and a reduction over a strided view
    may add in another order when the array has another length.
    """
    size = len(values) - window + 1
    lags = [values[lag : lag + size] for lag in range(window)]
    mean = sum(lags[1:], start=lags[0].copy()) / window
    squares = np.zeros(mean.shape)
    for lag in lags:
        squares += (lag - mean) ** 2
    return np.sqrt(squares / (window - 1))
