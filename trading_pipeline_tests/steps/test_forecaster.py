"""What a session forecasts itself is what the predictions table would say."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.backtest.basis import half_lives, score_grid, volatilities
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline_tests.core.learning.random_market import random_market


@pytest.mark.parametrize("model", ["network", "ridge_lags", "lightgbm"])
def test_scores_and_how_long_they_last_are_those_of_the_table(model):
    """Also at rows before the one asked for, and where nothing may be traded."""
    data, fold, recipe, checkpoint = random_market(0)
    if model == "network":
        own = {**checkpoint["calibration"], "volatility_weight": 1.0}
        checkpoint = {**checkpoint, "calibration": own}
    else:  # whose volatility is σ
        checkpoint = train_fold(data, fold, replace(recipe, learner=model))
    first, last = fold.test.first, fold.test.first + 6
    table = predict_rows(Predictor(checkpoint), data, Rows(first, last), fold.key)
    forecaster = Forecaster(data.panel, recipe.market, [fold], lambda key: checkpoint)
    forecaster.scores(first)
    forecaster.scores(last)
    np.testing.assert_array_equal(forecaster.history, score_grid(data.panel, table))
    np.testing.assert_array_equal(forecaster.half_life, half_lives(data.panel, table))
    np.testing.assert_array_equal(forecaster.volatility, volatilities(data.panel, table))
    sigma = np.where(data.eligible[last], data.sigma[last], np.nan)
    is_sigma = np.array_equal(forecaster.volatility[last], sigma, equal_nan=True)
    assert is_sigma == (model != "network")
    assert forecaster.half_life[first] == checkpoint["calibration"]["half_life"]
    assert np.isnan(forecaster.half_life[:first]).all()
