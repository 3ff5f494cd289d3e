"""Attribution tables: they add up, and their intervals are those of the report's dates."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.portfolio.attribution import (
    attribution,
    is_cost,
    money_table,
    win_rates,
    yearly_shares,
)
from trading_pipeline_tests.core.evaluation.portfolio.random_backtests import earned, resampling


def closed(earnings, count=60):
    """Trades of AAA and BBB, long, every third a loss; all on whole days."""
    rng = np.random.default_rng(1)
    pnl = np.where(np.arange(count) % 3, 10.0, -10.0)
    at = earnings.days[np.sort(rng.integers(0, len(earnings.days), count))]
    names = np.where(np.arange(count) < 50, "AAA", "BBB")
    return pd.DataFrame({"symbol": names, "side": "long", "closed_at": at, "pnl": pnl})


def test_sides_symbols_and_kinds_add_up_to_the_total():
    given = earned()
    found = attribution(given, closed(given), resampling(300))
    for rows in (found["sides"], found["symbols"]):
        assert sum(row["pnl"] for row in rows) + found["interest"] == pytest.approx(found["total"])
        assert all(
            row["pnl"] == pytest.approx(row["price"] + row["slippage"] + row["fees"])
            for row in rows
        )
        assert sum(row["trades"] for row in rows) == 60
    costs = money_table(given, resampling(300))
    assert [row["kind"] for row in costs] == ["price", "slippage", "fees", "interest", "total"]
    assert sum(row["money"] for row in costs[:-1]) == pytest.approx(costs[-1]["money"])
    assert costs[-1]["money"] == pytest.approx(found["total"])
    assert sum(row["a_year"]["value"] for row in costs[:-1]) == pytest.approx(
        costs[-1]["a_year"]["value"]
    )


def test_money_that_has_no_source_has_a_row_of_its_own():
    given = earned(unexplained=np.full(300, 2.0))
    costs = money_table(given, resampling(300))
    assert [row["kind"] for row in costs[-2:]] == ["unexplained", "total"]
    assert costs[-2]["money"] == pytest.approx(600.0)
    assert sum(row["money"] for row in costs[:-1]) == pytest.approx(given.total)


def test_only_what_took_part_is_listed_and_the_largest_comes_first():
    given = earned()
    rows = attribution(given, closed(given), resampling(300))["symbols"]
    assert {(row["symbol"], row["side"]) for row in rows} == {
        ("AAA", "long"),
        ("AAA", "short"),
        ("BBB", "long"),
    }
    sizes = [abs(row["pnl"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)


def test_a_year_is_money_over_mean_equity_with_an_interval():
    given = earned()
    pnl = given.money.sum(axis=(0, 1))
    (first, *_) = yearly_shares(pnl, given.equity, resampling(300, 1000))
    assert first.value == pytest.approx(pnl[:, 0].mean() * 252 / 50_000)
    error = pnl[:, 0].std() * 252 / 50_000 / np.sqrt(300)
    assert (first.high - first.low) / 2 == pytest.approx(1.96 * error, rel=0.25)
    assert first.low < first.value < first.high


def test_the_interval_of_a_year_covers_the_truth():
    """On independent days with a mean of 2: 95 % of the intervals hold it, up to chance."""
    rng, draws, held = np.random.default_rng(4), resampling(250, 400), 0
    equity = np.full(250, 1000.0)
    for estimate in yearly_shares(2 + rng.normal(0, 20, (250, 300)), equity, draws):
        held += estimate.low <= 2 * 252 / 1000 <= estimate.high
    assert 0.90 <= held / 300 <= 0.99


def test_win_rates_know_of_days_and_small_numbers():
    closed_by_day = np.zeros((100, 3))
    closed_by_day[:30, 0], closed_by_day[:5, 1] = 1, 1
    won = closed_by_day * 0.0
    won[:12, 0], won[:5, 1] = 1, 1
    many, few, none = win_rates(closed_by_day, won, resampling(100))
    assert many.value == pytest.approx(0.4)
    assert 0 <= many.low < 0.4 < many.high <= 1
    assert (few.value, np.isnan(few.low)) == (1.0, True)
    assert np.isnan(none.value)


def test_a_book_without_a_trade_has_empty_tables():
    still = earned(money=np.zeros((3, 2, 300, 3)), interest=np.zeros(300))
    found = attribution(still, closed(still).iloc[:0], resampling(300))
    assert found["symbols"] == []
    assert [row["share"] for row in found["sides"]] == [None, None]
    assert [row["win_rate"]["value"] for row in found["sides"]] == [None, None]


def test_a_ruined_account_is_counted_until_its_ruin():
    given = earned(equity=np.where(np.arange(300) < 100, 50_000.0, 0.0))
    (first, *_) = yearly_shares(given.money.sum(axis=(0, 1)), given.equity, resampling(300))
    assert np.isfinite(first.value)
    nothing = earned(equity=np.zeros(300))
    assert np.isnan(
        yearly_shares(nothing.money.sum(axis=(0, 1)), nothing.equity, resampling(300))[0].value
    )


def test_what_is_paid_for_trading_is_a_cost_and_a_dividend_is_not():
    kinds = ("price", "slippage", "fees", "dividend", "borrow", "funding", "interest", "total")
    assert [kind for kind in kinds if is_cost(kind)] == [
        "slippage",
        "fees",
        "borrow",
        "funding",
        "interest",
    ]
