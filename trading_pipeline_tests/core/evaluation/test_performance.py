"""Bars gathered into days."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.metrics import tally
from trading_pipeline.core.evaluation.performance import (
    AccountView,
    DailyAccount,
    Resampling,
    by_day,
    closed_by_day,
    daily_returns,
    day_closes,
    estimates,
    other_histories,
    sampled_metrics,
    share_beaten,
)


def test_daily_bars_have_one_return_less_than_bars():
    timestamps = pd.date_range("2012-01-02", periods=4, tz="UTC")
    assert day_closes(timestamps).tolist() == [1, 2, 3]
    returns = daily_returns(np.array([100.0, 110.0, 99.0, 99.0]), day_closes(timestamps))
    assert returns == pytest.approx([0.10, -0.10, 0.0])


def test_hours_are_gathered_into_their_days_and_the_first_bar_is_the_start():
    timestamps = pd.date_range("2021-04-01 22:00", periods=6, freq="12h", tz="UTC")
    # 04-01 22h | 04-02 10h, 22h | 04-03 10h, 22h | 04-04 10h
    book = DailyAccount.of(
        timestamps,
        AccountView(
            equity=np.array([100.0, 50.0, 120.0, 60.0, 60.0, 90.0]),
            turnover=np.array([9.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
            exposure=np.array([9.0, 1.0, 0.0, 0.5, 0.7, 0.2]),
            trades=None,
        ),
    )
    assert book.returns == pytest.approx([0.2, -0.5, 0.5])
    assert book.turnover == pytest.approx([0.3, 0.7, 0.5])
    assert book.exposure == pytest.approx([0.5, 0.6, 0.2])


def test_a_first_day_of_several_bars_is_a_day():
    timestamps = pd.date_range("2021-04-01", periods=4, freq="8h", tz="UTC")
    returns = daily_returns(np.array([100.0, 105.0, 110.0, 121.0]), day_closes(timestamps))
    assert returns == pytest.approx([0.10, 0.10])


def test_a_ruined_account_stays_ruined():
    timestamps = pd.date_range("2012-01-02", periods=5, tz="UTC")
    book = DailyAccount.of(
        timestamps,
        AccountView(
            equity=np.array([100.0, 50.0, -5.0, 20.0, 20.0]),
            turnover=np.array([0.0, 1.0, 1.0, np.inf, np.nan]),
            exposure=np.array([0.0, 1.0, -20.0, np.inf, np.nan]),
            trades=None,
        ),
    )
    assert book.returns == pytest.approx([-0.5, -1.0, 0.0, 0.0])
    assert book.turnover == pytest.approx([1.0, 0.0, 0.0, 0.0])
    assert book.exposure == pytest.approx([1.0, 0.0, 0.0, 0.0])


def test_many_histories_at_once():
    equity = np.array([[100.0, 110.0, 121.0], [100.0, 50.0, 0.0]])
    closes = day_closes(pd.date_range("2012-01-02", periods=3, tz="UTC"))
    np.testing.assert_allclose(daily_returns(equity, closes), [[0.1, 0.1], [-0.5, -1.0]])


def test_share_beaten_counts_ties_half_and_undefined_as_nothing():
    assert share_beaten(0.5, np.array([0.1, 0.5, 0.9, np.nan])) == pytest.approx(2.5 / 4)
    assert share_beaten(float("nan"), np.array([-1.0, 0.0, 1.0])) == pytest.approx(0.5)
    assert share_beaten(0.5, np.array([])) is None


def test_totals_are_sums_over_the_days_of_each_replication():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3))
    resampling = Resampling(dates=resampled_dates(50, 5, 20, 0), block=5, days_per_year=252, seed=0)
    expected = [values[row].sum(axis=0) for row in resampling.dates]
    np.testing.assert_allclose(resampling.totals(values), expected, atol=1e-12)


def test_sums_by_day_leave_the_first_bar_out():
    at = pd.DatetimeIndex(
        ["2020-01-01", "2020-01-01 12:00", "2020-01-02", "2020-01-02 12:00"], tz="UTC"
    )
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert by_day(values, day_closes(at)).tolist() == [2.0, 12.0]
    grid = np.stack([values, -values], axis=1)[None]
    assert by_day(grid, day_closes(at)).tolist() == [[[2.0, -2.0], [12.0, -12.0]]]


def test_trades_are_gathered_into_the_day_on_which_they_closed():
    """One that closed at the very first bar belongs to the first day."""
    at = pd.date_range("2021-04-01", periods=6, freq="12h", tz="UTC")
    trades = pd.DataFrame({"closed_at": at[[0, 2, 3, 5]], "pnl": [4.0, -1.0, 0.0, 2.0]})
    sums = closed_by_day(trades, at[[1, 3, 5]])
    assert sums.tolist() == [[1, 1, 4, 0], [2, 0, 0, 1], [1, 1, 2, 0]]
    assert closed_by_day(trades.iloc[:0], at[[1, 3, 5]]).tolist() == [[0] * 4] * 3


def account(returns, trades=None):
    return DailyAccount(
        returns=returns, turnover=np.zeros(len(returns)), exposure=np.zeros(len(returns)),
        trades=trades,
    )  # fmt: skip


def test_a_few_trades_have_a_win_rate_but_no_interval():
    """From twenty on there is one, and it knows of trades that closed together."""
    rng = np.random.default_rng(2)
    resampling = Resampling(
        dates=resampled_dates(400, 5, 300, 0), block=5, days_per_year=252, seed=0
    )

    def win_rate(sums):
        own = account(0.01 * rng.normal(size=400), sums)
        benchmark = own.returns[::-1]
        return estimates(own, sampled_metrics(own, resampling, benchmark), resampling)["win_rate"]

    few = np.zeros((400, 4))
    few[[3, 90, 200]] = tally(np.array([1.0, -1.0, 2.0]))
    found = win_rate(few)
    assert found.value == pytest.approx(2 / 3)
    assert np.isnan(found.low)
    one_a_day = win_rate(tally(rng.normal(size=400)))
    assert one_a_day.high - one_a_day.low == pytest.approx(2 * 1.96 * (0.25 / 400) ** 0.5, rel=0.25)
    together = np.zeros((400, 4))
    together[::20] = 20 * tally(rng.normal(size=20))
    together = win_rate(together)
    assert together.high - together.low > 3 * (one_a_day.high - one_a_day.low)


def test_another_history_has_an_error_of_the_mean_that_its_sample_has_not():
    """Its mean is twice as unsure, in variance; nothing falls below the loss of everything."""
    returns = np.random.default_rng(0).normal(0, 0.01, 500)
    again = returns[resampled_dates(500, 1, 2000, 0)]
    other = other_histories(returns, again, 1.0)
    assert other.mean(axis=1).var() / again.mean(axis=1).var() == pytest.approx(2, rel=0.1)
    np.testing.assert_allclose(other - other.mean(axis=1)[:, None],
                               again - again.mean(axis=1)[:, None], atol=1e-12)  # fmt: skip
    ruined = np.append(returns, -1.0)
    drawn = ruined[resampled_dates(501, 1, 50, 0)]
    assert other_histories(ruined, drawn, 1.0).min() == -1.0
