"""The alpha over all baselines: right, robust to near copies, and never made of rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.evaluation.spanning import spanning, unexplained_streams

DAYS = 1500


def rules(seed=0, count=5, days=DAYS):
    """Baselines that share a market, by name."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0.0004, 0.01, days)
    return {f"rule {k}": common + rng.normal(0, 0.004, days) for k in range(count)}


def noise(seed=1, deviation=0.005, mean=0.0, days=DAYS):
    return np.random.default_rng(seed).normal(mean, deviation, days)


@pytest.mark.slow
def test_alpha_and_its_error_are_those_of_statsmodels():
    """Newey and West's error with its small-sample correction, by an independent package."""
    from statsmodels.api import OLS, add_constant

    books, lags = rules(), 7
    own = 0.3 * books["rule 0"] + 0.5 * books["rule 3"] + noise(mean=0.0002)
    found = spanning(own, books)
    fit = OLS(own, add_constant(np.column_stack(list(books.values())))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    critical = 1.96 + 2.9694 * lags / DAYS + 0.4160 * (lags / DAYS) ** 2
    assert found.alpha.value == pytest.approx(fit.params[0], rel=1e-9)
    assert found.alpha.high - found.alpha.value == pytest.approx(critical * fit.bse[0], rel=1e-6)
    np.testing.assert_allclose(found.stream, fit.resid + fit.params[0], atol=1e-12)
    assert found.unexplained == pytest.approx((1 - fit.rsquared) ** 0.5, rel=1e-9)


def test_many_books_leave_what_each_of_them_leaves_on_the_days_that_it_saw():
    """To the last bit: they only share the regressors. A copy and a stranger are among them."""
    books = rules()
    table = np.column_stack([noise(), noise(2, mean=0.001), books["rule 2"], noise(3)])
    table[:200, 1], table[100:130, 3] = np.nan, np.nan
    found = unexplained_streams(table, books)
    for own, stream in zip(table.T, found.T, strict=True):
        seen = np.isfinite(own)
        alone = spanning(own[seen], {name: each[seen] for name, each in books.items()})
        assert stream[seen].tobytes() == alone.stream.tobytes()
        assert np.isnan(stream[~seen]).all()
    assert unexplained_streams(np.empty((DAYS, 0)), books).shape == (DAYS, 0)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_what_a_mix_of_the_baselines_earns_is_no_alpha(one, other):
    """However much of them is held, long or short."""
    books, own = rules(), noise(mean=0.0003)
    mixed = own + one * books["rule 1"] + other * books["rule 4"]
    assert spanning(mixed, books).alpha == pytest.approx(spanning(own, books).alpha, abs=1e-12)


def test_copies_of_a_baseline_change_nothing_and_are_left_out():
    """Bare and managed ones are the same in a calm market, but for rounding."""
    books, own = rules(), noise(mean=0.0003)
    twins = {f"{name} again": 0.9 * each * (1 + 1e-12) for name, each in books.items()}
    found = spanning(own, books | twins | {"cash": np.zeros(DAYS)})
    assert found.baselines == tuple(books)
    assert found.alpha == pytest.approx(spanning(own, books).alpha, abs=1e-12)


def test_near_copies_leave_the_alpha_as_sure_as_it_was():
    """Fifteen baselines that correlate 0.99 say little more than one of them."""
    books, own = rules(count=1), noise(mean=0.0003)
    near = books | {f"near {k}": books["rule 0"] + noise(9 + k, 0.001) for k in range(14)}
    one, many = spanning(own, books).alpha, spanning(own, near).alpha
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.05)


@pytest.mark.parametrize(
    "own",
    [rules()["rule 2"], 0.3 * rules()["rule 2"], np.zeros(DAYS), sum(rules().values())],
    ids=["one of them", "less of it", "nothing", "all of them"],
)
def test_a_book_that_is_its_baselines_has_no_bound_above_zero(own):
    found = spanning(own, rules())
    assert not found.alpha.low > 0
    assert found.unexplained < 1e-9


def test_a_baseline_that_earns_the_same_every_day_leaves_nothing_to_measure():
    found = spanning(noise(mean=0.001), {"deposit": np.full(DAYS, 1e-4)})
    assert np.isnan(found.alpha.value)


def test_so_few_days_as_baselines_explain_anything():
    few = rules(count=8, days=16)
    assert np.isnan(spanning(noise(days=16, mean=0.01), few).alpha.low)
    assert np.isfinite(spanning(noise(days=40, mean=0.01), rules(count=8, days=40)).alpha.low)


@pytest.mark.parametrize("days", [250, 1000])
@pytest.mark.slow
def test_its_interval_covers_the_alpha_90_to_97_percent_of_the_time(days):
    """A book of fat tails beside fourteen baselines, and 5 % a year that none of them earns."""
    rng, held, alpha = np.random.default_rng(3), 0, 0.05 / 252
    for seed in range(300):
        books = rules(seed, count=14, days=days)
        own = (
            alpha + 0.5 * books["rule 0"] + 0.3 * books["rule 5"] + 0.004 * rng.standard_t(5, days)
        )
        found = spanning(own, books).alpha
        held += found.low <= alpha <= found.high
    assert 0.90 <= held / 300 <= 0.97


def test_a_neutral_book_of_skill_is_found_and_one_without_is_not():
    """Six years, a true Sharpe ratio of 1.2, beside fifteen near copies of an unrelated market.

    `benchmarks/verdict_power.py` measures both rates, and those of the other verdict.
    """
    found = {0.0: 0, 1.2: 0}
    for seed in range(60):
        books = rules(seed, count=15)
        for ratio in found:
            own = noise(1000 + seed, 0.006, 0.006 * ratio / 252**0.5)
            found[ratio] += spanning(own, books).alpha.low > 0
    assert found[0.0] <= 4
    assert found[1.2] >= 0.65 * 60
