"""Bars gathered into days."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.performance import (
    AccountView,
    DailyAccount,
    Resampling,
    by_day,
    daily_returns,
    day_closes,
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
