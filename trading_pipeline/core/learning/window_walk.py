"""Windows close by close: the features of one more bar behind those before it.

Letters: N symbols, F features, S steps of a window.
"""

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.features.catalog import LOOKBACK, newest_features, returns_of_dates
from trading_pipeline.core.features.families.market import equal_weight_return
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline.core.learning.dataset import features_of
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import Tail
from trading_pipeline.core.market.walk import MarketRow


class WindowWalk:
    """The window at the close of one row after another: rows of `Dataset.grid`, bit for bit."""

    def __init__(self, panel: Panel, calendar: str, n_steps: int) -> None:
        """At the close of the panel's last row, of which there must be one."""
        self.calendar = calendar
        newest = panel.timestamps[-n_steps:]
        features = features_of(panel, calendar)
        self._grid = Tail(n_steps, feature_grid(features, newest, panel.symbols))
        self._returns = Tail(LOOKBACK, returns_of_dates(panel.segments()))
        traded = panel.traded.any(axis=1)
        self._close = panel.adjusted_close[np.flatnonzero(traded)[-1]]  # of the date before
        self._order = np.argsort(panel.symbols)  # in which returns are added

    def step(self, panel: Panel, seen: MarketRow) -> NDArray[np.float32]:
        """(S, N, F) at the close of the next row; fewer steps near the first bar of all."""
        if not seen.traded.any():
            self._grid.append(np.nan)
            return self._grid.rows
        self._returns.append(self._market_return(seen))
        first = max(0, seen.row + 1 - LOOKBACK)
        newest = newest_features(
            seen.own,
            seen.bars,
            seen.traded,
            self._returns.rows,
            panel.timestamps[first : seen.row + 1],
            self.calendar,
        )
        newest[seen.quarantined] = np.nan
        self._grid.append(newest)
        return self._grid.rows

    def _market_return(self, seen: MarketRow) -> float:
        close, before = seen.adjusted[3], self._close
        self._close = close
        counted = ~np.isnan(close) & ~np.isnan(before) & ~seen.discontinuities
        chosen = self._order[counted[self._order]]
        k = len(chosen)
        closes, places = np.concatenate([before[chosen], close[chosen]]), np.arange(k)
        starts = np.array([0, k, 2 * k])
        return float(equal_weight_return(closes, np.concatenate([places, places]), starts, k)[1])
