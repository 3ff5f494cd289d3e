"""Backtests: a history of bars and of predictions, weights or orders in, a result out."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.engine.dtypes import (
    SLOTS,
    Account,
    Array,
    CashFlow,
    Decision,
    Element,
    Fill,
    Order,
    Parameters,
    Trace,
)
from trading_pipeline.core.trading.engine.loop import Records, new_scratch, run_history, run_orders
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.inputs import (
    Inputs,
    Prepared,
    grid_of,
    known_grids,
    numbers,
    prepare,
)
from trading_pipeline.core.trading.order_table import orders_from
from trading_pipeline.core.trading.terms import Terms


def simulate(
    panel: Panel,
    terms: Terms,
    inputs: Inputs,
    *,
    start: int,
    stop: int,
    everything: bool = False,
    prepared: Prepared | None = None,
) -> BacktestResult:
    """Trade rows [start, stop) of a panel: decided at each close, filled at the next open.

    The last row is not decided on, for nothing could fill it. Given scores, an account is sized and
    guarded by the profile: weights beside them are its benchmark. Given weights alone, they are
    traded as asked when there is no profile (NaN holds), and otherwise the weights last asked for
    are what total exposure and guards act on.

    Args:
        panel: T rows, N symbols. A symbol without a bar keeps its last price; its order lapses.
        inputs: scores or weights, and what they are traded by.
        everything: keep what was decided on every symbol at every bar, and not only orders and
            vetoes, and how it came about: `BacktestResult.decisions` has K × N rows then, and
            `BacktestResult.trace` is filled, for whoever asks why.
        prepared: `prepare` of the panel, for whoever simulates many accounts on it.

    Raises:
        ValueError: rows, shapes or options that make no sense.
        TradingError: a score or weight is infinite, or a price is not positive.
    """
    if inputs.score is None and inputs.weights is None:
        raise ValueError("give scores or weights")
    if inputs.score is not None and terms.profile is None:
        raise ValueError("scores are sized by a profile: give one")
    _check_rows(panel, start, stop)
    rules = parameters_of(terms, scored=inputs.score is not None)
    shared = prepare(panel) if prepared is None else prepared
    known, opened = known_grids(panel, shared, inputs), shared.opened(terms.capital)
    scratch = new_scratch(len(panel.symbols))

    def run(now: int, records: Records) -> int:
        rows = (start, now, stop)
        return run_history(rules, *opened, known, rows, everything, scratch, records)

    return _result(panel, rules, _recorded(run, panel, start, stop, everything), start, stop)


def simulate_orders(
    panel: Panel,
    orders: pd.DataFrame | Array[Order],
    terms: Terms,
    *,
    start: int,
    stop: int,
    volatility: np.ndarray | None = None,
    eligible: np.ndarray | None = None,
    prepared: Prepared | None = None,
) -> BacktestResult:
    """Trade a table of orders: market, limit, stop, each with a bracket if it has levels for one.

    They pass the same account rules, lots, costs and fills as orders that `decide` makes: a profile
    refuses new exposure after a loss limit and closes everything at its drawdown, its stops hold
    for orders without levels of their own, and nothing is resized but for cash, leverage and
    volume.

    Args:
        panel: T rows, N symbols; rows [start, stop) are traded.
        orders: as `orders_from` takes them, or as it gives them.
        terms: orders may go short where they are `shortable`, and otherwise end at a position of
            nothing.
        volatility: (T, N) σ per bar, of stops and impact; the panel's own 63-bar one if None.
        eligible: (T, N) bool, who may be bought; all symbols with a bar if None.
        prepared: `prepare` of the panel, for whoever simulates many accounts on it.

    Raises:
        ValueError: rows or shapes that make no sense.
        TradingError: an order that cannot be one; the message names its row and rule.
    """
    _check_rows(panel, start, stop)
    rules = parameters_of(terms, scored=False)
    rules["managed"], rules["neutral"], rules["shorts"] = 0, 0, terms.shortable
    shared = prepare(panel) if prepared is None else prepared
    able = shared.traded if eligible is None else grid_of(panel, eligible, "eligible", bool)
    sigma = shared.volatility if volatility is None else numbers(panel, volatility, "volatility")
    opened, scratch = shared.opened(terms.capital), new_scratch(len(panel.symbols))
    placed = orders_from(orders, panel) if isinstance(orders, pd.DataFrame) else orders

    def run(now: int, records: Records) -> int:
        rows = (start, now, stop)
        return run_orders(rules, *opened, able, sigma, placed, rows, scratch, records)

    return _result(panel, rules, _recorded(run, panel, start, stop, False), start, stop)


def _check_rows(panel: Panel, start: int, stop: int) -> None:
    if not 0 <= start < stop <= len(panel.timestamps):
        raise ValueError(
            f"rows [{start}, {stop}) are not within the panel's {len(panel.timestamps)}"
        )


def _recorded(
    run: Callable[[int, Records], int], panel: Panel, start: int, stop: int, everything: bool
) -> Records:
    """All that a run writes down, with room that doubles as often as it has to."""
    K, N = stop - start, len(panel.symbols)
    least = len(SLOTS) * N + K * N // 4
    records = Records(
        log=Account.empty(K),
        held=np.empty((K, N)),
        decisions=Decision.empty(K * N if everything else least),
        fills=Fill.empty(least),
        flows=CashFlow.empty(least),
        counts=np.zeros(3, np.int64),
        trace=Trace.columns(K, N if everything else 0),
    )
    now = start
    while (now := run(now, records)) < stop:
        records = records._replace(
            decisions=_doubled(records.decisions),
            fills=_doubled(records.fills),
            flows=_doubled(records.flows),
        )
    decided, filled, flowed = records.counts
    return records._replace(
        decisions=records.decisions[:decided].copy(),  # a view would keep the unused room
        fills=records.fills[:filled].copy(),
        flows=records.flows[:flowed].copy(),
    )


def _doubled(events: Array[Element]) -> Array[Element]:
    """The events, and as much room again."""
    return cast(Array[Element], np.concatenate([events, np.empty_like(events)]))


def _result(
    panel: Panel, rules: Array[Parameters], records: Records, start: int, stop: int
) -> BacktestResult:
    return BacktestResult(
        timestamps=panel.timestamps[start:stop],
        symbols=panel.symbols,
        rules=rules,
        log=records.log,
        quantity=records.held,
        decisions=records.decisions,
        events=records.fills,
        payments=records.flows,
        close=panel.close[start:stop],
        split=panel.conversion[start:stop],
        trace=cast(Array[Trace], records.trace.view(Trace.dtype)[..., 0]),
    )
