"""What a session forecasts itself is what the predictions table would say."""

import numpy as np

from trading_pipeline.core.backtest.basis import half_lives, score_grid, volatilities
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline_tests.core.learning.random_market import random_market


def test_scores_and_how_long_they_last_are_those_of_the_table():
    """Also at rows before the one asked for, and where nothing may be traded."""
    data, fold, recipe, checkpoint = random_market(0)
    own = {**checkpoint["calibration"], "volatility_weight": 1.0}
    checkpoint = {**checkpoint, "calibration": own}
    first, last = fold.test.first, fold.test.first + 6
    table = predict_rows(Predictor(checkpoint), data, Rows(first, last), fold.key)
    forecaster = Forecaster(data.panel, recipe.market, [fold], lambda key: checkpoint)
    forecaster.scores(first)
    forecaster.scores(last)
    np.testing.assert_array_equal(forecaster.history, score_grid(data.panel, table))
    np.testing.assert_array_equal(forecaster.half_life, half_lives(data.panel, table))
    np.testing.assert_array_equal(forecaster.volatility, volatilities(data.panel, table))
    assert not np.array_equal(forecaster.volatility[last], data.sigma[last], equal_nan=True)
    assert forecaster.half_life[first] == checkpoint["calibration"]["half_life"]
    assert np.isnan(forecaster.half_life[:first]).all()
