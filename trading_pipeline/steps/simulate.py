"""Trade a table of orders on a panel of anyone's own."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.order_file import read_orders
from trading_pipeline.core.backtest.outcomes import outcomes_of
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.simulate import simulate_orders
from trading_pipeline.core.learning.adhoc import market_name, unfitted_market
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.quality.finding import counted
from trading_pipeline.core.market.stamps import Clock
from trading_pipeline.core.trading.order_table import COLUMNS, orders_from
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import TradingError
from trading_pipeline.steps.panel_file import PanelFile

_OURS = ("client_order_id", "reasons")  # that orders.csv of a report has as well


@dataclass(frozen=True)
class Simulated:
    """An account that traded the orders, from the bar of the first one to the panel's last."""

    result: BacktestResult
    outcomes: pd.DataFrame  # of each order, as `outcomes_of` has it
    notes: list[str]  # what a person should know


def simulate_order_file(
    orders: Path,
    panel: PanelFile,
    *,
    capital: float,
    profile: str | None = None,
    template: Market | None = None,
    calendar: str | None = None,
) -> Simulated:
    """Trade the orders of a CSV or Parquet file, each at the next open after it was decided.

    Args:
        orders: columns as of `orders_from`; stamps as of `read_orders`.
        capital: quote currency, > 0.
        profile: whose limits of losses and whose stops hold, beside the orders' own; None: none.
        template: a market whose costs and other settings hold; None: 10 bp of fee, 5 bp of
            slippage, no shorts, no leverage.
        calendar: of the panel; None: the template's, or the one that fits best.

    Raises:
        SourceError: the file of orders cannot be read, or has none.
        TradingError: an order that cannot be one; the message names file, line and rule.
        BarsError: the stamps of the panel fit no timeframe or calendar.
    """
    path = panel.source.path
    name = market_name(path.stem)
    market, clock, opened = unfitted_market(panel.bars, name, template, calendar, str(path))
    grid = panel.panel(opened)
    try:
        table = read_orders(orders, grid.timestamps)
        placed = orders_from(table, grid)
    except TradingError as error:
        raise TradingError(f"{orders}: {error}") from error
    start = int(placed["bar"][0])
    result = simulate_orders(
        grid,
        placed,
        _terms(market, capital, profile),
        start=start,
        stop=len(grid.timestamps),
    )
    notes = [_terms_told(market, clock, profile), *_unread_told(table)]
    return Simulated(result, outcomes_of(placed, result, start), notes)


def _terms(market: Market, capital: float, profile: str | None) -> Terms:
    """Whatever the market's mandate says, its orders go short where it is shortable."""
    return Terms(
        capital=capital,
        costs=market.costs,
        bars_per_year=market.bars_per_year,
        horizon=market.horizon,
        shortable=market.shortable,
        profile=profile_of(replace(market, profile=profile)) if profile else None,
    )


def _terms_told(market: Market, clock: Clock, profile: str | None) -> str:
    costs = market.costs
    shorts = "shorts allowed" if market.shortable else "no shorts"
    return (
        f"{counted(len(market.symbols), 'symbol')} of {market.timeframe}, {clock.note}, fee "
        f"{costs.fee:.2%}, slippage {costs.slippage:.2%}, leverage {costs.leverage:g}, {shorts}, "
        f"{f'limits and stops of {profile}' if profile else 'no risk profile'}"
    )


def _unread_told(table: pd.DataFrame) -> list[str]:
    """A misspelt column would be an order without its stop: say so."""
    names = [name for name in table if name not in (*COLUMNS, *_OURS)]
    return [f"columns that are not read: {', '.join(map(repr, names))}"] if names else []
