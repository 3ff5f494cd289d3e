"""The information coefficient of a fold: one number, by one name, with its interval."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.information_coefficient import mean_information_coefficient
from trading_pipeline.core.learning.validation import (
    coefficients_by_date,
    pearson_information_coefficient,
    validation_of,
    validation_text,
)
from trading_pipeline.defs.assets.metadata import of_checkpoint
from trading_pipeline_tests.core.learning.checkpoints import made_up

HORIZON = 5


def metrics(symbols, dates=120):
    """As `calibrate` makes them, of scores that know a little."""
    rng = np.random.default_rng(4)
    target = rng.normal(size=(dates, symbols))
    score = 0.1 * target + rng.normal(size=(dates, symbols))
    return {
        "validation_information": pearson_information_coefficient(score, target),
        "validation_coefficients": coefficients_by_date(score, target).tolist(),
    }


def test_it_is_the_mean_over_dates_with_the_interval_that_knows_of_overlap():
    found = metrics(symbols=12)
    mean = mean_information_coefficient(np.array(found["validation_coefficients"]), HORIZON)
    assert validation_of(found, HORIZON) == pytest.approx(tuple(mean))
    value, low, high = mean
    expected = f"validation IC of the scores {value:+.3f} [{low:+.3f}, {high:+.3f}]"
    assert validation_text(found, HORIZON) == expected


def test_of_few_symbols_it_is_pooled_and_has_no_interval():
    found = metrics(symbols=4)
    value, low, high = validation_of(found, HORIZON)
    assert value == found["validation_information"] != 0
    assert np.isnan([low, high]).all()
    assert validation_text(found, HORIZON).endswith(f"{value:+.3f}, without an interval")


def test_the_page_of_the_asset_says_the_number_that_the_terminal_says():
    made = made_up() | {"metrics": metrics(symbols=12)}
    horizon = made["recipe"]["market"]["horizon"]
    shown = of_checkpoint(made)["validation_ic_of_the_scores"]
    said = validation_text(made["metrics"], horizon)
    assert said == f"validation IC of the scores {shown}"
