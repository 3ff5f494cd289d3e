"""The three verdicts: each condition alone must be able to withhold 'proven'."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.spanning import spanning
from trading_pipeline.core.evaluation.trials import effective_trials
from trading_pipeline.core.evaluation.verdict import (
    DOES_NOT_EARN,
    EARNS,
    NOT_ASKED,
    NOT_DECIDED,
    NOT_PROVEN,
    PROVEN,
    VerdictInputs,
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
        trial_returns=np.empty((n_days, 0)),
        leaks=(),
    )


def reached(given):
    return reach_verdict(given, days_per_year=252)


def edge_of(given):
    return reached(given).edge


def test_a_book_that_meets_every_condition_is_proven():
    verdict = reached(evidence())
    for each in (verdict.edge, verdict.adds):
        assert each.answer == PROVEN
        assert each.reasons == ()
        assert each.needs_days is None
        assert each.deflated >= 0.95


def test_one_baseline_not_beaten_is_enough_to_withhold_it():
    verdict = reached(evidence(momentum=Estimate(0.4, -0.01, 0.8)))
    assert verdict.edge.answer == NOT_PROVEN
    assert verdict.hardest_baseline == "momentum"
    every = len(BASELINE_NAMES)
    assert verdict.edge.reasons[0] == (
        f"Not shown to be better than 1 of {every} simple rules. The hardest is momentum: the"
        " Sharpe ratio is 0.40 above its own, 95 % interval [-0.01, +0.80], and the "
        "lower end must be above 0."
    )


def test_a_p_value_is_at_most_its_level_exactly_where_every_bound_is_above_zero():
    """Of the edge that of the hardest rule, of what the book adds that of its alpha."""
    verdict = reached(evidence())
    assert verdict.edge.p_value == CLEAR.p_value < 0.025
    assert verdict.adds.p_value == verdict.spanning.alpha.p_value < 0.025
    hard = Estimate(0.4, -0.01, 0.8)
    assert edge_of(evidence(momentum=hard)).p_value == hard.p_value > 0.025
    assert edge_of(evidence(momentum=Estimate(0.4))).p_value is None
    nothing = replace(evidence(), differences={}, returns={})
    assert reached(nothing).edge.p_value is None


def test_the_hardest_baselines_are_named_and_the_others_counted():
    behind = dict.fromkeys(("trend", "cash", "reversal", "equal_weight", "momentum"), CLOSE)
    reason = edge_of(evidence(**behind | {"reversal": Estimate(-0.2, -0.7, 0.3)})).reasons[0]
    assert "The hardest is reversal: the Sharpe ratio is 0.20 below its own" in reason
    assert reason.endswith("Next, by that end: cash, equal weight, momentum and 1 more.")


def test_a_bound_of_exactly_zero_does_not_prove():
    assert edge_of(evidence(trend=Estimate(0.4, 0.0, 0.8))).answer == NOT_PROVEN


def test_an_undefined_difference_does_not_prove():
    verdict = reached(evidence(trend=Estimate(0.4)))
    assert verdict.edge.answer == NOT_PROVEN
    assert verdict.hardest_baseline == "trend"


def test_luck_of_many_trials_withholds_both():
    few = reached(replace(evidence(mean=0.0009), trials=1))
    many = reached(replace(evidence(mean=0.0009), trials=5000))
    assert (few.edge.answer, few.adds.answer) == (PROVEN, PROVEN)
    for each in (many.edge, many.adds):
        assert each.answer == NOT_PROVEN
        assert each.reasons[0].startswith("The best of 5000 trials looks good by luck alone.")


def test_of_a_single_trial_the_probability_is_said_without_a_best_one():
    reasons = edge_of(replace(evidence(mean=-0.0002), trials=1)).reasons
    assert "probability that its true Sharpe ratio over" in reasons[-1]
    assert "trials" not in reasons[-1]


def test_near_copies_of_the_book_are_no_luck():
    """A sweep of stops is one trial; as many strangers raise the hurdle."""
    given, rng = evidence(mean=0.0008), np.random.default_rng(4)
    noise = rng.normal(0, 0.01, (len(given.strategy), 96))
    copies = given.strategy[:, None] + 0.02 * noise
    tried = reached(replace(given, trials=96, trial_returns=copies))
    strangers = reached(replace(given, trials=96, trial_returns=noise))
    assert (tried.edge.trials.effective, strangers.edge.trials.effective) == (1, 96)
    assert (tried.edge.answer, strangers.edge.answer) == (PROVEN, NOT_PROVEN)
    part = reached(replace(given, trials=190, trial_returns=copies)).edge.reasons[0]
    assert part.startswith("The best of 190 trials (95 really different) looks good by luck")


def test_each_question_counts_trials_by_the_returns_that_it_judges():
    """Over one baseline all of them move alike; what they earn of their own is less so."""
    given, rng = evidence(mean=0.0008), np.random.default_rng(4)
    tried = given.strategy[:, None] + 0.002 * rng.standard_normal((len(given.strategy), 96))
    verdict = reached(replace(given, trials=96, trial_returns=tried))
    rules = {name: given.returns[name] for name in given.rules}
    own = np.column_stack([spanning(each, rules).stream for each in tried.T])
    expected = effective_trials(own, 96)
    assert (verdict.edge.trials.effective, verdict.adds.trials.effective) == (1, 96)
    assert verdict.adds.trials.variance == expected.variance
    assert (verdict.edge.answer, verdict.adds.answer) == (PROVEN, NOT_PROVEN)
    assert verdict.adds.reasons[0].startswith("The best of 96 trials looks good by luck alone.")


def test_unknown_trials_withhold_both_and_are_never_taken_as_one():
    verdict = reached(replace(evidence(), trials=None))
    for each in (verdict.edge, verdict.adds):
        assert each.reasons[0].startswith("Trials unknown")
        assert each.deflated is None
        assert each.needs_days is None


def test_a_short_history_withholds_all_and_says_how_much_is_missing():
    verdict = reached(evidence(n_days=249, mean=0.004, **ALL_CLEAR))
    for each in (verdict.edge, verdict.adds):
        assert each.reasons == ("Only 249 days out of sample; at least 250 are needed.",)
        assert each.needs_days == 1
    few = (NOT_DECIDED, ("249 days are too few, at least 250 are needed.",))
    assert verdict.network == few
    assert reached(evidence(n_days=249, **ALL_CLEAR | {"ridge": CLOSE})).network == few


def test_a_leak_withholds_all_and_comes_first():
    given = replace(evidence(**ALL_CLEAR), leaks=("feature rsi_14 changes with the future",))
    verdict = reached(given)
    for each in (verdict.edge, verdict.adds):
        assert "rsi_14" in each.reasons[0]
        assert each.needs_days is None
    why = "A leak was found, so no number here can be trusted."
    assert verdict.network == (NOT_DECIDED, (why,))


def test_a_baseline_that_is_missing_withholds_both_and_is_named():
    whole = evidence()
    differences = {k: v for k, v in whole.differences.items() if k != "reversal"}
    verdict = reached(replace(whole, differences=differences))
    assert verdict.edge.reasons == verdict.adds.reasons == ("Not yet compared with reversal.",)


def test_nothing_to_compare_with_is_not_proven():
    verdict = reached(replace(evidence(), differences={}))
    assert (verdict.edge.answer, verdict.adds.answer) == (NOT_PROVEN, NOT_PROVEN)
    assert verdict.hardest_baseline is None


def test_a_book_that_diversifies_adds_what_no_difference_shows():
    """Worse than the market alone, and worth holding beside it."""
    given = evidence(**dict.fromkeys(BASELINE_NAMES, CLOSE))
    verdict = reached(given)
    assert (verdict.edge.answer, verdict.adds.answer) == (NOT_PROVEN, PROVEN)


def test_a_mix_of_the_baselines_adds_nothing_however_well_it_did():
    given = evidence(mean=0.0)
    good = {name: each + 0.001 for name, each in given.returns.items()}
    mix = sum(good.values()) / len(good) + 0.1 * given.strategy
    adds = reached(replace(given, returns=good, strategy=mix)).adds
    assert adds.answer == NOT_PROVEN
    assert adds.reasons[0].startswith("Not shown to earn anything of its own: beyond any mix")


@pytest.mark.parametrize("saved", [0.0, 1e-16, 1e-6, 2e-5])
def test_a_book_that_is_a_baseline_has_no_skill_however_little_it_paid(saved):
    """A long-only book without a view: half a per cent a year of costs saved, to the day."""
    given = evidence()
    market = given.returns["equal_weight"] + 0.0004
    books = given.returns | {"equal_weight": market, "equal_weight_managed": 0.9 * market}
    own = market * (1 + 1e-9 * given.strategy) + saved + 1e-3 * given.strategy * bool(saved)
    tight = given.differences | {"equal_weight": Estimate(0.01, 0.001, 0.02)}
    verdict = reached(replace(given, strategy=own, returns=books, differences=tight))
    assert (verdict.edge.answer, verdict.adds.answer) == (NOT_PROVEN, NOT_PROVEN)
    assert "tell a skill from a difference in costs, which takes 10 %" in verdict.adds.reasons[0]
    assert verdict.adds.needs_days is None


def test_days_needed_follow_the_square_of_the_reach():
    # value 0.4, reach 0.8: four times the 1,500 days, which is more than the other conditions ask
    assert edge_of(evidence(momentum=Estimate(0.4, -0.4, 1.2))).needs_days == 4500


def test_days_needed_for_an_alpha_follow_its_own_reach():
    given = replace(evidence(mean=0.0004), trials=1)
    adds, alpha = reached(given).adds, reached(given).spanning.alpha
    reach = ((alpha.value - alpha.low) / alpha.value) ** 2
    assert adds.needs_days >= np.floor(1500 * reach - 1500) > 0


def test_no_history_helps_a_book_that_is_behind():
    assert edge_of(evidence(momentum=Estimate(-0.1, -0.9, 0.7))).needs_days is None


def test_the_network_is_not_asked_about_without_learned_baselines():
    said = reached(evidence()).network
    assert said == (NOT_ASKED, ("No learned baselines have been trained.",))


def test_the_network_is_not_asked_about_where_another_model_trades():
    """Its own book is not the strategy, whatever the strategy's bounds are."""
    given = replace(evidence(**ALL_CLEAR), model="lightgbm")
    said = reached(given).network
    assert said == (NOT_ASKED, ("The scores that were traded are those of LightGBM.",))


