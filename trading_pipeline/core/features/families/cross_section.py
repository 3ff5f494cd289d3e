"""Cross-section: where a symbol stands among all symbols with a bar at the same date."""

import numpy as np
import numpy.typing as npt

from trading_pipeline.core.features.feature import Family, Scale
from trading_pipeline.core.features.windows import Array, kernel
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION

Values = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]
ROUNDING = 1e-6
FAMILY = Family("cross_section")


class CrossSection:
    """The features already computed, seen date by date.

    Args:
        values: float32 (F, R), rows of bars ordered by date and, within one, by symbol.
        names: the F features.
        starts: int64 (T + 1,), first row of each date, and R.
    """

    def __init__(self, values: Values, names: tuple[str, ...], starts: Index) -> None:
        self.values, self.starts = values, starts
        self._places = {name: place for place, name in enumerate(names)}

    def column(self, name: str) -> Values:
        """One feature, float32 (R,)."""
        column: Values = self.values[self._places[name]]
        return column


@kernel
def ranks(values: Values, starts: Index, least: int) -> Array:
    """Rank of each value among those of its date: float64 (R,), in [-1/2, 1/2].

    The lowest is -1/2 and the highest 1/2; equal values share their mean rank. NaN where the value
    is, and at dates with fewer than `least` values.
    """
    out = np.full(values.size, np.nan)
    bits = values.view(np.uint32)
    for date in range(starts.size - 1):
        present = starts[date] + np.flatnonzero(~np.isnan(values[starts[date] : starts[date + 1]]))
        n = present.size
        if n < least:
            continue
        order = present[_order(bits[present])]
        tie = 0
        for place in range(1, n + 1):
            if place < n and values[order[place]] == values[order[tie]]:
                continue
            shared = 0.5 * (tie + place - 1) / (n - 1) - 0.5
            for member in order[tie:place]:
                out[member] = shared
            tie = place
    return out


@kernel
def _order(bits: npt.NDArray[np.uint32]) -> Index:
    """Places of float32 numbers, given as their bits, from the lowest to the highest; no NaN.

    Radix sort, four digits of 8 bits: a fourth of the time of a comparing one. The bits of
    positive floats are in the order of the numbers, those of negative ones in the reverse order.
    """
    digit, n = np.uint32(255), bits.size
    key = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))
    order, sorted_key, sorted_order = np.arange(n), np.empty_like(key), np.empty(n, np.int64)
    firsts = np.empty(256, np.int64)  # where each digit begins
    for shift in (np.uint32(0), np.uint32(8), np.uint32(16), np.uint32(24)):
        firsts[:] = 0
        for k in range(n):
            firsts[(key[k] >> shift) & digit] += 1
        before = 0
        for place in range(256):
            before, firsts[place] = before + firsts[place], before
        for k in range(n):
            place = (key[k] >> shift) & digit
            sorted_key[firsts[place]], sorted_order[firsts[place]] = key[k], order[k]
            firsts[place] += 1
        key, sorted_key = sorted_key, key
        order, sorted_order = sorted_order, order
    return order


@kernel
def positive_share(values: Values, starts: Index) -> Array:
    """Fraction of each date's values above 0: float64 (T,), in [0, 1], NaN where there are none.

    A value of 0 up to rounding is not above it, whichever side the last bit puts it on.
    """
    out = np.full(starts.size - 1, np.nan)
    for date in range(starts.size - 1):
        known, above = 0, 0
        for value in values[starts[date] : starts[date + 1]]:
            known += not np.isnan(value)
            above += value > ROUNDING
        if known:
            out[date] = above / known
    return out


def rank(section: CrossSection, column: str) -> Array:
    """Rank of a feature within its date; float64 (R,), NaN below eight symbols.

    It is the stored float32 that is ranked, so that anyone can repeat it from the table, and so
    that two symbols that differ by rounding alone are equal.
    """
    return ranks(section.column(column), section.starts, MIN_CROSS_SECTION)


for name, column, lookback, source in (
    ("rank_ret_5", "ret_5", 64, "Jegadeesh (1990), short-term reversal"),
    ("rank_ret_21", "ret_21", 64, "Lehmann (1990), reversal"),
    ("rank_momentum", "momentum_252_21", 253, "Jegadeesh and Titman (1993)"),
    ("rank_volatility", "volatility_63", 64, "Ang et al. (2006), low volatility"),
    ("rank_volume", "volume_surprise_20", 21, "Gervais, Kaniel and Mingelgrin (2001)"),
):
    FAMILY.feature(
        name=name,
        formula="rank at the date, ties shared, scaled to [-1/2, 1/2]",
        parameters={"column": column},
        lookback=lookback,
        scale=Scale("rank", -0.5, 0.5),
        source=source,
    )(rank)
RANKED = tuple(feature.name for feature in FAMILY.features)


@FAMILY.feature(
    name="rank_missing",
    formula="1 where any rank of the row is missing",
    lookback=253,
    scale=Scale("mask", 0, 1),
    source="mask of the ranks",
)
def rank_missing(section: CrossSection) -> Array:
    """1 where any rank of the row is missing, else 0; float64 (R,), never NaN."""
    missing = np.zeros(section.values.shape[1], dtype=bool)
    for name in RANKED:
        missing |= np.isnan(section.column(name))
    return missing.astype(np.float64)
