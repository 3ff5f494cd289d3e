"""What the rivals learn from: the differences between the symbols of a date.

Dates of fewer than eight symbols are taken as they are, as they are in the targets.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION

Array = NDArray[np.float64]


def targets_by_date(samples: Samples, rows: Rows) -> Iterator[tuple[int, NDArray[np.bool_], Array]]:
    """Each date on which something is known: its row, (N,) which symbols, their centred targets."""
    for date in range(rows.first, rows.last + 1):
        known = samples.usable[date]
        if known.any():
            yield date, known, centred(samples.price[date].double().numpy()[known])


def centred(values: Array) -> Array:
    """Minus the mean over the symbols of a date, the first axis."""
    return values - values.mean(axis=0) if len(values) >= MIN_CROSS_SECTION else values
