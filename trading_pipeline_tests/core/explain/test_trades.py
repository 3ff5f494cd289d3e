"""A trade's reason is what an explanation of the day says of its order."""

import numpy as np
import pytest

from trading_pipeline.core.explain.explanation import explain
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
