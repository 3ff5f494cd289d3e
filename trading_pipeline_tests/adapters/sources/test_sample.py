"""The sample market: its golden numbers, and the contract of every source."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract


class TestContract(BarSourceContract):
    @pytest.fixture
    def source(self):
        return SampleSource()


@pytest.fixture(scope="module")
def bars():
    source = SampleSource()
    return source.bars(source.symbols(), *source.span(source.symbols()))


@pytest.fixture(scope="module")
def actions():
    return SampleSource().actions(SampleSource().symbols())


@pytest.mark.parametrize(
    ("symbol", "splits", "dividends"),
    [("AAPL", 2, 3), ("MSFT", 1, 37), ("IBM", 0, 52), ("GOOG", 0, 0)],
)
def test_actions_are_those_that_happened(actions, symbol, splits, dividends):
    kinds = actions.loc[actions["symbol"] == symbol, "kind"]
    assert ((kinds == "split").sum(), (kinds == "dividend").sum()) == (splits, dividends)


def test_every_split_was_two_for_one(actions):
    splits = actions[actions["kind"] == "split"]
    assert (splits["value"] == 2).all()
    assert list(splits["timestamp"].dt.strftime("%Y-%m-%d")) == [
        "2000-06-21",
        "2003-02-18",
        "2005-02-28",
    ]


def test_dividends_are_the_cents_that_were_paid(actions):
    """The adjusted close follows close + dividend on the ex-date: only so are they round."""
    cash = actions.loc[actions["kind"] == "dividend", "value"]
    np.testing.assert_array_equal(cash, cash.round(2))
    ibm = actions[actions["symbol"] == "IBM"].set_index("timestamp")["value"]
    assert ibm["2000-05-08"].item() == 0.13
    assert ibm["2012-11-07"].item() == 0.85


def test_the_largest_dividend_is_not_a_split(bars, actions):
    """MSFT paid 3.08 on 2004-11-15, 11.2 % of its price; volumes stay as they were traded."""
    stamp = pd.Timestamp("2004-11-15", tz="UTC")
    event = actions[(actions["symbol"] == "MSFT") & (actions["timestamp"] == stamp)]
    assert event[["kind", "value"]].to_numpy().tolist() == [["dividend", 3.08]]
    panel = Panel.of(bars, actions)
    t, n = panel.timestamps.get_loc(stamp), panel.symbols.index("MSFT")
    assert event["value"].item() / panel.close[t, n] == pytest.approx(0.112, abs=5e-4)
    scale = panel.adjusted_volume[:, n] / panel.volume[:, n]
    assert scale[t] == scale[t - 1] == 0.5  # the 2-for-1 split of 2003 only


@pytest.mark.parametrize(
    ("symbol", "golden"), [("AAPL", 13.409), ("MSFT", 0.817), ("IBM", 2.379), ("GOOG", 8.035)]
)
def test_total_returns_are_golden(bars, actions, symbol, golden):
    panel = Panel.of(bars, actions)
    close = panel.adjusted_close[:, panel.symbols.index(symbol)]
    close = close[~np.isnan(close)]
    assert close[-1] / close[0] == pytest.approx(golden, abs=5e-4)


def test_adjusting_and_paying_dividends_would_count_them_twice(bars, actions):
    """IBM would become 2.80 times its first price, and not 2.38."""
    panel = Panel.of(bars, actions)
    n = panel.symbols.index("IBM")
    earned = panel.adjusted_close[1:, n] / panel.adjusted_close[:-1, n]
    twice = np.prod(earned + panel.dividend[1:, n] / panel.close[:-1, n])
    assert np.prod(earned) == pytest.approx(2.38, abs=5e-3)
    assert twice == pytest.approx(2.80, abs=0.01)


@pytest.mark.parametrize(("symbol", "factor"), [("AAPL", 0.130), ("GOOG", 0.502)])
def test_the_shipped_adjusted_close_knows_of_later_events(symbol, factor):
    """Its last factor would be 1 if it did not: so only its changes are used."""
    from bokeh_sampledata import stocks

    shipped = getattr(stocks, symbol)
    assert shipped["adj_close"][-1] / shipped["close"][-1] == pytest.approx(factor, abs=5e-4)


def test_four_winners_flatter_any_weights(bars, actions):
    """Random ones, drawn monthly from the sixth year on: a Sharpe ratio of 0.80 [0.55, 1.03] that
    is 'significantly positive' 82 % of the time. No skill can be shown on them."""
    panel, rng, draws = Panel.of(bars, actions), np.random.default_rng(0), 400
    close = panel.adjusted_close[panel.timestamps >= "2005-03-01"]
    months = pd.Series(panel.timestamps[-len(close) :].tz_localize(None)).dt.to_period("M")
    parts = np.split(close, 1 + np.flatnonzero(np.diff(months.astype("int64"))))
    earned, before = [], parts[0][0]
    for part in parts:
        worth = np.vstack([np.ones(4), part / before]) @ rng.dirichlet(np.ones(4), draws).T
        earned.append(worth[1:] / worth[:-1] - 1)
        before = part[-1]
    returns = np.concatenate(earned)[1:]
    ratio = returns.mean(axis=0) / returns.std(axis=0)
    sharpe = ratio * np.sqrt(252)
    assert sharpe.mean() == pytest.approx(0.80, abs=0.03)
    assert np.quantile(sharpe, [0.025, 0.975]) == pytest.approx([0.55, 1.03], abs=0.05)
    assert (ratio * np.sqrt(len(returns)) > 1.96).mean() == pytest.approx(0.82, abs=0.05)


def test_adjusted_returns_are_those_of_the_shipped_adjusted_close(bars, actions):
    """Splits and dividends together explain every daily change of the adjusted close."""
    from bokeh_sampledata import stocks

    panel = Panel.of(bars, actions)
    for n, symbol in enumerate(panel.symbols):
        ours = panel.adjusted_close[panel.traded[:, n], n]
        shipped = np.array(getattr(stocks, symbol)["adj_close"])
        np.testing.assert_allclose(ours[1:] / ours[:-1], shipped[1:] / shipped[:-1], rtol=1e-6)


def test_prices_are_raw(bars):
    """Apple closed at 88.99 and opened at half of it after its split."""
    aapl = bars[bars["symbol"] == "AAPL"].set_index("timestamp")["close"]
    assert aapl["2005-02-25"].item() == 88.99
    assert aapl["2005-02-28"].item() == 44.86


def test_bars_are_canonical_and_no_session_is_missing(bars):
    pd.testing.assert_frame_equal(bars, check_bars(bars))
    expected = trading_calendar("XNYS", "1d").sessions(*SampleSource().span(["IBM"]))
    for _, rows in bars.groupby("symbol"):
        stamps = pd.DatetimeIndex(rows["timestamp"])
        assert stamps.equals(expected[expected >= stamps[0]])
