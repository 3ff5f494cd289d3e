"""One history in parts: by year, in crises, by start date."""

import json

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.crises import COINS, SHARES, Crisis, crises_within
from trading_pipeline.core.evaluation.performance import Resampling
from trading_pipeline.core.evaluation.periods import Books, periods, total_return

# Two days of 2009 and two of 2010: -1 % and +14 %; the benchmark made +1 % and +30 %.
FOUR = Books(
    days=pd.DatetimeIndex(["2009-12-30", "2009-12-31", "2010-01-04", "2010-01-05"], tz="UTC"),
    strategy=np.array([0.10, -0.10, 0.20, -0.05]),
    benchmark=np.array([0.00, 0.01, 0.30, 0.00]),
)


def resampling(days, days_per_year=252, block=5, replications=200):
    dates = resampled_dates(days, block, replications, seed=0)
    return Resampling(dates=dates, block=block, days_per_year=days_per_year, seed=0)


def walk(n_days, **changes):
    """Two random walks over business days from 2019 on."""
    own, other = 0.0005 + 0.01 * np.random.default_rng(0).normal(size=(2, n_days))
    stamps = pd.bdate_range("2019-01-01", periods=n_days, tz="UTC")
    return Books(**{"days": stamps, "strategy": own, "benchmark": other} | changes)


def test_years_match_the_hand_worked_example():
    """Returns of the days in the year, compounded and not annualised."""
    first, second = periods(FOUR, [], resampling(4))["years"]
    assert (first["name"], first["start"], first["end"]) == ("2009", "2009-12-30", "2009-12-31")
    assert first["days"] == second["days"] == 2
    assert first["strategy"]["total_return"]["value"] == pytest.approx(1.1 * 0.9 - 1)
    assert second["strategy"]["total_return"]["value"] == pytest.approx(1.2 * 0.95 - 1)
    assert second["benchmark"]["total_return"]["value"] == pytest.approx(0.30)
    assert second["difference"]["total_return"]["value"] == pytest.approx(0.14 - 0.30)
    assert first["strategy"]["max_drawdown"]["value"] == pytest.approx(-0.10)
    # mean 0, then mean 0.075 over a deviation of 0.25 / sqrt(2)
    assert first["strategy"]["sharpe"]["value"] == pytest.approx(0)
    expected = 0.075 / (0.25 / 2**0.5) * 252**0.5
    assert second["strategy"]["sharpe"]["value"] == pytest.approx(expected)
    assert second["difference"]["sharpe"]["low"] is None  # of two days


def test_start_dates_match_the_hand_worked_example():
    """With two days a year: who began in December lost 1 %, who began in January made 14 %."""
    found = periods(FOUR, [], resampling(4, days_per_year=2))["start_dates"]
    assert found["year"] == 2
    december, january = found["starts"]
    assert (december["start"], december["days"]) == ("2009-12-30", 4)
    assert (january["start"], january["days"]) == ("2010-01-04", 2)
    assert december["strategy"]["first_year"] == pytest.approx(-0.01)
    assert january["strategy"]["first_year"] == pytest.approx(0.14)
    assert december["strategy"]["annual_return"] == pytest.approx(1.1286**0.5 - 1)
    assert january["benchmark"]["annual_return"] == pytest.approx(0.30)
    assert found["at_a_loss"]["value"] == 0.5
    assert found["behind"]["value"] == 1.0
    spread = found["spread"]["strategy"]["first_year"]
    assert spread["value"] == pytest.approx((-0.01 + 0.14) / 2)


def test_a_year_of_a_market_that_never_closes_has_365_days():
    """Who began a year before the end of 400 days is among the starts, later ones are not."""
    days = pd.date_range("2021-01-01", periods=400, tz="UTC")
    found = periods(walk(400, days=days), [], resampling(400, 365))["start_dates"]
    assert found["year"] == 365
    assert [row["start"] for row in found["starts"]] == ["2021-01-01", "2021-02-01"]
    assert periods(walk(364), [], resampling(364, 365))["start_dates"] is None


def test_differences_are_paired_and_have_an_interval_from_twenty_days_on():
    """A book that is the benchmark and a little more every day is told from it in any year."""
    books = walk(500)
    better = books._replace(strategy=books.benchmark + 0.0005)
    for row in periods(better, [], resampling(500))["years"]:
        low, value, high = (row["difference"]["total_return"][k] for k in ("low", "value", "high"))
        assert 0 < low < value < high
        assert row["strategy"]["max_drawdown"]["low"] is None
    short = periods(walk(270), [], resampling(270))["years"][1]
    assert (short["name"], short["days"]) == ("2020", 9)
    assert short["difference"]["sharpe"]["low"] is None
    assert short["difference"]["sharpe"]["value"] is not None


def test_no_interval_of_a_return_reaches_below_a_loss_of_all():
    """Of a book that lost seven eighths in a year of wild days."""
    wild = np.random.default_rng(3).normal(-0.004, 0.1, 250)
    drawn = resampling(250, block=60)
    row = periods(walk(250, strategy=wild), [], drawn)["years"][0]["strategy"]["total_return"]
    assert -1 == row["low"] < row["value"] < -0.87


