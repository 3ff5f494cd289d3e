"""Sums and returns of calendar months, and of their years."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.portfolio.months import (
    by_month,
    monthly_returns,
    yearly_returns,
)


def test_months_compound_to_the_whole_and_start_at_the_first_bar():
    at = pd.DatetimeIndex(["2011-12-15", "2011-12-30", "2012-01-31", "2012-03-30"], tz="UTC")
    table = monthly_returns(at, np.array([100.0, 110.0, 99.0, 148.5]))
    assert table.loc[2011, 12] == pytest.approx(0.10)
    assert table.loc[2012, 1] == pytest.approx(-0.10)
    assert table.loc[2012, 3] == pytest.approx(0.50)  # no bar in February: March carries it
    assert np.isnan(table.loc[2012, 2])
    assert np.prod(1 + table.stack()) == pytest.approx(1.485)
    assert list(table.columns) == list(range(1, 13))


def test_a_ruined_account_has_no_months_after():
    at = pd.DatetimeIndex(["2012-01-31", "2012-02-28", "2012-03-30"], tz="UTC")
    table = monthly_returns(at, np.array([100.0, -5.0, -5.0]))
    assert table.loc[2012, [1, 2, 3]].tolist() == [0.0, -1.0, 0.0]


def test_years_compound_their_months_and_pass_over_those_that_are_missing():
    at = pd.DatetimeIndex(["2011-12-15", "2011-12-30", "2012-01-31", "2012-03-30"], tz="UTC")
    years = yearly_returns(monthly_returns(at, np.array([100.0, 110.0, 99.0, 148.5])))
    assert years.to_dict() == pytest.approx({2011: 0.10, 2012: 0.35})


def test_sums_by_month_start_with_the_first_day_there_is():
    days = pd.DatetimeIndex(["2019-12-30", "2019-12-31", "2020-02-03"], tz="UTC")
    months, sums = by_month(np.array([1.0, 2.0, 4.0]), days)
    assert months == ["2019-12-01", "2020-02-01"]
    assert sums.tolist() == [3.0, 4.0]
