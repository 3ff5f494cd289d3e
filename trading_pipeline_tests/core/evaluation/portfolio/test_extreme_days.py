"""The worst and best days name who made them and which rule acted."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.portfolio.extreme_days import extreme_days
from trading_pipeline.core.evaluation.portfolio.risk_events import in_order, risk_events
from trading_pipeline_tests.core.evaluation.portfolio.random_backtests import earned


def events(at, rules):
    return pd.DataFrame({"at": at, "rule": rules, "symbols": 1})


def test_days_are_ordered_and_name_their_symbols():
    given = earned(n_days=30)
    money = np.zeros_like(given.money)
    money[0, 0, 7] = [-500.0, 100.0, -1500.0]
    money[0, 0, 9] = [50.0, 20.0, -10.0]
    given = earned(n_days=30, money=money)
    returns = np.zeros(30)
    returns[7], returns[8], returns[9] = -0.04, -0.01, 0.001
    acted = events(given.days[[7, 7]] - pd.Timedelta(hours=3), ["weekly_loss", "stop_loss"])
    found = extreme_days(returns, np.full(30, 0.002), given, acted)
    assert [row["date"] for row in found["worst"]] == [
        f"{given.days[7]:%Y-%m-%d}",
        f"{given.days[8]:%Y-%m-%d}",
    ]
    worst, other = found["worst"]
    assert worst["return"] == -0.04
    assert worst["benchmark"] == 0.002
    assert [each["symbol"] for each in worst["contributors"]] == ["CCC", "AAA"]
    assert worst["contributors"][0]["contribution"] == pytest.approx(-0.03)
    assert worst["rules"] == ["stop_loss", "weekly_loss"]
    assert (other["contributors"], other["rules"]) == ([], [])
    (best,) = found["best"]
    assert [each["symbol"] for each in best["contributors"]] == ["AAA", "BBB"]


def test_there_are_ten_of_each_at_most_and_none_of_a_book_that_never_moved():
    given = earned(n_days=100)
    returns = np.random.default_rng(0).normal(size=100) / 100
    found = extreme_days(returns, returns, given, events(given.days[:0], []))
    assert [len(found[name]) for name in ("worst", "best")] == [10, 10]
    assert found["worst"][0]["return"] == returns.min()
    assert found["best"][0]["return"] == returns.max()
    still = extreme_days(np.zeros(100), returns, given, events(given.days[:0], []))
    assert still == {"worst": [], "best": []}


def test_rules_that_nobody_knows_yet_are_events_and_bookkeeping_is_not():
    at = pd.DatetimeIndex(["2020-01-02"] * 3, tz="UTC")
    orders = pd.DataFrame(
        {
            "decided_at": at,
            "symbol": ["A", "B", "C"],
            "reasons": ["symbol_cap|new_rule", "group_cap|lot", "turbulence"],
        }
    )
    nothing = pd.DataFrame({"decided_at": [], "symbol": []})
    found = risk_events(orders, nothing, nothing)
    assert found["rule"].tolist() == ["new_rule", "turbulence"]
    assert in_order({"zeta", "alpha", "stop_loss", "daily_loss"}) == [
        "daily_loss",
        "stop_loss",
        "alpha",
        "zeta",
    ]
