"""Close by close, what sizes a bar is what sized it in the backtest, to the last bit."""

from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest

from trading_pipeline.core.backtest.basis import inputs_of
from trading_pipeline.core.backtest.signal_walk import SignalWalk
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.walk import MarketWalk
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import prepare
from trading_pipeline.core.trading.trader import Signals
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.market.wild import wild_panel
from trading_pipeline_tests.core.trading.markets import panel_of_opens

LOOKBACK, WINDOW = 40, 8


def market_of(panel, **changes) -> Market:
    made = Market(
        name="walked",
        source="parquet",
        symbols=panel.symbols,
        start=date(2024, 1, 1),
        calendar="24/7",
        horizon=5,
        shortable=True,
        costs=Costs(fee=0.0005),
        limits={"kelly_fraction": 0.002, "kelly_floor": 0.01},
    )
    return replace(made, **changes)


def calm_panel(T=620, N=24):
    rng = np.random.default_rng(7)
    returns = rng.normal(0, 0.02, (T, N)) + rng.normal(0, 0.01, (T, 1))
    return panel_of_opens(100 * np.exp(np.cumsum(returns, axis=0)))


def predictions(panel, seed=0, from_row=60):
    """Scores with some skill, how long they last, and a volatility that is a forecast at times."""
    rng, shape = np.random.default_rng(seed), panel.close.shape
    moves = np.nan_to_num(np.diff(np.log(panel.adjusted_close), axis=0))
    score = rng.normal(size=shape)
    score[:-2] += 5 * moves[1:]
    score[:from_row], score[rng.random(shape) < 0.05], score[::37] = np.nan, np.nan, np.nan
    sigma = prepare(panel).volatility
    forecast = np.where(rng.random(shape) < 0.7, sigma * rng.uniform(0.7, 1.5, shape), sigma)
    return score, 3.0 + np.arange(len(score)) % 7, forecast


def check(panel, market, first, score, half_life, volatility):
    """All signals of all rows from `first` on; the shares of the tilt."""
    able, prepared = eligible(panel, LOOKBACK, WINDOW), prepare(panel)
    told = score, half_life, volatility
    inputs, _ = inputs_of(panel, prepared, *told, able, groups_of(panel, market), market)
    walk = MarketWalk(panel.until(first), LOOKBACK, WINDOW, own=50)
    known = (each[:first] for each in told)
    signals, shares = SignalWalk(panel.until(first), market, able[:first], *known), []
    for row in range(first, len(panel.timestamps)):
        seen = walk.step(panel)
        found = signals.step(panel, seen, *(each[row] for each in told))
        expected = Signals.of(prepared, inputs, row)
        for name in (each.name for each in fields(Signals)):
            one, other = (np.asarray(getattr(each, name)) for each in (found, expected))
            assert one.shape == other.shape, name
            np.testing.assert_array_equal(one, other, err_msg=f"{name} of row {row}")
        shares.append(found.kelly)
    assert len(shares) > 200, "few rows were compared"
    return np.array(shares)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "changes"),
    [
        (40, {}),
        (330, {}),
        (200, {"mandate": "neutral"}),
        (100, {"benchmark": {"S00": 0.5, "S03": 0.5}, "sectors": {"S01": "a", "S02": "a"}}),
    ],
)
@pytest.mark.sampled(4)
def test_signals_of_a_market_that_gives_evidence(first, changes):
    """It is complete after 250 days, so that shares change with every bar from then on."""
    panel = calm_panel()
    shares = check(panel, market_of(panel, **changes), first, *predictions(panel))
    assert len(np.unique(shares[np.isfinite(shares)])) > 50, "no evidence sizes anything"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "first"), [(0, 1), (1, 300), (2, 90)])
@pytest.mark.sampled(3)
def test_signals_of_a_wild_market(seed, first):
    """With gaps, breaks, symbols that come and go."""
    panel = wild_panel(seed, N=26)
    check(panel, market_of(panel), first, *predictions(panel, seed))


def test_an_infinite_score_is_refused():
    panel = calm_panel(T=120)
    score, half_life, volatility = predictions(panel)
    score[110, 3] = np.inf
    walk = MarketWalk(panel.until(110), LOOKBACK, WINDOW, own=50)
    able = eligible(panel, LOOKBACK, WINDOW)[:110]
    known = (each[:110] for each in (score, half_life, volatility))
    signals = SignalWalk(panel.until(110), market_of(panel), able, *known)
    told = score[110], half_life[110], volatility[110]
    with pytest.raises(TradingError, match=r"score of S03 at 2024-04-20 .* is infinite"):
        signals.step(panel, walk.step(panel), *told)
