"""A market seen close by close, as a session sees it: what whole panels say of their newest row.

`MarketWalk` keeps what the next row needs of those before it, so that a row costs the same however
long the history is. What it says is what `Panel`, `volatility`, `market_beta` and `eligible` say of
the panel up to that row, bit for bit.

Letters: T rows of the panel, N symbols, L own bars of a symbol.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.market.beta import WINDOW as BETA_WINDOW
from trading_pipeline.core.market.beta import (
    equal_weight_returns,
    market_beta,
    mean_of_moves,
    shrunk,
    slopes_of,
)
from trading_pipeline.core.market.discontinuities import find_discontinuities, segment_starts
from trading_pipeline.core.market.eligibility import (
    GAP_WINDOW,
    MIN_PRESENCE,
    STALE_AFTER,
    bars_so_far,
    price_floor,
)
from trading_pipeline.core.market.panel import Panel, converted, deviations, volatility
from trading_pipeline.core.market.quarantine import (
    ACTIVE_ROWS,
    LOOKS_BACK_ROWS,
    SPAN,
    due_bars,
    too_many,
)
from trading_pipeline.core.market.trailing import (
    VOLATILITY_WINDOW,
    Array,
    Mask,
    Tail,
    days_of,
    hold_over_gaps,
)

Count = NDArray[np.int64]
_CLOSE, _LEVEL = 3, 5  # rows of own bars
_NEVER = np.iinfo(np.int64).max  # row of the first bar where there is none yet


class MarketRow(NamedTuple):
    """What is known at the close of a row; (N,) unless said otherwise."""

    row: int
    traded: Mask
    discontinuities: Mask
    quarantined: Mask
    conversion: Array
    eligible: Mask
    adjusted: Array  # (5, N) open, high, low, close, volume
    held: Array  # adjusted close of the last bar
    sigma_before: Array  # volatility of a bar, at the row before
    sigma: Array
    beta: Array
    overnight: Array  # log(O[t] / C[t - 1]), adjusted
    intraday: Array  # log(C[t] / O[t])
    bars: Count  # own bars since listing or the last break
    own: Array  # (5, L, N) adjusted, those bars, the newest last; anything where there are fewer


class MarketWalk:
    """The market at the close of one row after another."""

    def __init__(self, panel: Panel, lookback: int, window: int, own: int) -> None:
        """At the close of the panel's last row, of which there must be one.

        Args:
            lookback, window: as of `eligible`.
            own: L, bars of each symbol that a row shows.
        """
        self.lookback, self.window, self.shown = lookback, window, own
        T, traded, broken = len(panel.timestamps), panel.traded, panel.discontinuities
        self.row = T - 1
        close, day = panel.adjusted_close, days_of(panel.timestamps)
        self._shares = panel.shares_held[-1]
        self._volume = Tail(LOOKS_BACK_ROWS, panel.adjusted_volume)
        days = np.where(traded, day[:, None], np.nan)
        held = np.stack([hold_over_gaps(close), hold_over_gaps(days)], axis=1)
        self._held = Tail(LOOKS_BACK_ROWS + 1, held)  # (2, N) last close, and its day
        starts = segment_starts(traded, broken)
        self._start, self._bars = starts[-1], bars_so_far(panel)[-1]
        self._listed = np.where(traded.any(axis=0), traded.argmax(axis=0), _NEVER)
        due, old = due_bars(traded, starts), int(np.searchsorted(day, day[-1] - SPAN, "right"))
        counted = due & (np.arange(T)[:, None] >= self._start)
        self._due, self._missing = (
            flags[old:].sum(axis=0) for flags in (counted, counted & ~traded)
        )
        self._year = deque(
            zip(day[old:].tolist(), due[old:], due[old:] & ~traded[old:], strict=True)
        )
        self._quarantined = Tail(window, panel.quarantined)
        self._sigma, self._beta = volatility(panel)[-1], market_beta(panel)[-1]
        self._level = np.cumsum(equal_weight_returns(panel))
        self._own = np.full((6, max(own, BETA_WINDOW + 1), len(panel.symbols)), np.nan)
        self._busy = np.zeros((STALE_AFTER, len(panel.symbols)), dtype=bool)
        self._total = traded.sum(axis=0)
        for n in range(len(panel.symbols)):
            rows = np.flatnonzero(traded[:, n])
            volumes = panel.volume[rows[-STALE_AFTER:], n]
            self._busy[len(self._busy) - len(volumes) :, n] = volumes > 0
            rows = rows[rows >= self._start[n]][-self._own.shape[1] :]
            grids = (*(_adjusted(panel, slice(None), n)), panel.adjusted_volume[:, n], self._level)
            for kept, values in zip(self._own, grids, strict=True):
                kept[kept.shape[0] - len(rows) :, n] = values[rows]
        self._level = self._level[-1]

    def step(self, panel: Panel) -> MarketRow:
        """At the close of the next row, which the panel has, and perhaps later ones."""
        self.row = row = self.row + 1
        traded = ~np.isnan(panel.close[row])
        day = float(days_of(panel.timestamps[row : row + 1])[0])
        self._shares = self._shares * panel.split[row]
        volume = panel.volume[row] / self._shares
        adjusted = np.stack([*_adjusted(panel, row), volume])
        open_, close = adjusted[0], adjusted[_CLOSE]
        before, days = self._held.rows[-1]
        self._volume.append(volume)
        held = np.where(traded, close, before)
        self._held.append((held, np.where(traded, day, days)))
        broken = self._discontinuities(panel)
        with np.errstate(divide="ignore", invalid="ignore"):
            conversion = converted(panel.split[row], broken, np.log(open_ / before))
        begins = broken | (traded & (self._start < 0))
        self._start = np.where(begins, row, self._start)
        self._listed = np.where(traded, np.minimum(self._listed, row), self._listed)
        self._bars = np.where(broken, 0, self._bars) + traded
        self._total = self._total + traded
        quarantined = traded & (
            self._gappy(panel, traded, begins, day)
            | np.broadcast_to(panel.in_doubt, panel.close.shape)[row]
        )
        self._quarantined.append(quarantined)
        last = _adjusted(panel, row - 1)[_CLOSE]
        moves = np.where(broken, np.nan, np.log(close) - np.log(last))
        self._level = self._level + mean_of_moves(moves[None])[0]
        self._remember(adjusted, traded, broken)
        sigma_before = self._sigma
        sigma = deviations(self._own[_CLOSE, -VOLATILITY_WINDOW - 1 :])[-1]
        self._sigma = np.where(traded, sigma, self._sigma)
        self._beta = np.where(traded, self._slopes(), self._beta)
        _push(self._busy, traded, panel.volume[row] > 0)
        return MarketRow(
            row=row,
            traded=traded,
            discontinuities=broken,
            quarantined=quarantined,
            conversion=conversion,
            eligible=traded & self._able(panel, traded),
            adjusted=adjusted,
            held=held,
            sigma_before=sigma_before,
            sigma=self._sigma,
            beta=self._beta,
            overnight=np.where(broken, np.nan, np.log(open_ / last)),
            intraday=np.log(close / open_),
            bars=self._bars,
            own=self._own[:5, -self.shown :],
        )

    def _discontinuities(self, panel: Panel) -> Mask:
        """Of this row: nothing older decides but each symbol's last bar."""
        seen = self._held.rows
        earlier = seen[0] if len(seen) > LOOKS_BACK_ROWS else None
        rows = slice(max(0, self.row + 1 - LOOKS_BACK_ROWS), self.row + 1)
        open_, _, _, close = _adjusted(panel, rows)
        found = find_discontinuities(
            panel.timestamps[rows], open_, close, self._volume.rows, earlier
        )
        newest: Mask = found[-1]
        return newest

    def _gappy(self, panel: Panel, traded: Mask, begins: Mask, day: float) -> Mask:
        """As `gap_quarantine`, by counts of the last year that rows enter and leave."""
        lately = ~np.isnan(panel.close[max(0, self.row - ACTIVE_ROWS) : self.row])
        active = lately.any(axis=0)
        here = (traded & active).sum() * 2 >= active.sum()
        due = here & (self._start >= 0)
        missing = due & ~traded
        self._due = np.where(begins, 0, self._due) + due
        self._missing = np.where(begins, 0, self._missing) + missing
        self._year.append((day, due, missing))
        while self._year[0][0] <= day - SPAN:
            left = self.row + 1 - len(self._year)  # its row
            _, *flags = self._year.popleft()
            inside = self._start <= left
            self._due = self._due - (flags[0] & inside)
            self._missing = self._missing - (flags[1] & inside)
        return too_many(self._missing, self._due)

    def _remember(self, adjusted: Array, traded: Mask, broken: Mask) -> None:
        """The bar becomes the newest of the symbol's own."""
        self._own[:, :, broken] = np.nan
        for kept, values in zip(self._own, adjusted, strict=False):
            _push(kept, traded, values)
        _push(self._own[_LEVEL], traded, np.broadcast_to(self._level, traded.shape))

    def _slopes(self) -> Array:
        closes, levels = (self._own[each, -BETA_WINDOW - 1 :] for each in (_CLOSE, _LEVEL))
        slopes = slopes_of(np.log(closes), levels)[-1]
        return shrunk(np.where(self._bars > BETA_WINDOW, slopes, 1.0))

    def _able(self, panel: Panel, traded: Mask) -> Mask:
        """The rules of `eligible`, for symbols with a bar."""
        first = max(0, self.row + 1 - GAP_WINDOW)
        present = (~np.isnan(panel.close[first : self.row + 1])).sum(axis=0)
        expected = np.maximum(self.row + 1 - np.maximum(self._listed, first), 0)
        able: Mask = (
            (self._bars >= self.lookback)
            & ~self._quarantined.rows.any(axis=0)
            & (self._busy.any(axis=0) | (self._total < STALE_AFTER))
            & (present >= MIN_PRESENCE * expected)
            & (np.where(traded, panel.close[self.row], 0.0) >= price_floor(panel))
        )
        return able


def _adjusted(panel: Panel, rows: int | slice, n: int | slice = slice(None)) -> list[Array]:
    """Open, high, low and close of some rows and symbols, as the panel's properties have them."""
    return [
        getattr(panel, name)[rows, n] * panel.factor[rows, n]
        for name in ("open", "high", "low", "close")
    ]


def _push(kept: NDArray[np.float64] | Mask, chosen: Mask, row: Array | Mask) -> None:
    """Move the chosen columns of (L, N) up by one, and put the row under them."""
    if chosen.all():
        kept[:-1] = kept[1:]
    else:
        kept[:-1, chosen] = kept[1:, chosen]
    kept[-1, chosen] = row[chosen]
