"""What a model has to have in common with its predecessor: worked by hand, and by property."""

from dataclasses import replace
from math import isnan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.evaluation.acceptance import Band, Comparison, Said, compare

BAND = Band()
FINE = Comparison(dates=63, agreement=0.9, spread=1.0, common=100, difference=-0.01, reach=0.01)
CLOCK = pd.bdate_range("2020-01-01", periods=80, tz="UTC")


def scores(seed: int, dates: int = 63) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(dates, 9))


def record(values, first: int = 0) -> pd.Series:
    return pd.Series(values, index=CLOCK[first : first + len(values)], dtype=float)


def noise(seed: int, size: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, size)


def compared(score, earlier, record, earlier_record, horizon):
    """Of models whose validation shrank nothing."""
    now, before = Said(score, score, record), Said(earlier, earlier, earlier_record)
    return compare(now, before, horizon)


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({}, []),
        ({"agreement": 0.49}, ["by a rank correlation of 0.49; at least 0.50"]),
        ({"difference": -0.0201}, ["significantly worse (± 0.0200)"]),
        ({"difference": 0.5}, []),
        ({"difference": -0.0019, "reach": 1e-9}, []),
        ({"difference": -0.0021, "reach": 1e-9}, ["is -0.0021 from that of its predecessor"]),
        ({"agreement": -1.0, "difference": -0.2}, ["correlation of -1.00", "significantly worse"]),
        ({"agreement": float("nan"), "dates": 0}, []),
        ({"spread": 0.011}, []),
        ({"spread": 0.009}, ["it has collapsed: what its heads say"]),
        ({"spread": float("nan")}, []),
        ({"difference": float("nan"), "reach": float("nan"), "common": 3}, []),
    ],
)
def test_the_band_says_what_is_outside_of_it(changed, reasons):
    """What cannot be compared is no reason."""
    said = BAND.refusals(replace_in(FINE, changed))
    assert len(said) == len(reasons)
    assert all(reason in each for reason, each in zip(reasons, said, strict=True))


def replace_in(found: Comparison, changed: dict) -> Comparison:
    return found._replace(**changed)


def test_a_wider_band_accepts_more():
    wide = replace(BAND, agreement=-1.0, widths=1e9)
    assert wide.refusals(replace_in(FINE, {"agreement": -0.9, "difference": -1.0})) == []


def test_agreement_is_the_mean_rank_correlation_of_the_dates():
    """One date in the same order, one the other way round, one of which a model says nothing."""
    one = np.arange(9.0)
    score = np.stack([one, one, one])
    earlier = np.stack([one**3, -one, np.zeros(9)])
    found = compared(score, earlier, record([]), record([]), horizon=1)
    assert (found.dates, found.agreement, found.common) == (2, pytest.approx(0.0), 0)
    assert isnan(found.difference)
    assert found.to_dict()["difference"] is None


def test_only_the_dates_of_both_validations_are_compared():
    """The newest bar of the one and the oldest of the other have no counterpart."""
    mine, theirs = noise(0), noise(1)
    found = compared(scores(0), scores(0), record(mine, 1), record(theirs), horizon=1)
    assert found.common == 59
    assert found.difference == pytest.approx((mine[:-1] - theirs[1:]).mean())


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_a_model_agrees_with_itself_in_any_unit(seed, unit):
    """Ranks are compared: the unit is calibrated elsewhere."""
    mine = record(noise(seed))
    found = compared(scores(seed), unit * scores(seed), mine, mine, horizon=3)
    assert found.agreement == pytest.approx(1.0)
    assert found.difference == 0
    assert BAND.refusals(found) == []


@given(st.integers(0, 1000))
def test_the_negative_of_a_model_is_always_refused(seed):
    mine = record(noise(seed) + 0.05)
    found = compared(scores(seed), -scores(seed), mine, -mine, horizon=3)
    assert found.agreement == pytest.approx(-1.0)
    assert any("rank correlation of -1.00" in each for each in BAND.refusals(found))


def test_a_record_is_worse_only_where_chance_is_no_explanation():
    """Equal skill on 60 dates is hardly ever refused, a coefficient that is lower by 0.2 always."""
    pairs, same = [(noise(2 * n), noise(2 * n + 1)) for n in range(60)], scores(0, dates=1)
    equal = [compared(same, same, record(a), record(b), 1) for a, b in pairs]
    worse = [compared(same, same, record(a - 0.2), record(b), 1) for a, b in pairs]
    assert sum(bool(BAND.refusals(found)) for found in equal) <= 2
    assert all(BAND.refusals(found) for found in worse)


@pytest.mark.parametrize(
    ("change", "collapsed"),
    [
        (lambda heads: heads, False),
        (lambda heads: 0.02 * heads, False),
        (lambda heads: np.full_like(heads, 0.3), True),
        (lambda heads: 0.3 + 1e-4 * heads, True),  # in the same order
        (lambda heads: heads * (np.arange(63) < 31)[:, None], True),  # on most dates
    ],
)
def test_heads_that_say_the_same_of_every_symbol_have_collapsed(change, collapsed):
    """A rank correlation is not defined there, or does not see it."""
    mine, heads = record(noise(0)), scores(0)
    heads[:, 8] = np.nan  # not eligible
    heads = np.hstack([heads, scores(1)])
    reasons = BAND.refusals(compared(change(heads), heads, mine, mine, horizon=3))
    assert [each.partition(":")[0] for each in reasons] == ["it has collapsed"] * collapsed


@pytest.mark.parametrize(("slope", "earlier"), [(0.0, 0.1), (0.1, 0.0), (0.0, 0.0)])
def test_a_model_that_validation_does_not_bear_out_contradicts_none(slope, earlier):
    """Its slope is 0, and nothing is compared; none has collapsed beside such a predecessor."""
    none, heads = record([]), scores(0)
    before = Said(earlier * heads, heads, none)
    found = compare(Said(-slope * heads, -heads, none), before, horizon=3)
    assert (found.dates, BAND.refusals(found)) == (0, [])
    flat = compare(Said(0 * heads, 0 * heads, none), before, horizon=3)
    assert isnan(flat.spread) == (earlier == 0)
    assert bool(BAND.refusals(flat)) == (earlier > 0)


@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(1, 9))
def test_models_that_say_the_same_of_every_symbol_cannot_be_compared(now, before, symbols):
    """A night without skill in any symbol; three equal numbers deviate by what a mean is rounded
    by, and a night divided by the 0 of the heads."""
    alike = (np.full((63, symbols), level) for level in (now, before))
    heads = np.zeros((63, symbols))
    models = (Said(score, heads, record(noise(1))) for score in alike)
    found = compare(*models, 1)
    assert isnan(found.spread)
    assert not BAND.refusals(found)
