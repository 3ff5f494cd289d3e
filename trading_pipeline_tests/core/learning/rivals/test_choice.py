"""The simplest model that does about as well as the best one."""

import numpy as np

from trading_pipeline.core.learning.rivals.choice import choose


def metrics(**means):
    """Coefficients of 200 dates around each mean; all share their noise but for a little."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.1, 200)
    found = {}
    for name, mean in means.items():
        own = rng.normal(0, 0.02, 200)
        by_date = mean + shared - shared.mean() + own - own.mean()
        found[name] = {"validation_information": mean, "validation_coefficients": list(by_date)}
    return found


def test_a_better_model_is_taken_over_simpler_ones():
    """Paired: the shared noise of 0.1 a date hides nothing."""
    chosen = choose(metrics(network=0.05, ridge=0.03, lstm=0.04), horizon=1)
    assert chosen.name == "network"
    assert chosen.reason.startswith("its validation information coefficient of +0.050 is the")


def test_the_simplest_within_one_standard_error_is_taken():
    """0.02 × √2 / √200 is an error of 0.002."""
    chosen = choose(metrics(network=0.05, lightgbm=0.0495, ridge=0.03), horizon=1)
    assert chosen.name == "lightgbm"
    assert "within one standard error" in chosen.reason
    assert "+0.050 of network" in chosen.reason


def test_equals_go_to_the_simplest():
    same = metrics(ridge=0.04)["ridge"]
    assert choose({"network": same, "lstm": same, "ridge_lags": same}, 5).name == "ridge_lags"


def test_without_a_cross_section_the_simplest_is_taken():
    """Below eight symbols no date has a coefficient, and there is nothing to compare."""
    narrow = {"validation_information": 0.5, "validation_coefficients": [float("nan")] * 200}
    chosen = choose({"network": narrow, "ridge": {**narrow, "validation_information": 0.1}}, 5)
    assert chosen.name == "ridge"
    assert "too few dates" in chosen.reason
