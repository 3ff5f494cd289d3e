"""A simulation adds up, whatever the market, the weights and the scores."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.trading.inputs import recent_returns, recent_rows
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.backtest.accounting import accounting_error
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    panel_of,
    random_panel,
    random_scores,
    simulated,
    stamps,
)

TERMS = {
    "start": 0,
    "capital": 1e5,
    "bars_per_year": 252,
    "horizon": 10,
    "mandate": "neutral",
    "shortable": True,
}
SEEDS = st.integers(0, 10**6)
DEAR = Costs(fee=0.004, slippage=0.003, borrow=0.2, debit=0.3, leverage=2.0)


def asked(seed, panel):
    """(T, N) weights, long and short, mostly held."""
    rng = np.random.default_rng(seed + 7)
    weights = rng.normal(0, 0.3, panel.close.shape)
    weights[rng.random(len(weights)) < 0.8] = np.nan
    weights[rng.random(weights.shape) < 0.1] = 0.0
    return weights


def managed(seed, profile="moderate", costs=DEAR, capital=1e5, **changes):
    panel = random_panel(seed)
    terms = TERMS | {"start": 64, "capital": capital} | changes
    scores = random_scores(seed, panel)
    return simulated(panel, stop=160, score=scores, profile=PROFILES[profile], costs=costs, **terms)


@given(SEEDS, st.sampled_from(sorted(PROFILES)))
@pytest.mark.slow
def test_cash_and_positions_add_up_after_every_bar(seed, profile):
    mandate = "long_only" if profile == "conservative" else "neutral"
    result = managed(seed, profile, mandate=mandate)
    assert accounting_error(result) < 1e-12
    assert len(result.fills("s")) > 5
    fills, flows = result.fills("s"), result.cash_flows()
    paid = (fills["quantity"] * fills["price"] + fills["fee"]).sum()
    assert result.cash[-1] == pytest.approx(1e5 - paid + flows["amount"].sum(), rel=1e-9)


def test_the_accounting_check_notices_a_cent():
    """Money that appears, a fill that is lost, a share too many: each is found."""
    for record, name in (("log", "cash"), ("events", "fee"), ("payments", "dividend")):
        book = managed(5)
        getattr(book, record)[name][50] += 0.01
        assert accounting_error(book) > 1e-9, name
    book = managed(5)
    book.quantity[50, 1] += 0.01
    assert accounting_error(book) > 1e-9


@settings(max_examples=15)
@given(SEEDS, st.floats(1.1, 4.0))
@pytest.mark.slow
def test_higher_costs_never_help(seed, times):
    """The same fills at a higher fee or slippage, borrow or interest, end with less."""
    panel = random_panel(seed)
    weights = asked(seed, panel) / 8  # far from any limit of cash
    cheap = Costs(fee=0.001, slippage=0.001, borrow=0.01, debit=0.01, leverage=9)
    first = simulated(panel, stop=160, weights=weights, costs=cheap, **TERMS).equity[-1]
    for name in ("fee", "slippage", "borrow"):
        dear = replace(cheap, **{name: getattr(cheap, name) * times})
        assert simulated(panel, stop=160, weights=weights, costs=dear, **TERMS).equity[-1] < first


@settings(max_examples=15)
@given(SEEDS, st.floats(0.5, 1000))
@pytest.mark.slow
def test_capital_times_k_gives_everything_times_k(seed, k):
    free = replace(DEAR, min_notional=0, participation=inf)
    one, many = managed(seed, costs=free), managed(seed, costs=free, capital=1e5 * k)
    np.testing.assert_allclose(many.equity, k * one.equity, rtol=1e-9)
    np.testing.assert_allclose(many.quantity, k * one.quantity, rtol=1e-8, atol=1e-8 * k)
    assert (many.reasons == one.reasons).all()


@settings(max_examples=15)
@given(SEEDS, st.integers(66, 159))
@pytest.mark.slow
def test_the_future_changes_nothing(seed, stop):
    """Cutting the panel leaves every earlier bit as it was."""
    panel = random_panel(seed)
    scores, terms = random_scores(seed, panel), TERMS | {"start": 64, "costs": DEAR}
    whole = simulated(panel, stop=160, score=scores, profile=PROFILES["moderate"], **terms)
    cut = simulated(
        panel.until(stop), stop=stop, score=scores[:stop], profile=PROFILES["moderate"], **terms
    )
    K = stop - 64
    assert cut.log[: K - 1].tobytes() == whole.log[: K - 1].tobytes()
    assert cut.decisions[: K - 1].tobytes() == whole.decisions[: K - 1].tobytes()
    assert cut.fills_made.tobytes() == whole.fills_made[:K].tobytes()
    assert (cut.equity == whole.equity[:K]).all()


def test_the_same_simulation_twice_is_the_same():
    assert managed(9).log.tobytes() == managed(9).log.tobytes()


def test_no_signal_no_trade():
    panel = random_panel(2)
    zero = np.zeros(panel.close.shape)
    book = simulated(panel, stop=160, score=zero, profile=PROFILES["moderate"], costs=DEAR, **TERMS)
    assert book.fills("s").empty
    assert (book.equity == 1e5).all()
    assert book.trades().empty


def test_buying_and_holding_earns_the_price_less_one_cost():
    """Hand-worked: 100,000 at weight 1, bought at 50 with 5 bp slippage and 10 bp fee."""
    panel = panel_of([50.0, 50, 55, 60], open_=[50.0, 50, 52, 58])
    weights = np.full((4, 1), np.nan)
    weights[0] = 1.0
    book = simulated(panel, stop=4, weights=weights, costs=Costs(), **TERMS)
    units = 1e5 / (50 * 1.0005 * 1.001)
    assert book.quantity[1:, 0] == pytest.approx([units] * 3)
    assert book.equity == pytest.approx([1e5, units * 50, units * 55, units * 60])
    assert book.cash[1:] == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_five_bar_ledger_worked_by_hand():
    """Buy half, a dividend, a split, sell to a quarter, with fee 1 % and no slippage.

    Equity 1000. Bar 1: 5 bought at 100, fee 5. Bar 2: dividend 2 a share is 10. Bar 3: split 2,
    10 shares at 60 = 600. At its close equity is 495 + 10 + 600 = 1105, a quarter is 276.25, so
    5.395833 are sold in bar 4 at 60 for 323.75, fee 3.2375.
    """
    panel = panel_of(
        [100.0, 100, 98, 60, 60],
        split={(3, 0): 2.0},
        dividend={(2, 0): 2.0},
        open_=[100, 100, 98, 50, 60],
    )
    weights = np.array([[0.5], [np.nan], [np.nan], [0.25], [np.nan]])
    costs = Costs(fee=0.01, slippage=0, min_notional=0)
    book = simulated(panel, stop=5, weights=weights, costs=costs, **TERMS | {"capital": 1000})
    assert book.cash == pytest.approx([1000, 495, 505, 505, 505 + 323.75 - 3.2375])
    assert book.equity == pytest.approx([1000, 995, 995, 1105, 1101.7625])
    assert book.quantity[:, 0] == pytest.approx([0, 5, 5, 10, 10 - 323.75 / 60])
    assert book.cash_flows()["amount"].tolist() == pytest.approx([10])


def test_shorts_pay_dividends_and_borrow_and_debit_cash_pays_interest():
    flat = np.full((4, 2), 100.0)
    costs = Costs(fee=0, slippage=0, borrow=0.252, debit=0.504, leverage=3, min_notional=0)
    weights = np.full((4, 2), np.nan)
    weights[0] = [1.5, -0.4]
    panel = panel_of(flat, dividend={(3, 1): 1.0})
    book = simulated(panel, stop=4, weights=weights, costs=costs, **TERMS | {"capital": 1000})
    flows = book.cash_flows().groupby("kind")["amount"].sum()
    assert flows["borrow"] == pytest.approx(2 * -400 * 0.001)
    assert flows["dividend"] == pytest.approx(-4.0)
    assert flows["interest"] == pytest.approx(-100 * 0.002 * 2 - 0.8 * 0.001, rel=1e-2)


def test_an_order_without_a_bar_lapses_and_the_position_keeps_its_price():
    close = np.array([[10.0, 5], [11, 5], [np.nan, 5], [13, 5], [14, 5]])
    weights = np.array([[0.5, 0], [0.2, 0], [0.2, 0], [np.nan, 0], [np.nan, 0]])
    book = simulated(panel_of(close), stop=5, weights=weights, costs=FREE, **TERMS)
    assert book.lapsed("s")["lapsed_at"].tolist() == [book.timestamps[2]]
    assert book.quantity[1:, 0] == pytest.approx([5000] * 4), "nor is one sent without a bar"
    assert book.price[:, 0].tolist() == [10, 11, 11, 13, 14]
    assert "no_bar" in set(book.vetoes()["rule"])


def test_a_symbol_that_vanishes_keeps_its_last_value():
    close = np.array([[10.0, 5], [11, 5], [np.nan, 5], [np.nan, 5]])
    weights = np.full((4, 2), 0.5)
    panel = panel_of(close, open_=np.where(close == 11, 10, close))
    book = simulated(panel, stop=4, weights=weights, costs=FREE, **TERMS)
    assert book.equity.tolist() == pytest.approx([1e5, 1.05e5, 1.05e5, 1.05e5])
    assert book.quantity[-1, 0] == 5000


def test_buys_share_what_money_there_is():
    """Weights of 0.8 and 0.8 on cash only: each is cut to five eighths, sales come first."""
    close = np.full((6, 3), 10.0)
    weights = np.full((6, 3), np.nan)
    weights[0], weights[2] = [0.8, 0.8, 0], [0.5, 0, 0.5]
    book = simulated(panel_of(close), stop=6, weights=weights, costs=FREE, **TERMS)
    assert book.weight[1] == pytest.approx([0.5, 0.5, 0])
    assert book.weight[3] == pytest.approx([0.5, 0, 0.5])
    assert "buying_power" in book.fills("s")["reasons"].iloc[0]
    assert (book.cash >= -1e-6).all()


def test_gross_never_exceeds_the_leverage_at_the_open():
    panel = random_panel(8, missing=0)
    weights = asked(8, panel)
    book = simulated(panel, stop=160, weights=weights, costs=replace(DEAR, leverage=0.7), **TERMS)
    bought = (book.fills_made["quantity"][:, :, 0] != 0).any(axis=1)
    # Up to what the bar itself moved between its open and its close.
    assert book.exposure[bought].max() < 0.7 * 1.2
    assert book.exposure.max() > 0.5


def test_lots_round_towards_zero_and_closing_is_always_possible():
    close = np.array([10.0, 10, 10, 10, 10])
    weights = np.array([[0.333], [np.nan], [0.0], [np.nan], [np.nan]])
    costs = replace(FREE, lot=7.0)
    terms = TERMS | {"capital": 1000}
    book = simulated(panel_of(close), stop=5, weights=weights, costs=costs, **terms)
    assert book.quantity[:, 0].tolist() == [0, 28, 28, 0, 0]
    assert "lot" in book.orders("s")["reasons"].iloc[0]


def test_a_lot_that_floats_just_below_a_whole_number_is_whole():
    weights = np.array([[0.3], [np.nan], [np.nan]])
    costs, terms = replace(FREE, lot=0.1), TERMS | {"capital": 10}
    book = simulated(panel_of([10.0] * 3), stop=3, weights=weights, costs=costs, **terms)
    assert book.quantity[1, 0] == pytest.approx(0.3)


def test_small_orders_are_refused_with_their_figure():
    weights = np.array([[0.0005], [np.nan], [np.nan]])
    costs, terms = replace(FREE, min_notional=10), TERMS | {"capital": 1000}
    book = simulated(panel_of([10.0] * 3), stop=3, weights=weights, costs=costs, **terms)
    (veto,) = book.vetoes().itertuples()
    assert (veto.rule, veto.figure, veto.limit) == ("min_notional", pytest.approx(0.5), 10)
    assert book.orders("s").empty


def test_a_book_that_may_not_be_short_is_not():
    panel = random_panel(4)
    terms = TERMS | {"mandate": "long_only", "costs": DEAR}
    book = simulated(panel, stop=160, weights=asked(4, panel), **terms)
    assert (book.quantity >= 0).all()
    assert (book.quantity > 0).any()


def test_the_tables_have_the_columns_of_the_contract():
    book = managed(5)
    orders, fills = book.orders("live"), book.fills("live")
    names = "client_order_id decided_at symbol side quantity type limit_price stop_price reasons"
    assert list(orders) == names.split()
    names = "client_order_id filled_at symbol quantity price fee slippage kind reasons"
    assert list(fills) == names.split()
    assert list(book.cash_flows()) == ["at", "symbol", "kind", "amount"]
    assert orders["client_order_id"].is_unique
    assert fills["client_order_id"].is_unique
    assert (orders["quantity"] > 0).all()
    ordered = fills[fills["kind"] == "order"].merge(orders, on="client_order_id")
    assert len(ordered) == (fills["kind"] == "order").sum(), "every fill has its order"
    assert (ordered["filled_at"] > ordered["decided_at"]).all()


def test_recent_returns_are_adjusted_and_known_row_by_row():
    panel = random_panel(6, T=300)
    returns = recent_returns(panel)
    assert np.abs(returns).max() < 0.3, "a split is no return"
    for row in (0, 1, 40, 251, 252, 253, 299):
        got = recent_returns(panel.until(row + 1))[recent_rows(row)]
        assert got.tobytes() == returns[max(1, row - 251) : row + 1].tobytes()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"weights": None}, "give scores or weights"),
        ({"start": 5, "stop": 5}, r"rows \[5, 5\)"),
        ({"stop": 161}, "not within the panel's 160"),
        ({"capital": 0}, "capital must be positive"),
        ({"mandate": "hedged"}, "mandate must be one of"),
        ({"shortable": False}, "neutral mandate needs"),
        ({"weights": np.zeros((3, 3))}, r"weights has shape \(3, 3\)"),
        ({"weights": None, "score": np.zeros((160, 4))}, "sized by a profile"),
    ],
)
def test_impossible_requests_are_refused(changes, complaint):
    panel = random_panel(1)
    request = {"weights": np.zeros((160, 4)), "stop": 160, "costs": FREE} | TERMS | changes
    with pytest.raises(ValueError, match=complaint):
        simulated(panel, **request)


def test_an_infinite_score_names_symbol_and_bar():
    panel = random_panel(1)
    scores = np.zeros(panel.close.shape)
    scores[100, 2] = np.inf
    with pytest.raises(TradingError, match="score of CCC at 2024-04-10"):
        simulated(panel, stop=160, score=scores, profile=PROFILES["moderate"], costs=FREE, **TERMS)


def test_time_shifted_by_whole_weeks_shifts_everything():
    """Nothing depends on the date but the periods of the loss limits (28 days: none crossed)."""
    panel = random_panel(7, T=90)
    later = panel.__class__(**{**panel.__dict__, "timestamps": stamps(90, "2024-01-01", "1h")})
    hourly = panel.__class__(**{**panel.__dict__, "timestamps": stamps(90, "2023-05-01", "1h")})
    terms = TERMS | {"start": 64, "costs": DEAR, "volatility": volatility(panel)}
    books = [
        simulated(p, stop=90, score=random_scores(7, p), profile=PROFILES["moderate"], **terms)
        for p in (later, hourly)
    ]
    assert books[0].decisions.tobytes() == books[1].decisions.tobytes()
