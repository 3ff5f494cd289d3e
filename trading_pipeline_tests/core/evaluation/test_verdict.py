"""The edge and the network: each condition alone must be able to withhold 'proven'."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.verdict import (
    VerdictInputs,
    active_returns,
    reach_verdict,
    titled,
)
from trading_pipeline.core.model.config import LEARNED_BASELINES

CLEAR = Estimate(1.5, 0.8, 2.2)
CLOSE = Estimate(0.1, -0.3, 0.5)
ALL_CLEAR = dict.fromkeys(LEARNED_BASELINES, CLEAR)


def evidence(n_days=1500, mean=0.0015, **differences):
    """A strategy far better than every rule baseline, unless a difference says otherwise."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (len(BASELINE_NAMES) + 5, n_days))
    known = dict.fromkeys(BASELINE_NAMES, CLEAR) | differences
    return VerdictInputs(
        differences=known,
        returns=dict(zip(known, noise[1:], strict=False)),
        strategy=mean + noise[0],
        trials=5,
        trial_sharpes=np.array([0.01, 0.02, 0.03, 0.02, 0.01]),
        leaks=(),
    )


def test_an_edge_that_meets_every_condition_is_proven():
    verdict = reach_verdict(evidence())
    assert verdict.edge == "proven"
    assert verdict.reasons == ()
    assert verdict.needs_days is None
    assert verdict.deflated_sharpe >= 0.95


def test_one_baseline_not_beaten_is_enough_to_withhold_it():
    verdict = reach_verdict(evidence(momentum=Estimate(0.4, -0.01, 0.8)))
    assert verdict.edge == "not proven"
    assert verdict.hardest_baseline == "momentum"
    assert "against 1 of 9 rule baselines (momentum)" in verdict.reasons[0]
    assert "+0.40, 95 % interval [-0.01, +0.80]" in verdict.reasons[0]


def test_a_bound_of_exactly_zero_does_not_prove():
    assert reach_verdict(evidence(trend=Estimate(0.4, 0.0, 0.8))).edge == "not proven"


def test_an_undefined_difference_does_not_prove():
    verdict = reach_verdict(evidence(trend=Estimate(0.4)))
    assert verdict.edge == "not proven"
    assert verdict.hardest_baseline == "trend"


def test_luck_of_many_trials_withholds_it():
    few = reach_verdict(replace(evidence(mean=0.0009), trials=1))
    many = reach_verdict(replace(evidence(mean=0.0009), trials=5000))
    assert few.edge == "proven"
    assert many.edge == "not proven"
    assert "after 5000 trials" in many.reasons[0]


def test_unknown_trials_withhold_it_and_are_never_taken_as_one():
    verdict = reach_verdict(replace(evidence(), trials=None))
    assert verdict.edge == "not proven"
    assert verdict.reasons[0].startswith("Trials unknown")
    assert verdict.deflated_sharpe is None
    assert verdict.needs_days is None


def test_a_short_history_withholds_it_and_says_how_much_is_missing():
    verdict = reach_verdict(evidence(n_days=249, mean=0.004))
    assert verdict.edge == "not proven"
    assert verdict.reasons == ("Only 249 days out of sample; at least 250 are needed.",)
    assert verdict.needs_days == 1


def test_a_leak_withholds_it_and_comes_first():
    verdict = reach_verdict(replace(evidence(), leaks=("feature rsi_14 changes with the future",)))
    assert verdict.edge == "not proven"
    assert "rsi_14" in verdict.reasons[0]
    assert verdict.needs_days is None


def test_a_baseline_that_is_missing_withholds_it_and_is_named():
    whole = evidence()
    differences = {k: v for k, v in whole.differences.items() if k != "reversal"}
    verdict = reach_verdict(replace(whole, differences=differences))
    assert verdict.edge == "not proven"
    assert verdict.reasons == ("Not yet compared with reversal.",)


def test_nothing_to_compare_with_is_not_proven():
    verdict = reach_verdict(replace(evidence(), differences={}))
    assert verdict.edge == "not proven"
    assert verdict.hardest_baseline is None


def test_days_needed_follow_the_square_of_the_reach():
    # value 0.4, reach 0.8: four times the 1,500 days, which is more than the other conditions ask
    verdict = reach_verdict(evidence(momentum=Estimate(0.4, -0.4, 1.2)))
    assert verdict.needs_days == 4500


def test_no_history_helps_a_book_that_is_behind():
    assert reach_verdict(evidence(momentum=Estimate(-0.1, -0.9, 0.7))).needs_days is None


def test_the_network_is_not_asked_about_without_learned_baselines():
    said = reach_verdict(evidence()).network
    assert said == "not asked: no learned baselines have been trained"


def test_the_network_is_not_asked_about_where_another_model_trades():
    """Its own book is not the strategy, whatever the strategy's bounds are."""
    given = replace(evidence(**ALL_CLEAR), model="lightgbm")
    said = reach_verdict(given).network
    assert said == "not asked: the scores that were traded are those of LightGBM"


def test_the_network_is_not_asked_about_where_no_skill_can_be_shown():
    """Of seven symbols every score is the market's: equal books say nothing of the models."""
    books = dict.fromkeys(LEARNED_BASELINES, CLOSE)
    said = reach_verdict(replace(evidence(**books), symbols=7)).network
    assert said == (
        "not asked: with fewer than 8 symbols no skill at choosing among them can be shown"
    )
    said = reach_verdict(replace(evidence(**books), symbols=8)).network
    assert said.startswith("does not earn its place against ridge, ")


def test_learned_baselines_that_are_out_of_date_are_named():
    """They were trained, and what they say is of other bars than those traded."""
    given = replace(evidence(), stale=("ridge", "lightgbm"))
    assert reach_verdict(given).network == (
        "not asked: the predictions of ridge, LightGBM are not up to date"
    )
    given = replace(evidence(ridge=CLEAR, ridge_lags=CLEAR, lstm=CLEAR), stale=("lightgbm",))
    assert reach_verdict(given).network == (
        "not decided: better than the others, not compared with LightGBM, "
        "for the predictions of LightGBM are not up to date"
    )


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        (ALL_CLEAR, "earns its place"),
        (
            ALL_CLEAR | {"lstm": CLOSE},
            "does not earn its place against LSTM, which is simpler and does as well",
        ),
        (
            {"ridge_lags": CLOSE, "ridge": CLOSE},
            "does not earn its place against ridge, ridge with lags, which are simpler and do",
        ),
        (
            {"ridge": CLEAR, "ridge_lags": CLEAR},
            "not decided: better than the others, not compared with LightGBM, LSTM",
        ),
    ],
)
def test_the_network_is_held_against_learned_baselines_only(bounds, says):
    verdict = reach_verdict(evidence(**bounds))
    assert verdict.network.startswith(says)
    assert verdict.edge == "proven"


def test_names_are_said_as_people_say_them():
    assert titled("buy_and_hold") == "buy-and-hold"
    assert titled("ridge_lags") == "ridge with lags"
    assert titled("equal_weight_managed") == "equal weight (managed)"


def test_active_returns_do_not_reward_or_punish_leverage():
    rng = np.random.default_rng(1)
    strategy, baseline = rng.normal(0.0005, 0.01, (2, 500))
    active = active_returns(strategy, baseline)
    np.testing.assert_allclose(active_returns(strategy, 3 * baseline), active, atol=1e-15)
    np.testing.assert_array_equal(active_returns(strategy, np.zeros(500)), strategy)
