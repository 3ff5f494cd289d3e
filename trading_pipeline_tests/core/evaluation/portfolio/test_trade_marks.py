"""What a fill did to a position, and at which price of today's shares."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.portfolio.trade_marks import in_last_units, trade_marks
from trading_pipeline_tests.core.evaluation.portfolio.random_backtests import DEAR, TERMS, of_scores
from trading_pipeline_tests.core.trading.markets import panel_of, simulated

DAYS = pd.date_range("2024-01-01", periods=8, tz="UTC")


def marks(rows, split=None):
    """Of fills (bar, quantity, price) or (bar, quantity, price, kind)."""
    filled = [(DAYS[row[0]], *row[1:3], row[3] if len(row) > 3 else "order") for row in rows]
    table = pd.DataFrame(filled, columns=["filled_at", "quantity", "price", "kind"])
    return trade_marks(table, DAYS, np.ones(8) if split is None else np.array(split))


def test_roles_worked_by_hand():
    found = marks(
        [
            (0, 5.0, 10.0),
            (1, 2.0, 10.0),
            (2, -1.0, 10.0),
            (3, -6.0, 10.0),
            (4, -3.0, 10.0),
            (5, 8.0, 10.0),
            (6, -5.0, 9.0, "trailing_stop"),
        ]
    )
    assert found["role"].tolist() == [
        *("opened long", "resized", "resized", "closed", "opened short"),
        *("opened long", "trailing_stop"),
    ]
    assert found["value"].tolist() == [50.0, 20.0, 10.0, 60.0, 30.0, 80.0, 45.0]


def test_rounding_does_not_keep_a_position_open():
    found = marks([(0, 0.1, 10.0), (1, 0.2, 10.0), (2, -0.3, 10.0), (3, 0.1, 10.0)])
    assert found["role"].tolist() == ["opened long", "resized", "closed", "opened long"]


def test_prices_before_a_split_are_those_of_later_shares():
    split = [1, 1, 1, 2, 1, 1, 0.5, 1]
    assert in_last_units(np.array(split)).tolist() == [1, 1, 1, 2, 2, 2, 1, 1]
    found = marks([(0, 5.0, 100.0), (4, -10.0, 60.0)], split)
    assert found["role"].tolist() == ["opened long", "closed"]
    assert found["price"].tolist() == [100.0, 120.0]


def test_a_held_split_leaves_one_curve_of_closes_and_marks():
    """Bought before and sold after a split of 2: marks lie on the closes in last units."""
    panel = panel_of(
        [10.0, 10.0, 5.0, 5.0, 5.0], open_=[10.0, 10.0, 5.0, 5.0, 5.0], split={(2, 0): 2.0}
    )
    weights = np.array([0.5, np.nan, 0.0, np.nan, np.nan])[:, None]
    book = simulated(panel, start=0, stop=5, weights=weights, costs=DEAR, **TERMS)
    found = trade_marks(book.fills("s"), book.timestamps, book.split[:, 0])
    assert found["role"].tolist() == ["opened long", "closed"]
    assert found["price"].to_numpy() == pytest.approx([5.0, 5.0], rel=0.004)


@pytest.mark.parametrize("seed", range(5))
def test_a_guarded_book_opens_and_closes_in_turn(seed):
    book = of_scores(seed)
    for n, symbol in enumerate(book.symbols):
        fills = book.fills("s")
        found = trade_marks(fills[fills["symbol"] == symbol], book.timestamps, book.split[:, n])
        closed = ~found["role"].isin(["opened long", "opened short", "resized"])
        trades = book.trades()
        assert set(found["role"][closed]) <= {"closed", "stop_loss", "take_profit"}
        turned = (found["role"].shift().isin(["opened long", "opened short", "resized"])) & (
            found["role"].isin(["opened long", "opened short"])
        )
        assert closed.sum() + turned.sum() == (trades["symbol"] == symbol).sum()
