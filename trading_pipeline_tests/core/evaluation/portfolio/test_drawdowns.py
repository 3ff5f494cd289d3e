"""The deepest falls: dates, depths and lengths, worked by hand."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.metrics import max_drawdown
from trading_pipeline.core.evaluation.portfolio.drawdowns import deepest_falls, fall_from_peak

DAYS = pd.date_range("2020-01-01", periods=9, tz="UTC")
EQUITY = np.array([100, 90, 95, 100, 120, 60, 90, 119, 118.0])


def test_falls_worked_by_hand():
    deep, shallow = deepest_falls(EQUITY, DAYS)
    assert asdict(deep) == {
        "start": "2020-01-05",
        "trough": "2020-01-06",
        "recovery": None,
        "depth": -0.5,
        "days_to_trough": 1,
        "days": 4,
    }
    assert (shallow.start, shallow.trough, shallow.recovery) == (
        "2020-01-01",
        "2020-01-02",
        "2020-01-04",
    )
    assert (shallow.depth, shallow.days) == (pytest.approx(-0.1), 3)


def test_the_deepest_is_the_maximum_drawdown_and_only_so_many_are_kept():
    returns = np.random.default_rng(0).normal(0, 0.01, 999)
    equity = np.append(1.0, np.cumprod(1 + returns))
    found = deepest_falls(equity, pd.date_range("2020-01-01", periods=1000, tz="UTC"))
    assert len(found) == 5
    assert found[0].depth == pytest.approx(float(max_drawdown(returns)))
    assert [fall.depth for fall in found] == sorted(fall.depth for fall in found)


def test_an_account_that_never_fell_has_none():
    assert deepest_falls(np.arange(1.0, 10.0), DAYS) == []
    assert deepest_falls(np.ones(9), DAYS) == []


def test_a_ruined_account_never_recovers():
    equity = EQUITY.copy()
    equity[6] = -5.0
    assert fall_from_peak(equity)[6:].tolist() == [-1, -1, -1]
    assert deepest_falls(equity, DAYS)[0].recovery is None
    assert deepest_falls(equity, DAYS)[0].depth == -1
