"""An order of a paper session is explained as the backtest's of the same decision."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.explain.explanation import explain
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.backtest.paper_sessions import (
    CAPITAL,
    FIRST,
    LAST,
    MARKET,
    N,
    market_of,
    predicted,
    session,
)

ROWS = LAST - FIRST + 1


@pytest.fixture(scope="module")
def market():
    """Nothing was predicted before the session: the backtest begins with it."""
    return market_of(3, before=0)


@pytest.fixture(scope="module")
def features(market):
    shape = (*market[0].close.shape, len(NAMES))
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def on_paper(market, broker=None, **how):
    return Rerun.of_paper(session(*market, broker, **how), predicted(*market), MARKET)


@pytest.mark.long
@pytest.mark.slow
def test_it_equals_the_backtests_explanation_of_the_same_decision(market, features):
    """All of it, figure by figure: only the order's id names the session."""
    panel, scores = market
    backtest = Rerun.of(panel, predicted(panel, scores), panel.traded, MARKET, CAPITAL)
    paper, orders = on_paper(market), 0
    for k in range(0, ROWS - 1, 3):
        for n in range(N):
            ours, theirs = (explain(run, k, n, features, 1, 1) for run in (paper, backtest))
            orders += ours.order is not None
            spelt = repr(ours).replace("session='s'", "session=''")
            assert spelt.replace("'s/", "'backtest/") == repr(theirs)
    assert orders > 30


@pytest.mark.slow
def test_the_newest_order_waits_and_is_explained(market, features):
    """What a person asks about first; a backtest does not decide there."""
    run = on_paper(market)
    k = run.bar(market[0].timestamps[LAST], day=False)
    whys = [explain(run, k, n, features, 1, 1) for n in range(N)]
    ordered = [why for why in whys if why.order]
    assert ordered
    assert all("It waits for the next open." in why.answer for why in ordered)
    assert all(why.after is None and not why.became for why in ordered)


@pytest.mark.slow
def test_what_a_broker_executed_is_what_became_of_it(market, features):
    """In three parts, dearer than the open: the explanation has them as one fill."""

    def in_parts(k, trades):
        worse = [each._replace(price=each.price * 1.001, quantity=each.quantity / 3)
                 for each in trades]  # fmt: skip
        return [each for each in worse for _ in range(3)]

    paper = session(*market, in_parts)
    run = Rerun.of_paper(paper, predicted(*market), MARKET)
    first = paper.fills.iloc[0]
    at = pd.Timestamp(first["filled_at"]) - pd.Timedelta(days=1)
    why = explain(run, run.bar(at, day=True), run.column(first["symbol"]), features, 1, 1)
    (fill,) = why.became
    assert why.order.client_order_id == first["client_order_id"]
    assert fill.quantity == pytest.approx(3 * first["quantity"])
    assert fill.price == pytest.approx(first["price"])
    assert fill.fee == pytest.approx(3 * first["fee"])
    assert run.result.equity[-1] == paper.equity[-1]


@pytest.mark.slow
def test_a_bar_without_a_decision_is_refused_with_the_reason(market):
    stamps = market[0].timestamps
    run = on_paper(market, missed=(12,))
    for at, complaint in (
        (stamps[FIRST + 12], "the session missed that bar"),
        (stamps[FIRST - 1], "the session s had not begun. The first decision is"),
    ):
        with pytest.raises(TradingError, match=complaint):
            run.bar(at, day=True)
    with pytest.raises(TradingError, match="has decided nothing yet"):
        on_paper(market, missed=tuple(range(ROWS)))
