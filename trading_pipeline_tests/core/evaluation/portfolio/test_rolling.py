"""The rolling Sharpe ratio: the formula of one window, its band, and short histories."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.metrics import sharpe
from trading_pipeline.core.evaluation.portfolio.rolling import (
    rolling_beta,
    rolling_sharpe,
    rolling_volatility,
    rolling_window,
)
from trading_pipeline.core.evaluation.significance import SharpeMoments


def test_every_window_is_a_sharpe_ratio_of_its_days():
    returns = np.random.default_rng(0).normal(0.001, 0.01, 300)
    found = rolling_sharpe(returns, 60, 252)
    assert np.isnan(found.value[:59]).all()
    for end in (59, 200, 299):
        window = returns[end - 59 : end + 1]
        assert found.value[end] == pytest.approx(float(sharpe(window, 252)))
        moments = SharpeMoments.of(window)
        error = np.sqrt(moments.variance / 59 * 252)
        assert found.high[end] - found.value[end] == pytest.approx(1.96 * error)
        assert found.value[end] - found.low[end] == pytest.approx(1.96 * error)


@pytest.mark.slow
def test_the_band_covers_the_truth():
    """On independent days of a known Sharpe ratio, in windows that do not overlap."""
    returns = np.random.default_rng(1).normal(0.001, 0.01, 252 * 100)
    found = rolling_sharpe(returns, 252, 252)
    truth, ends = 0.1 * np.sqrt(252), slice(251, None, 252)
    held = (found.low[ends] <= truth) & (truth <= found.high[ends])
    assert 0.91 <= held.mean() <= 0.985


def test_a_window_that_never_moved_is_undefined():
    returns = np.append(np.zeros(100), np.random.default_rng(0).normal(0, 0.01, 100))
    found = rolling_sharpe(returns, 50, 252)
    assert np.isnan(found.value[:100]).all()
    assert np.isfinite(found.value[110:]).all()


def test_short_histories_have_short_windows_or_none():
    assert rolling_window(2769, 252) == 252
    assert rolling_window(504, 252) == 252
    assert rolling_window(503, 252) == 126
    assert rolling_window(130, 252) == 63
    assert rolling_window(100, 252) is None
    assert rolling_window(400, 365) == 182
    assert np.isnan(rolling_sharpe(np.zeros(10), 50, 252).value).all()


def test_rolling_volatility_and_beta_are_those_of_each_window():
    rng = np.random.default_rng(2)
    own, other = rng.normal(0.001, 0.01, (2, 60))
    volatility, beta = rolling_volatility(own, 21, 252), rolling_beta(own, other, 21)
    assert np.isnan(volatility[:20]).all()
    assert np.isnan(beta[:20]).all()
    for end in range(21, 61):
        window = slice(end - 21, end)
        assert volatility[end - 1] == pytest.approx(own[window].std(ddof=1) * 252**0.5)
        slope = np.polyfit(other[window], own[window], 1)[0]
        assert beta[end - 1] == pytest.approx(slope)
    assert np.isnan(rolling_beta(own, other, 61)).all()