def test_the_network_is_not_asked_about_where_no_skill_can_be_shown():
    """Of seven symbols every score is the market's: equal books say nothing of the models."""
    books = dict.fromkeys(LEARNED_BASELINES, CLOSE)
    said = reached(replace(evidence(**books), symbols=7)).network
    why = "With fewer than 8 symbols no skill at choosing among them can be shown."
    assert said == (NOT_ASKED, (why,))
    said = reached(replace(evidence(**books), symbols=8)).network
    assert said.answer == DOES_NOT_EARN


def test_learned_baselines_that_are_out_of_date_are_named():
    """They were trained, and what they say is of other bars than those traded."""
    given = replace(evidence(), stale=("ridge", "lightgbm"))
    why = "The predictions of ridge, LightGBM are not up to date."
    assert reached(given).network == (NOT_ASKED, (why,))
    given = replace(evidence(ridge=CLEAR, ridge_lags=CLEAR, lstm=CLEAR), stale=("lightgbm",))
    why = (
        "Better than the others, not compared with LightGBM, for the predictions of LightGBM are "
        "not up to date."
    )
    assert reached(given).network == (NOT_DECIDED, (why,))


@pytest.mark.parametrize(
    ("bounds", "answer", "why"),
    [
        (ALL_CLEAR, EARNS, "Better than every learned baseline."),
        (ALL_CLEAR | {"lstm": CLOSE}, DOES_NOT_EARN, "LSTM is simpler and does as well."),
        (
            {"ridge_lags": CLOSE, "ridge": CLOSE},
            DOES_NOT_EARN,
            "Ridge, ridge with lags are simpler and do as well.",
        ),
        (
            {"ridge": CLEAR, "ridge_lags": CLEAR},
            NOT_DECIDED,
            "Better than the others, not compared with LightGBM, LSTM.",
        ),
    ],
)
def test_the_network_is_held_against_learned_baselines_only(bounds, answer, why):
    verdict = reached(evidence(**bounds))
    assert verdict.network == (answer, (why,))
    assert verdict.to_dict()["network"] == answer
    assert verdict.to_dict()["network_reasons"] == [why]
    assert verdict.edge.answer == PROVEN


def test_names_are_said_as_people_say_them():
    assert titled("buy_and_hold") == "buy-and-hold"
    assert titled("ridge_lags") == "ridge with lags"
    assert titled("equal_weight_managed") == "equal weight (managed)"
