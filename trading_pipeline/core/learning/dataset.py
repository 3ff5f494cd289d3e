"""A market as arrays: what training, prediction and trading all read.

Letters: T rows of the market's clock, N symbols, F features, S steps of a window.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.features.catalog import LOOKBACK, compute_features
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.market.eligibility import eligible, refusals, rules_of
from trading_pipeline.core.market.panel import Panel, volatility

Array = NDArray[np.float64]


def burn_in(n_steps: int) -> int:
    """Bars before the first decision: the features' lookback behind every bar of its window."""
    return LOOKBACK + n_steps - 1


def features_of(panel: Panel, calendar: str) -> pd.DataFrame:
    """The catalog's features of a panel, as store, checks and paper trading all compute them.

    What came before a break is another symbol's, and bars in quarantine have no features.
    """
    return as_of_panel(panel, compute_features(panel.segments(), calendar=calendar))


def as_of_panel(panel: Panel, features: pd.DataFrame) -> pd.DataFrame:
    """Features of `panel.segments()` under the panel's own symbols; NaN in quarantine."""
    if panel.discontinuities.any():
        features = features.assign(symbol=panel.adjusted_bars()["symbol"])
    if panel.quarantined.any():
        t = panel.timestamps.get_indexer(pd.DatetimeIndex(features["timestamp"]))
        n = pd.Index(panel.symbols).get_indexer(features["symbol"])
        names = [name for name in features.columns if name not in KEY]
        features.loc[panel.quarantined[t, n], names] = np.nan
    return features


@dataclass(frozen=True)
class Dataset:
    """Bars, features and what is known about them at each date; row t knows nothing after t."""

    panel: Panel
    grid: NDArray[np.float32]  # features as computed, (T, N, F), NaN where missing
    sigma: Array  # volatility of a bar, (T, N)
    eligible: NDArray[np.bool_]  # (T, N)
    overnight: Array  # log(O[t] / C[t - 1]), adjusted, (T, N)
    intraday: Array  # log(C[t] / O[t]), (T, N)

    @classmethod
    def of(
        cls, panel: Panel, features: pd.DataFrame | NDArray[np.float32], n_steps: int
    ) -> "Dataset":
        """From a panel and its features: their table, or the grid that is made of it."""
        if isinstance(features, pd.DataFrame):
            features = feature_grid(features, panel.timestamps, panel.symbols)
        opens, closes = panel.adjusted_open, panel.adjusted_close
        overnight = np.full_like(opens, np.nan)
        overnight[1:] = np.log(opens[1:] / closes[:-1])
        overnight[panel.discontinuities] = np.nan
        return cls(
            panel=panel,
            grid=features,
            sigma=volatility(panel),
            eligible=eligible(panel, burn_in(n_steps), window=n_steps),
            overnight=overnight,
            intraday=np.log(closes / opens),
        )

    def refusals(self, rows: slice, n_steps: int) -> str:
        """Which rule of eligibility refuses how many bars of these rows, in words."""
        return refusals(self.panel, rules_of(self.panel, burn_in(n_steps), window=n_steps), rows)