def test_a_crisis_is_from_the_peak_to_the_trough():
    """The day of the peak itself was still a good one, and no part of the fall."""
    books = walk(60)
    fall = Crisis("Fall", "2019-01-03", "2019-01-08")  # Thursday to Tuesday
    (row,) = periods(books, [fall], resampling(60))["crises"]
    assert (row["name"], row["start"], row["end"], row["days"]) == (
        *("Fall", "2019-01-04", "2019-01-08"), 3,
    )  # fmt: skip
    made = np.prod(1 + books.strategy[3:6]) - 1
    assert row["strategy"]["total_return"]["value"] == pytest.approx(made)


def test_crises_are_those_of_the_market_that_lie_wholly_within():
    start, end = (pd.Timestamp(each, tz="UTC") for each in ("2011-07-23", "2018-12-24"))
    found = [each.name for each in crises_within("XNYS", start, end)]
    assert found[0] == "China devalues"
    assert found[-1] == "Fourth quarter of 2018"
    assert [each.name for each in crises_within("24/7", start, end)] == ["Crypto winter"]
    assert not crises_within("XNYS", start, start)


@pytest.mark.parametrize("table", [SHARES, COINS])
def test_crises_are_in_order_and_end_after_they_began(table):
    assert list(table) == sorted(table, key=lambda crisis: crisis.peak)
    assert all(crisis.peak < crisis.trough for crisis in table)


def test_dates_are_those_of_the_highest_and_the_lowest_close_of_the_index():
    """Of the S&P 500, as a package ships it until 2018: within five days before and ten after."""
    import arch.data.sp500

    close = arch.data.sp500.load()["Adj Close"]
    known = [crisis for crisis in SHARES if crisis.trough < "2018-12-31"]
    assert len(known) == 9
    for crisis in known:
        before, after = (
            pd.Timestamp(crisis.peak) - pd.Timedelta(days=5),
            pd.Timestamp(crisis.trough) + pd.Timedelta(days=10),
        )
        near = close[before:after]
        assert near[: crisis.trough].idxmax() == pd.Timestamp(crisis.peak), crisis
        assert near.idxmin() == pd.Timestamp(crisis.trough), crisis


@pytest.mark.parametrize(
    "returns",
    [np.zeros(600), np.r_[np.full(300, 0.01), -1.0, np.zeros(299)], np.full(600, 0.001)],
    ids=["never moves", "ruin", "always the same"],
)
def test_what_is_undefined_is_null(returns):
    """A ruined account stays at -100 % and a still one has no Sharpe ratio; JSON holds both."""
    books = walk(600, strategy=returns)
    crisis = Crisis("Fall", "2019-01-03", "2019-03-08")
    for found in (periods(books, [crisis], resampling(600)),
                  periods(books._replace(strategy=books.benchmark, benchmark=returns), [crisis],
                          resampling(600))):  # fmt: skip
        json.dumps(found, allow_nan=False)
    assert total_return(np.array([0.1, -1.0, 0.0])) == -1
    one_day = walk(1)
    found = periods(one_day, [], resampling(1, block=1))
    assert found["years"][0]["strategy"]["sharpe"]["value"] is None
    assert found["start_dates"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("days", [20, 63, 252])
@pytest.mark.sampled(3)
def test_differences_of_parts_cover_the_truth_90_to_97_percent_of_the_time(days):
    """Two books alike that share a market, so that neither is better."""
    rng, held = np.random.default_rng(5), {"total_return": 0, "sharpe": 0}
    drawn = resampling(days, block=22 if days > 88 else days // 4)
    stamps = pd.date_range("2020-01-01", periods=days, tz="UTC")
    for _ in range(400):
        common, *own = 0.01 * rng.standard_t(5, (3, days))
        books = Books(stamps, 0.7 * common + own[0], 0.7 * common + own[1])
        found = periods(books, [], drawn)["years"][0]["difference"]
        for name, numbers in found.items():
            held[name] += numbers["low"] <= 0 <= numbers["high"]
    assert all(0.90 <= count / 400 <= 0.975 for count in held.values()), held


@pytest.mark.long
@pytest.mark.slow
def test_shares_of_starts_hold_those_of_another_history_most_of_the_time():
    rng, held = np.random.default_rng(5), {"at_a_loss": 0, "behind": 0}
    stamps = pd.bdate_range("2010-01-01", periods=1000, tz="UTC")
    drawn = resampling(1000, block=22)
    for _ in range(100):
        own, other, *again = 0.0004 + 0.0075 * rng.standard_t(5, (4, 1000))
        shares = periods(Books(stamps, own, other), [], drawn)["start_dates"]
        truth = periods(Books(stamps, *again), [], resampling(1000, replications=1))["start_dates"]
        for name in held:
            held[name] += shares[name]["low"] <= truth[name]["value"] <= shares[name]["high"]
    assert all(0.88 <= count / 100 <= 1.0 for count in held.values()), held
