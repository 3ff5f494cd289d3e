"""Rivals find what is planted for them, know nothing of the future, and survive a checkpoint."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Reference

from trading_pipeline.core.learning.rivals import boosting, lstm
from trading_pipeline.core.learning.rivals.ridge import Ridge
from trading_pipeline.core.learning.rivals.rival import Frequencies, fit, from_dict, scores_on
from trading_pipeline.core.learning.validation import pearson_information_coefficient
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline_tests.core.learning.rivals.planted import FOLD, samples

STEPS = 46  # of a window: enough for the longest lag


@pytest.fixture(autouse=True)
def small_budgets(monkeypatch):
    monkeypatch.setattr(lstm, "STEPS", 4)
    monkeypatch.setattr(boosting, "ROUNDS", 40)


def information(rival, of) -> float:
    """Out of sample."""
    return pearson_information_coefficient(
        scores_on(rival, of, FOLD.test, STEPS), of.targets_on(FOLD.test)
    )


def same(one, other) -> bool:
    one, other = one.to_dict(), other.to_dict()
    return all(
        torch.equal(one[name], other[name])
        if isinstance(one[name], torch.Tensor)
        else one[name] == other[name]
        for name in one | other
    )


@pytest.mark.parametrize("lags", [(0,), (0, 1, 5)])
def test_ridge_is_that_of_scikit_learn(lags):
    """The sums over dates are the regression on the whole table."""
    of = samples()
    made = Ridge.with_lags(of, FOLD, lags)
    rows, targets = [], []
    for date in range(FOLD.train.first, FOLD.train.last + 1):
        known = of.usable[date]
        seen = np.concatenate([of.grid[date - lag].numpy() for lag in lags], axis=1)[known]
        target = of.price[date].numpy()[known]
        rows.append(seen - seen.mean(axis=0, dtype=float))
        targets.append(target - target.mean(dtype=float))
    table = np.concatenate(rows).astype(float)
    alpha = made.penalty * float((table**2).sum(axis=0).mean())
    expected = Reference(alpha=alpha, fit_intercept=False).fit(table, np.concatenate(targets))
    np.testing.assert_allclose(made.weights, expected.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["ridge", "ridge_lags", "lightgbm"])
def test_what_is_in_the_newest_bar_is_found(name):
    assert information(fit(name, samples(), FOLD, STEPS), samples()) > 0.2


def test_only_lags_find_what_is_older():
    """A market whose truth is five bars old tells the two regressions apart."""
    of = samples(lag=5)
    assert information(fit("ridge_lags", of, FOLD, STEPS), of) > 0.2
    assert abs(information(fit("ridge", of, FOLD, STEPS), of)) < 0.1


@pytest.mark.slow
def test_an_lstm_learns_at_all(monkeypatch):
    """A few more steps, and it finds a loud signal in short windows."""
    monkeypatch.setattr(lstm, "STEPS", 60)
    of = samples(strength=0.7)
    score = scores_on(fit("lstm", of, FOLD, 3), of, FOLD.test, 3)
    assert pearson_information_coefficient(score, of.targets_on(FOLD.test)) > 0.3


@pytest.mark.parametrize("name", LEARNED_BASELINES)
def test_nothing_at_or_after_the_fold_is_read(name):
    """Whatever the fold's bars and outcomes are, the fit is the same, bit for bit."""
    of = samples()
    price, grid, usable = of.price.clone(), of.grid.clone(), of.usable.copy()
    price[FOLD.validation.last + 1 :] = 9.0
    grid[FOLD.test.first :] = -9.0
    usable[FOLD.test.first :] = True
    later = replace(of, price=price, grid=grid, usable=usable)
    assert same(fit(name, of, FOLD, STEPS), fit(name, later, FOLD, STEPS))


@pytest.mark.parametrize("name", LEARNED_BASELINES)
def test_a_rival_survives_a_checkpoint(name):
    """Plain types and tensors alone: nothing in the file is executed, and no answer changes."""
    of = samples()
    made, file = fit(name, of, FOLD, STEPS), io.BytesIO()
    torch.save(made.to_dict(), file)
    file.seek(0)
    again = from_dict(name, torch.load(file, weights_only=True))
    rows = Rows(FOLD.test.first, FOLD.test.first + 3)
    expected = scores_on(made, of, rows, STEPS)
    np.testing.assert_array_equal(scores_on(again, of, rows, STEPS), expected)
    assert expected.shape == (4, of.usable.shape[1])


@pytest.mark.parametrize("name", LEARNED_BASELINES)
def test_one_symbol_and_empty_validation_are_no_reason_to_fail(name):
    """A market may have one symbol, and a span without a known outcome."""
    of = samples(gaps=0.0)
    usable = of.usable.copy()
    usable[:, 1:] = False
    usable[FOLD.validation.first :] = False
    lonely = replace(of, usable=usable)
    score = scores_on(fit(name, lonely, FOLD, STEPS), lonely, Rows(350, 352), STEPS)
    assert np.isfinite(score).all()


def test_frequencies_are_those_of_the_usable_rows():
    of = samples(gaps=0.0)
    of.direction[100:104] = torch.tensor([0, 1, 2, 2])[:, None]
    of.usable[103, 1:] = False
    of.risk[100:104] = torch.tensor([1.0, 0.0, float("nan"), 0.0])[:, None]
    found = Frequencies.of(of, Rows(100, 103))  # 20 down, 20 flat, 21 up; 20 of 41 fell
    assert found.direction == pytest.approx((20 / 61, 20 / 61, 21 / 61))
    assert found.risk == pytest.approx(20 / 41)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'forest'"):
        fit("forest", samples(), FOLD)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("ridge", {"lags": [0], "weights": torch.tensor([float("nan")]), "penalty": 1.0}),
        ("ridge", {"lags": [0, 1], "weights": torch.ones(3), "penalty": 1.0}),
        ("lightgbm", {"text": "no trees"}),
        ("lstm", {"lstm.weight_ih_l0": torch.ones(3, 3)}),
    ],
)
def test_what_cannot_be_a_rival_is_refused(name, plain):
    with pytest.raises(ValueError, match=r"finite|do not fit|no model|not those"):
        from_dict(name, plain)
