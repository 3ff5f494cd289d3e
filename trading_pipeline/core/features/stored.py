"""Are stored features still what the bars say?"""

import numpy as np
import pandas as pd

KEY = ["timestamp", "symbol"]


def changed_rows(computed: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Keys of the stored rows that are not, bit for bit, what is computed now.

    Args:
        computed: features of all bars; `stored`: those of any part of them, in any row order.

    Returns:
        timestamp, symbol, feature (the first that differs; 'row' where the bar itself is gone).
    """
    names = [name for name in computed.columns if name not in KEY]
    both = stored[KEY].merge(computed, on=KEY, how="left", indicator=True, validate="1:1")
    ours, theirs = both[names].to_numpy(np.float32), stored[names].to_numpy(np.float32)
    differs = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    gone = (both["_merge"] == "left_only").to_numpy()
    rows = np.flatnonzero(differs.any(axis=1) | gone)
    first = np.where(gone[rows], "row", np.array(names, dtype=object)[differs[rows].argmax(axis=1)])
    return stored.iloc[rows][KEY].assign(feature=first).reset_index(drop=True)
