"""A second opinion on a simulation: vectorbt replays its fills and must find the same equity.

vectorbt (which carries the Commons Clause) knows nothing of our kernels: it gets the fills, their
fees and the closing prices, and does its own bookkeeping. What it has no word for is brought to
it: splits by counting in shares of the first bar, dividends, borrow and interest by adding the
cash-flow table afterwards, and a fee that is more than its fill is worth as well.
"""

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.trading.engine.dtypes import SLOTS

# Cash that vectorbt may use freely and that is subtracted afterwards: with little of it, it would
# fill buys before sells and refuse some. A multiple of the largest sum that ever changes hands.
_AMPLE = 4.0


def replay_equity(book: BacktestResult) -> np.ndarray:
    """Equity (K,) at each close, in quote currency, by vectorbt's accounting.

    Every bar becomes a row for each slot of fills, all valued at its close.
    """
    import vectorbt

    prices, quantities, closes = _events(book)
    fees = _rows(book, "fee")
    small = fees >= np.nan_to_num((prices * quantities.abs()).to_numpy())  # it refuses such a sale
    ample = book.equity[0] + _AMPLE * float(book.gross.max() + book.log["traded"].max())
    portfolio = vectorbt.Portfolio.from_orders(
        close=closes,
        size=quantities,
        size_type="amount",
        direction="both",
        price=prices,
        fees=0.0,
        fixed_fees=np.where(small, 0.0, fees),
        slippage=0.0,
        init_cash=ample,
        cash_sharing=True,
        group_by=True,
        freq="1D",
    )
    value: np.ndarray = np.asarray(portfolio.value(), dtype=float).reshape(-1)
    value = value[len(SLOTS) - 1 :: len(SLOTS)]
    afterwards = np.where(small, fees, 0.0).reshape(len(value), -1).sum(axis=1).cumsum()
    return np.asarray(value - ample + book.equity[0] + _cash_flows(book) - afterwards)


def _events(book: BacktestResult) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Price and quantity of each event and the close it is valued at, (3K, N), in first shares."""
    shares = np.repeat(np.cumprod(book.split, axis=0), len(SLOTS), axis=0)
    quantities = _rows(book, "quantity") / shares
    prices = _rows(book, "price") * shares
    closes = np.repeat(book.price, len(SLOTS), axis=0) * shares
    # Before its listing a symbol has no price and no orders; vectorbt wants a number all the same.
    listed = pd.DataFrame(closes).bfill().fillna(1.0)
    return (
        pd.DataFrame(prices).fillna(listed),
        pd.DataFrame(np.where(quantities == 0, np.nan, quantities)),
        listed,
    )


def _rows(book: BacktestResult, name: str) -> np.ndarray:
    """A field of the (K, N, 3) fills as (3K, N), one row per slot."""
    rows: np.ndarray = book.fills_made[name].transpose(0, 2, 1).reshape(-1, len(book.symbols))
    return rows


def _cash_flows(book: BacktestResult) -> np.ndarray:
    """(K,) dividends, borrow and interest so far, from the same table that users see."""
    flows = book.cash_flows()
    rows = book.timestamps.get_indexer(pd.DatetimeIndex(flows["at"]))
    so_far: np.ndarray = np.bincount(
        rows, weights=flows["amount"].to_numpy(), minlength=len(book.timestamps)
    ).cumsum()
    return so_far
