"""Groups of symbols that share a cap: sectors that the market names, or clusters that move alike.

Two shares of one industry are nearly one position. Where no sectors are given, symbols are grouped
by the correlation of what their returns have beyond the market's.
"""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION, Panel
from trading_pipeline.core.trading.engine.dtypes import month_starts
from trading_pipeline.core.trading.inputs import market_returns, recent_returns, recent_rows

LEAST = 126  # bars of returns that a symbol needs, of the last 252
ALIKE = 0.5  # mean correlation within a cluster


def groups_of(panel: Panel, market: Market) -> np.ndarray:
    """(T, N) int in [-1, N): the group of each symbol at each close, -1 for none.

    Clusters are found anew at the first bar of every month, from the bars up to it.
    """
    T, N = panel.close.shape
    if market.sectors:
        return np.broadcast_to(sectors(panel.symbols, market), (T, N)).copy()
    starts = month_starts(panel.timestamps)
    groups = np.full((T, N), -1, dtype=np.int64)
    returns = recent_returns(panel)
    common = market_returns(panel, returns)
    for start, stop in zip(starts, [*starts[1:], T], strict=True):
        rows = recent_rows(int(start))
        groups[start:stop] = clusters(panel.traded[rows], returns[rows], common[rows])
    return groups


def sectors(symbols: tuple[str, ...], market: Market) -> np.ndarray:
    """(N,) place of each symbol's sector among the names; -1 for a symbol without one."""
    names = {name: place for place, name in enumerate(dict.fromkeys(market.sectors.values()))}
    places = [names.get(market.sectors.get(symbol, ""), -1) for symbol in symbols]
    return np.array(places, dtype=np.int64)


def clusters(traded: np.ndarray, returns: np.ndarray, market: np.ndarray) -> np.ndarray:
    """(N,) clusters by the last bars; -1 for too short a history.

    Average linkage on 1 - correlation, cut where the mean correlation falls below `ALIKE`.

    Args:
        traded, returns, market: those of `recent_rows`, (K, N), and (K,) the market's.
    """
    enough = np.flatnonzero(traded.sum(axis=0) >= LEAST)
    groups = np.full(traded.shape[1], -1, dtype=np.int64)
    if len(enough) < MIN_CROSS_SECTION:
        return groups
    beyond = returns[:, enough] - market[:, None]
    deviation = beyond.std(axis=0)
    moving = deviation > 0
    if moving.sum() < MIN_CROSS_SECTION:
        return groups
    correlation = np.corrcoef(beyond[:, moving], rowvar=False)
    distance = np.clip(1 - correlation, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    groups[enough[moving]] = fcluster(tree, t=1 - ALIKE, criterion="distance") - 1
    return groups
