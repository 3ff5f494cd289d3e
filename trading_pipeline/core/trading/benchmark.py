"""What a long-only account holds without a tilt: an index of its market, restored monthly."""

import numpy as np

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import hold_over_gaps
from trading_pipeline.core.trading.engine.dtypes import month_starts


def benchmark_weights(panel: Panel, eligible: np.ndarray, market: Market) -> np.ndarray:
    """(T, N) weights of the benchmark at each close, which sum to 1 where it has any member.

    At the first bar of every month they are the weights that the market's entry names, over the
    symbols eligible then, or equal ones; until the next month they drift with adjusted prices, as
    those of an index do that nobody trades in between.

    Args:
        eligible: (T, N) bool. What is known at a row does not change when later rows are cut off.
    """
    shares = shares_of(panel.symbols, market)
    price = hold_over_gaps(panel.adjusted_close)
    starts = month_starts(panel.timestamps)
    weights = np.zeros(price.shape)
    for start, stop in zip(starts, [*starts[1:], len(price)], strict=True):
        weights[start:stop] = drifted(
            price[start:stop], shares, eligible[start] & (price[start] > 0), price[start]
        )
    return weights


def shares_of(symbols: tuple[str, ...], market: Market) -> np.ndarray:
    """(N,) shares of the benchmark that the market's entry names, or equal ones."""
    named = np.array([market.benchmark.get(symbol, 0.0) for symbol in symbols])
    return named if market.benchmark else np.ones(len(symbols))


def drifted(
    price: np.ndarray, shares: np.ndarray, members: np.ndarray, begun: np.ndarray
) -> np.ndarray:
    """(K, N) weights at prices (K, N), of members (N,) that had their shares at prices (N,)."""
    weights = np.where(members, shares * price / np.where(members, begun, 1.0), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    whole: np.ndarray = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return whole
