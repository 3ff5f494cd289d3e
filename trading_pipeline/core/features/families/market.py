"""Market block: what all symbols did together, the same for every symbol of a date."""

import math

import numpy as np

from trading_pipeline.core.features.families.cross_section import (
    CrossSection,
    Index,
    positive_share,
)
from trading_pipeline.core.features.feature import FRACTION, LOG_RATIO, SIGMAS, Family
from trading_pipeline.core.features.series import FLAT
from trading_pipeline.core.features.windows import Array, deviation, kernel, log_ratio, total
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW

FAMILY = Family("market")


class MarketSeries:
    """The market date by date.

    Args:
        equal_weight: log return of the equally weighted market, (T,), NaN where unknown.
        section: the features of the single symbols.
    """

    def __init__(self, equal_weight: Array, section: CrossSection) -> None:
        self.equal_weight, self.section = equal_weight, section


@kernel
def equal_weight_return(close: Array, symbol: Index, starts: Index, n_symbols: int) -> Array:
    """Log return of holding every symbol equally over one date, rebalanced: (T,).

    Args:
        close: adjusted closes, (R,), rows ordered by date and, within one, by symbol.
        symbol: number of each row's symbol, (R,), below `n_symbols`.
        starts: first row of each date, and R; (T + 1,).

    Only symbols with a bar at both this date and the one before count: what a symbol did over a
    gap is no return of one bar. NaN at the first date, and where no symbol counts.
    """
    out = np.full(starts.size - 1, np.nan)
    last_close, last_date = np.full(n_symbols, np.nan), np.full(n_symbols, -2)
    for date in range(starts.size - 1):
        gained, counted = 0.0, 0
        for row in range(starts[date], starts[date + 1]):
            who = symbol[row]
            if last_date[who] == date - 1:
                gained += close[row] / last_close[who] - 1.0
                counted += 1
            last_close[who], last_date[who] = close[row], date
        if counted:
            out[date] = np.log(1.0 + gained / counted)
    return out


def past_return(returns: Array, bars: int) -> Array:
    """Σ of the last `bars` log returns / (their σ of 63 bars × √bars); (T,)."""
    sigma = np.maximum(deviation(returns, VOLATILITY_WINDOW, 1), FLAT)
    return total(returns, bars) / (sigma * math.sqrt(bars))


@FAMILY.feature(
    name="market_ret_21",
    formula="Σ equal-weight log returns / (σ √bars)",
    lookback=VOLATILITY_WINDOW + 1,
    scale=SIGMAS,
    source="Lo and MacKinlay (1990)",
)
def market_return(market: MarketSeries, bars: int = 21) -> Array:
    """Past return of the equally weighted market, the benchmark, in σ√bars; (T,)."""
    return past_return(market.equal_weight, bars)


@FAMILY.feature(
    name="market_volatility_21_252",
    formula="log(equal-weight σ short / σ long)",
    lookback=253,
    scale=LOG_RATIO,
    source="Moreira and Muir (2017)",
)
def market_volatility(market: MarketSeries, short: int = 21, long: int = 252) -> Array:
    """log(market σ of `short` bars / of `long` bars); (T,)."""
    recent = np.maximum(deviation(market.equal_weight, short, 1), FLAT)
    return log_ratio(recent, np.maximum(deviation(market.equal_weight, long, 1), FLAT))


@FAMILY.feature(
    name="breadth_50",
    formula="fraction of symbols with C above SMA 50",
    lookback=VOLATILITY_WINDOW + 1,
    scale=FRACTION,
    source="market breadth",
)
def breadth(market: MarketSeries, column: str = "sma_50") -> Array:
    """Fraction of symbols whose `column` is above 0; (T,), in [0, 1]."""
    return positive_share(market.section.column(column), market.section.starts)


FAMILY.feature(
    name="benchmark_trend_126",
    formula="Σ benchmark log returns / (σ √bars)",
    parameters={"bars": 126},
    lookback=127,
    scale=SIGMAS,
    source="Moskowitz, Ooi and Pedersen (2012)",
)(market_return)
