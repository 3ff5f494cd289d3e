"""Paper sessions without a ledger: what they saw and booked, and what went otherwise on the way."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.divergence import Divergence, divergence
from trading_pipeline.core.backtest.on_paper import OnPaper, Trade, executions_of, trades_of
from trading_pipeline.core.backtest.recorded import Recorded, bar_by_bar
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import NAMES, random_panel, random_scores

N, FIRST, LAST = 8, 75, 119  # symbols; rows of the session
CAPITAL = 100_000.0
MARKET = Market(
    name="apart",
    source="parquet",
    symbols=NAMES[:N],
    start=date(2024, 1, 1),
    calendar="24/7",
    horizon=5,
    mandate="neutral",
    shortable=True,
    costs=Costs(min_notional=0.0, borrow=0.05),
    limits={"band": 0.0},
)
Broker = Callable[[int, list[Trade]], list[Trade]]  # what becomes of the engine's trades in bar k


def market_of(seed: int, before: int = 10) -> tuple[Panel, np.ndarray]:
    """Bars, and scores from so many bars before the session on."""
    panel = random_panel(seed, T=LAST + 1, N=N)
    panel = replace(panel, symbols=MARKET.symbols, in_doubt=False)
    scores = random_scores(seed, panel)
    scores[: FIRST - before] = np.nan
    return panel, scores


def predicted(panel: Panel, scores: np.ndarray) -> pd.DataFrame:
    """The predictions table of scores."""
    t, n = np.nonzero(np.isfinite(scores))
    names = np.array(panel.symbols, dtype=object)[n]
    symbols = pd.Series(names, dtype="str")
    return pd.DataFrame(
        {"timestamp": panel.timestamps[t], "symbol": symbols, "score": scores[t, n]}
    )


def traded(panel: Panel) -> np.ndarray:
    """Who may be bought: whoever has a bar."""
    return panel.traded


def without(panel: Panel, scores: np.ndarray, row: int) -> tuple[Panel, np.ndarray]:
    """A market of which a row was never seen; its actions come with the next one."""
    kept = np.arange(len(panel.timestamps)) != row
    names = ("open", "high", "low", "close", "volume", "split", "dividend", "factor")
    grids = {name: getattr(panel, name).copy() for name in names}
    grids["split"][row + 1] *= panel.split[row]
    grids["dividend"][row + 1] += panel.dividend[row] / panel.split[row + 1]
    rows = {name: grid[kept] for name, grid in grids.items()}
    return replace(panel, timestamps=panel.timestamps[kept], **rows), scores[kept]


def session(
    panel: Panel,
    scores: np.ndarray,
    broker: Broker | None = None,
    *,
    missed: tuple[int, ...] = (),
    halted: tuple[int, ...] = (),
    paid: float = 1.0,
) -> OnPaper:
    """A session over a market.

    Args:
        broker: who executes; the engine, if None.
        missed, halted: bars k.
        paid: factor of all payments.
    """
    K = len(panel.timestamps) - FIRST
    nothing = np.full(panel.close.shape, np.nan)
    recorded = Recorded(
        panel=panel,
        first=FIRST,
        score=scores,
        volatility=nothing,
        half_life=nothing[:, 0],
        eligible=panel.traded,
        halted=np.isin(np.arange(K), halted),
        missed=np.isin(np.arange(K), missed),
    )
    fills, flows, equity = [], [], np.zeros(K)

    def live(k, trader, bar):
        if broker is None:
            filled = trader.fill(bar)
        else:
            engine = trades_of(deepcopy(trader).fill(bar).fills)
            filled = trader.book(bar, executions_of(broker(k, engine), bar))
        amounts = filled.cash_flows.assign(amount=paid * filled.cash_flows["amount"])
        for name in ("cash", "equity"):
            trader.account[name] += (paid - 1) * filled.cash_flows["amount"].sum()
        fills.append(filled.fills)
        flows.append(amounts)
        equity[k] = trader.equity
        return filled

    terms = Terms.of(MARKET, CAPITAL)
    bar_by_bar(recorded, recorded.basis(MARKET), terms, "s", live)
    return OnPaper(
        session="s",
        capital=CAPITAL,
        recorded=recorded,
        fills=pd.concat(fills, ignore_index=True),
        cash_flows=pd.concat(flows, ignore_index=True),
        equity=equity,
    )


def split(paper: OnPaper, panel: Panel, scores: np.ndarray) -> Divergence:
    """The difference to the backtest of these bars and scores."""
    return divergence(paper, panel, predicted(panel, scores), MARKET, traded)
