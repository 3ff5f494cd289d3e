"""Features as one dense array, for training and for walking through dates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from trading_pipeline.core.features.families.cross_section import Values
from trading_pipeline.core.market.bars import KEY


def feature_grid(
    features: pd.DataFrame, timestamps: pd.DatetimeIndex, symbols: Sequence[str]
) -> Values:
    """The features laid out by date and symbol.

    Args:
        features: `timestamp`, `symbol` and F feature columns, in any row order.
        timestamps: the T dates wanted, unique, tz-aware UTC.
        symbols: the N symbols wanted, unique.

    Returns:
        float32 (T, N, F), contiguous, features in the order of their columns; NaN where the table
        has no such row. Rows of other dates and symbols are left out.
    """
    columns = [name for name in features.columns if name not in KEY]
    grid = np.full((len(timestamps), len(symbols), len(columns)), np.nan, dtype=np.float32)
    date = timestamps.get_indexer(pd.DatetimeIndex(features["timestamp"]))
    symbol = pd.Index(symbols).get_indexer(features["symbol"])
    wanted = (date >= 0) & (symbol >= 0)
    values = features[columns].to_numpy(np.float32)
    grid[date[wanted], symbol[wanted]] = values if wanted.all() else values[wanted]
    return grid
