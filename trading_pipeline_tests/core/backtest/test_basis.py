"""What a strategy is decided on: scores, and the volatility that they are traded at."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.basis import Basis, in_units_of, volatilities
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.trading.markets import panel_of_opens

N = 12
MARKET = Market(
    name="made_up",
    source="sample",
    symbols=tuple("ABCDEFGHIJKL"),
    start=date(2024, 1, 1),
    horizon=5,
    limits={"kelly_fraction": 0.5},
)


@pytest.fixture(scope="module")
def history():
    """Panel, scores, and a forecast of volatility for the rows with scores."""
    rng = np.random.default_rng(3)
    panel = panel_of_opens(100 * np.exp(np.cumsum(rng.normal(0, 0.02, (400, N)), axis=0)))
    score = np.where(np.arange(400)[:, None] < 100, np.nan, rng.normal(0, 0.1, (400, N)) + 0.02)
    forecast = np.where(np.isfinite(score), rng.uniform(0.01, 0.04, score.shape), np.nan)
    return panel, score, forecast


def basis(history, forecast):
    panel, score, _ = history
    market = replace(MARKET, symbols=panel.symbols)
    return Basis.of(panel, score, panel.traded, market, volatility=forecast)


def table_of(panel, score, forecast, half_life):
    index = pd.MultiIndex.from_product([panel.timestamps, panel.symbols])
    table = index.to_frame(index=False, name=["timestamp", "symbol"])
    known = {"score": score.ravel(), "volatility": forecast.ravel(), "half_life": half_life}
    return table.assign(**known)[np.isfinite(score.ravel())]


def test_other_predictions_trade_as_on_a_basis_of_their_own(history, monkeypatch):
    """To the last bit, with the bars prepared once."""
    panel, score, forecast = history
    market, terms = replace(MARKET, symbols=panel.symbols), Terms.of(MARKET, 10_000.0)
    own, other = table_of(panel, score, forecast, 7.0), table_of(panel, -score, 2 * forecast, 3.0)
    given = Basis.of_predictions(panel, own, panel.traded, market)
    alone = Basis.of_predictions(panel, other, panel.traded, market)
    lasting = np.full(len(panel.timestamps), 7.0)
    lasting[np.isnan(score).all(axis=1)] = np.nan
    plain = Basis.of(panel, score, panel.traded, market, lasting, forecast)
    assert given.trade(terms).equity.tobytes() == plain.trade(terms).equity.tobytes()
    monkeypatch.delattr("trading_pipeline.core.backtest.basis.prepare")
    found = given.of_others(other, market)
    assert found.trade(terms).equity.tobytes() == alone.trade(terms).equity.tobytes()
    assert found.evidence.share.tobytes() == alone.evidence.share.tobytes()
    elsewhere = other.assign(timestamp=other["timestamp"] + pd.DateOffset(years=50))
    with pytest.raises(TradingError, match="no prediction belongs to a bar"):
        given.of_others(elsewhere, market)


def test_an_expected_return_is_the_same_in_another_unit_of_risk():
    """By hand: 1.5 and -0.5 beyond the mean of 0.5, at twice and half of σ; the mean stays."""
    score, sigma = np.array([[2.0, 0.0, 0.5, -0.5]]), np.full((1, 4), 0.01)
    forecast = np.array([[0.02, 0.005, 0.03, 0.01]])
    wanted = [[0.5 + 1.5 / 2, 0.5 - 0.5 * 2, 0.5, -0.5]]
    got = in_units_of(forecast, score, sigma)
    np.testing.assert_allclose(got, wanted)
    np.testing.assert_allclose((got - 0.5) * forecast, (score - 0.5) * sigma)


def test_what_is_expected_of_the_market_alone_prefers_no_symbol():
    score = np.full((3, 5), 0.2)
    forecast = np.random.default_rng(0).uniform(0.01, 0.05, score.shape)
    np.testing.assert_array_equal(in_units_of(forecast, score, np.full(score.shape, 0.02)), score)


def test_a_symbol_that_never_moved_keeps_its_score():
    """And one without a score, or a forecast; infinity is left for those who refuse it."""
    score = np.array([[1.0, np.nan, 3.0, np.inf]])
    forecast, sigma = np.array([[0.0, 0.02, np.nan, 0.02]]), np.array([[0.0, 0.01, 0.01, 0.01]])
    got = in_units_of(forecast, score, sigma)
    np.testing.assert_array_equal(got, score)


def test_sigma_as_the_forecast_changes_no_bit(history):
    panel, score, _ = history
    plain, terms = basis(history, None), Terms.of(MARKET, 100_000.0)
    for sigma in (volatility(panel), np.nextafter(volatility(panel), np.inf)):  # another processor
        same = basis(history, sigma)
        np.testing.assert_array_equal(same.score, score)
        np.testing.assert_array_equal(plain.trade(terms).equity, same.trade(terms).equity)


def test_a_forecast_moves_the_strategy_and_no_baseline(history):
    terms = Terms.of(MARKET, 100_000.0)
    plain, other = basis(history, None), basis(history, history[2])
    assert not np.array_equal(plain.trade(terms).equity, other.trade(terms).equity)
    baselines = plain.trade_baselines(terms), other.trade_baselines(terms)
    for name, each in baselines[0].items():
        np.testing.assert_array_equal(each.equity, baselines[1][name].equity)


def test_where_nothing_was_forecast_sigma_holds(history):
    """A symbol that is held after its last prediction has a risk still; stops are in σ always."""
    panel, score, forecast = history
    sigma, known = volatility(panel), np.isfinite(score)
    got = basis(history, forecast)
    np.testing.assert_array_equal(got.volatility[known], forecast[known])
    np.testing.assert_array_equal(got.volatility[~known], sigma[~known])
    assert got.inputs.volatility is None


def test_a_table_without_a_volatility_forecasts_none(history):
    panel, _, _ = history
    table = pd.DataFrame({"timestamp": panel.timestamps[:2], "symbol": panel.symbols[0]})
    assert np.isnan(volatilities(panel, table)).all()
    said = volatilities(panel, table.assign(volatility=[0.1, 0.2]))
    assert said[:2, 0].tolist() == [0.1, 0.2]
    assert np.isnan(said[2:]).all()
