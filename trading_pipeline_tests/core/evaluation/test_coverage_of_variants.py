"""Intervals of the result with one thing changed, or apart, hold the truth 90 to 97 times in 100.

Of costs, capital, delay, sides, and refits; on histories of which the truth is known, with fat
tails and neighbouring days that correlate.
"""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation import refits
from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.metrics import annual_return, formulas, max_drawdown, sharpe
from trading_pipeline.core.evaluation.performance import Resampling
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings
from trading_pipeline.core.evaluation.refits import Refitted, compare_refits
from trading_pipeline.core.evaluation.variants import by_side, capacity, cost_figures
from trading_pipeline_tests.core.evaluation.books import paths, variants_at
from trading_pipeline_tests.core.evaluation.histories import (
    A_YEAR,
    BLOCK,
    MARKET,
    fat_tails,
    neighbours_that_correlate,
)

DAYS, LEAD = 500, 100
MANY = 800  # histories that tell the truth
COSTS = 0.0001  # a day, of what is traded at once the costs
CLOSES = np.arange(1, DAYS + 1)


def drawn(seed, histories, market=neighbours_that_correlate):
    """(2, P, D) daily returns of a book and of its benchmark, which it follows half."""
    rng = np.random.default_rng(seed)
    shape = (histories, DAYS + LEAD)
    common, own = (0.007 * market(rng, shape)[:, LEAD:] for _ in range(2))
    return np.stack([0.0004 + 0.5 * common + own, 0.0003 + common])


def figures(returns):
    """The truth of daily returns, from many histories of them."""
    flat = returns.ravel()
    return {
        "sharpe": float(sharpe(flat, A_YEAR)),
        "annual_return": float(annual_return(flat, A_YEAR)),
    }


def resampling():
    dates = resampled_dates(DAYS, BLOCK, 200, seed=3)
    return Resampling(dates=dates, block=BLOCK, days_per_year=A_YEAR, seed=0)


def equity(returns):
    return 1000 * np.cumprod(np.append(1.0, 1 + returns))


def hits(found, truth):
    """The names of the intervals that hold what is true."""
    return [
        name for name, true in truth.items() if found[name]["low"] <= true <= found[name]["high"]
    ]


def check(held, histories):
    """90 to 97 %, and one binomial error of so many histories."""
    error = (0.95 * 0.05 / histories) ** 0.5
    shares = {name: count / histories for name, count in held.items()}
    least, most = 0.90 - error, 0.97 + error
    assert not {name: share for name, share in shares.items() if not least <= share <= most}


@pytest.mark.long
@pytest.mark.slow
def test_figures_of_costs_and_of_delay_cover_the_truth():
    """At none, once and twice the costs, and beside a benchmark that pays a tenth of them."""
    many, few, shared = drawn(0, MANY), drawn(1, 150), resampling()
    own, rival = (
        [part - k * cost for k in range(3)]
        for part, cost in zip(many, (COSTS, COSTS / 10), strict=True)
    )
    truth = [figures(each) for each in own]
    for each, other in zip(truth, rival, strict=True):
        each["sharpe_difference"] = each["sharpe"] - figures(other)["sharpe"]
    delay = 0.5 * many[0] + 0.5 * many[1]
    late = figures(delay) | {"sharpe_difference": figures(delay)["sharpe"] - truth[1]["sharpe"]}
    held = Counter()
    for book, market in zip(*few, strict=True):
        at = [equity(book - k * COSTS) for k in range(3)]
        against = [equity(market - k * COSTS / 10) for k in range(3)]
        slow = paths(equity(0.5 * book + 0.5 * market))
        found = cost_figures(variants_at(at, against, one_bar_late=slow), CLOSES, shared)
        for k, row in enumerate(found["multiples"]):
            held.update(f"{name} at {k}" for name in hits(row, truth[k]))
        held.update(f"{name} late" for name in hits(found["one_bar_late"], late))
    assert len(held) == 12
    check(held, 150)


@pytest.mark.slow
def test_figures_of_capital_cover_the_truth():
    """Fat tails; each tenfold of the capital costs as much again."""
    many, few = drawn(2, MANY, fat_tails)[0], drawn(3, 200, fat_tails)[0]
    truth, shared, held = [figures(many - k * COSTS) for k in range(3)], resampling(), Counter()
    for book in few:
        at = [10**k * equity(book - k * COSTS) for k in range(3)]
        found = capacity(variants_at([at[0]], [at[0]], at), CLOSES, shared)
        for k, row in enumerate(found["capitals"]):
            held.update(f"{name} at {k}" for name in hits(row, truth[k]))
    assert len(held) == 6
    check(held, 200)


@pytest.mark.long
@pytest.mark.slow
def test_figures_of_a_side_cover_the_truth():
    """A side is an account of its own; its drawdown is of what another history shows."""
    many, few, again = drawn(4, MANY), drawn(5, 100), drawn(6, 100)
    known, shared, held = formulas("returns"), resampling(), Counter()
    truth = [{name: float(f(part.ravel(), A_YEAR)) for name, f in known.items()} for part in many]
    for side, part in zip(truth, many, strict=True):
        side["calmar"] = float(np.median(known["calmar"](part, A_YEAR)))
    for place in range(100):
        earnings = Earnings(
            days=pd.bdate_range("2020-01-01", periods=DAYS, tz="UTC"),
            symbols=("A",),
            kinds=("price",),
            money=1000 * few[None, :, place, :, None],
            interest=np.zeros(DAYS),
            equity=np.full(DAYS, 1000.0),
            unexplained=np.zeros(DAYS),
        )
        found = by_side(earnings, shared)
        for k, (side, told) in enumerate(found.items()):
            seen = truth[k] | {"max_drawdown": float(max_drawdown(again[k, place]))}
            held.update(f"{name} of {side}" for name in hits(told, seen))
    assert len(held) == 2 * len(known)
    check(held, 100)


@pytest.mark.long
@pytest.mark.slow
def test_comparisons_of_refits_cover_the_truth(monkeypatch):
    """Each refit adds a little of its own to the same book, and to what it knows."""
    monkeypatch.setattr(refits, "REPLICATIONS", 200)
    names, gains = ("never", "yearly", "monthly"), (0.0, 0.0001, 0.0003)
    rng, held = np.random.default_rng(7), Counter()
    book, market = drawn(8, MANY)
    truth = {
        name: figures(book + gain + 0.3 * k * market)["sharpe"]
        for k, (name, gain) in enumerate(zip(names, gains, strict=True))
    }
    for own, other in zip(*drawn(9, 150), strict=True):
        skill = 0.1 * neighbours_that_correlate(rng, (4, DAYS))
        found = compare_refits(
            {
                name: Refitted(
                    fits=k + 1,
                    cpu_seconds=1.0,
                    returns=own + gain + 0.3 * k * other,
                    coefficients=10 * gain + skill[0] + 0.3 * skill[k + 1],
                )
                for k, (name, gain) in enumerate(zip(names, gains, strict=True))
            },
            MARKET,
        )["intervals"]
        for name, gain in zip(names, gains, strict=True):
            true = {"sharpe": truth[name], "rank_ic": 10 * gain}
            held.update(f"{each} of {name}" for each in hits(found[name], true))
            for rival, row in found[name]["over"].items():
                less = {"sharpe": truth[rival], "rank_ic": 10 * gains[names.index(rival)]}
                over = {each: true[each] - less[each] for each in true}
                held.update(f"{each} of {name} over {rival}" for each in hits(row, over))
    assert len(held) == 12
    check(held, 150)
