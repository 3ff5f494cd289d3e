"""The plan of `engine_speed.py`, traded by vectorbt, backtesting.py and backtrader.

Each function prepares the inputs of one of them and returns what is timed. They are imported where
they are used, for not all of them need be there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import PRICES
from trading_pipeline.core.market.panel import Panel

CAPITAL, INVESTED = 1_000_000.0, 0.95
FEE, SLIPPAGE, STOP, TAKE = 0.001, 0.0005, 0.05, 0.10

# Orders filled, and CPU seconds of parts that may be counted too, or (negative) left out.
Run = tuple[int, dict[str, float]]
Rival = Callable[[Panel, np.ndarray], Callable[[], Run]]


def vectorbt_run(panel: Panel, wanted: np.ndarray) -> Callable[[], Run]:
    """Its equity is a part to be counted too: `from_signals` leaves it for later."""
    import vectorbt

    before = np.vstack([np.zeros_like(wanted[:1]), wanted[:-1]])
    decided = {"entries": wanted & ~before, "exits": before & ~wanted}
    late = {name: np.vstack([np.zeros_like(at[:1]), at[:-1]]) for name, at in decided.items()}
    prices = {name: getattr(panel, name) for name in PRICES}
    tables = {
        name: pd.DataFrame(values, index=panel.timestamps, columns=panel.symbols)
        for name, values in (prices | late).items()
    }

    def run() -> Run:
        portfolio = vectorbt.Portfolio.from_signals(
            **tables,
            price=tables["open"],
            size=INVESTED * CAPITAL / wanted.shape[1],
            size_type="value",
            stop_entry_price="fillprice",
            sl_stop=STOP,
            tp_stop=TAKE,
            fees=FEE,
            slippage=SLIPPAGE,
            init_cash=CAPITAL,
            cash_sharing=True,
            group_by=True,
            freq="1D",
        )
        return len(portfolio.orders.records), {"its equity": cpu(portfolio.value)[0]}

    return run


def backtesting_run(panel: Panel, wanted: np.ndarray) -> Callable[[], Run]:
    """Its statistics are a part that may be left out."""
    from backtesting import Backtest, Strategy, backtesting

    plan = wanted[:, 0]

    class Planned(Strategy):
        def init(self) -> None: ...

        def next(self) -> None:
            t = len(self.data) - 1
            if plan[t] and not plan[t - 1] and not self.position:
                price = self.data.Close[-1]
                self.buy(size=INVESTED, sl=price * (1 - STOP), tp=price * (1 + TAKE))
            elif not plan[t] and self.position:
                self.position.close()

    bars = feed(panel, 0).rename(columns=str.capitalize)

    def run() -> Run:
        costs = {"commission": FEE, "spread": 2 * SLIPPAGE}
        test = Backtest(bars, Planned, cash=CAPITAL, **costs, finalize_trades=True)
        with timed(backtesting, "compute_stats") as spent:
            trades = test.run()["_trades"]
        return 2 * len(trades), {"its statistics": -sum(spent)}

    return run


def backtrader_run(panel: Panel, wanted: np.ndarray) -> Callable[[], Run]:
    """A strategy of brackets; it has no parts to tell apart."""
    import backtrader

    share = INVESTED * CAPITAL / wanted.shape[1]

    class Planned(backtrader.Strategy):
        def __init__(self) -> None:
            self.filled = 0
            self.brackets: dict[int, list[Any]] = {}

        def notify_order(self, order: Any) -> None:
            self.filled += order.status == order.Completed

        def next(self) -> None:
            t = len(self) - 1
            for n, bars in enumerate(self.datas):
                held = self.getposition(bars).size
                if wanted[t, n] and not wanted[t - 1, n] and not held:
                    self.brackets[n] = self.enter(bars, bars.close[0])
                elif not wanted[t, n] and held:
                    self.close(data=bars)
                    self.cancel(self.brackets[n][1])  # and with it the other one

        def enter(self, bars: Any, price: float) -> list[Any]:
            levels = {"stopprice": price * (1 - STOP), "limitprice": price * (1 + TAKE)}
            market = {"size": share / price, "exectype": backtrader.Order.Market}
            return self.buy_bracket(data=bars, **market, **levels)

    feeds = [feed(panel, n) for n in range(wanted.shape[1])]

    def run() -> Run:
        cerebro = backtrader.Cerebro(stdstats=False)
        for bars in feeds:
            cerebro.adddata(backtrader.feeds.PandasData(dataname=bars))
        cerebro.addstrategy(Planned)
        cerebro.broker.setcash(CAPITAL)
        cerebro.broker.setcommission(FEE)
        cerebro.broker.set_slippage_perc(SLIPPAGE)
        return cerebro.run()[0].filled, {}

    return run


def feed(panel: Panel, n: int) -> pd.DataFrame:
    """Bars of one symbol, as both libraries take them: without a time zone."""
    columns = {name: getattr(panel, name)[:, n] for name in (*PRICES, "volume")}
    return pd.DataFrame(columns, index=panel.timestamps.tz_localize(None))


@contextmanager
def timed(module: ModuleType, name: str) -> Iterator[list[float]]:
    """CPU seconds of each call of a function that a module knows by this name."""
    function, spent = getattr(module, name), []

    def measured(*args: Any, **options: Any) -> Any:
        seconds, made = cpu(lambda: function(*args, **options))
        spent.append(seconds)
        return made

    with patch.object(module, name, measured):
        yield spent


def cpu(step: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one step, all threads together, and what it returned."""
    start = time.process_time()
    made = step()
    return time.process_time() - start, made
