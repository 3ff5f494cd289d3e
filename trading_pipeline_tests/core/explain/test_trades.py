"""What the tables of trades and positions say is what an explanation of the day says."""

import numpy as np
import pytest

from trading_pipeline.core.backtest.trades import positions_of
from trading_pipeline.core.explain.explanation import explain
from trading_pipeline.core.explain.outcome import held_at
from trading_pipeline.core.explain.trades import why_opened
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline_tests.core.explain.reruns import LONG_ONLY, NEUTRAL, rerun_of


@pytest.mark.parametrize("market", [LONG_ONLY, NEUTRAL], ids=["long only", "neutral"])
@pytest.mark.slow
def test_the_reason_of_a_trade_is_the_sentence_of_explain(market):
    run = rerun_of(market, T=130)
    features = np.zeros((*run.panel.close.shape, len(NAMES)), np.float32)
    book = run.result
    trades = book.trades()
    held = book.positions()
    assert len(trades) + len(held) > 5
    for table in (trades, held):
        for reason, trade in zip(why_opened(book, table), table.itertuples(), strict=True):
            k = int(book.timestamps.get_loc(trade.opened_at)) - 1
            why = explain(run, k, run.column(trade.symbol), features, 1, 1)
            said = why.answer.split(" It ")[0]
            assert reason.startswith(said)
            told = reason.removeprefix(said).lower()
            assert all(each.text.lower() in told for each in why.reasons)


@pytest.mark.slow
@pytest.mark.parametrize("market", [LONG_ONLY, NEUTRAL], ids=["long only", "neutral"])
def test_the_average_cost_of_a_position_is_that_of_explain(market):
    """Through partial sales, purchases, splits and dividends: the engine and the table of fills
    come to one number."""
    run = rerun_of(market, T=130)
    book, told = run.result, 0
    assert (book.trace["dividends"] != 0).any(), "a dividend was paid on what is held"
    for k in range(len(book.log)):
        for each in _positions_at(book, k).itertuples():
            said = held_at(run, k, run.column(each.symbol))
            assert said.average_cost == pytest.approx(each.average_cost, rel=1e-9)
            told += 1
    assert told > 50


def _positions_at(book, k):
    """The table as it would be, did the backtest end with bar k."""
    events, payments = (rows[rows["bar"] <= k] for rows in (book.events, book.payments))
    until = slice(k + 1)
    prices = book.split[until], book.price[until]
    return positions_of(book.timestamps[until], book.symbols, events, payments, *prices)
