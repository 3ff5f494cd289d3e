"""What a table of features must be before it is stored."""

import pandas as pd

from trading_pipeline.errors import FeatureError

KEY = ["timestamp", "symbol"]


def check_keys(features: pd.DataFrame) -> None:
    """Whether every row is of one bar, and no bar has two.

    Raises:
        FeatureError: a key column is missing, or a (timestamp, symbol) repeats.
    """
    if missing := [name for name in KEY if name not in features]:
        raise FeatureError(f"features lack columns {missing}")
    if (repeated := features.duplicated(KEY)).any():
        first = features.loc[repeated, KEY].iloc[0]
        raise FeatureError(
            f"features of {first['symbol']} at {first['timestamp']} repeat "
            f"({repeated.sum()} rows do)"
        )
