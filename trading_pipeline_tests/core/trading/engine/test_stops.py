"""Stop-loss and take-profit: where they lie, at what price they fill, and what comes after."""

from dataclasses import replace
from math import exp, inf, sqrt

import numpy as np
import pytest

from trading_pipeline.core.market.market import Costs
from trading_pipeline_tests.core.trading.markets import panel_of, simulated
from trading_pipeline_tests.core.trading.one_close import OPEN

HORIZON, SIGMA = 4, 0.05
STOP, TAKE = 3.0, 5.0
RULES = replace(OPEN, gross_cap=1.5, stop_loss=STOP, take_profit=TAKE)
NO_STOPS = replace(RULES, stop_loss=inf, take_profit=inf)
SLIP = Costs(fee=0.001, slippage=0.01, borrow=0, debit=0, min_notional=0, leverage=1.5)


def run(close, weight=0.5, profile=RULES, **options):
    """Hold `weight` of one symbol at all closes; σ is 5 % a bar, the horizon 4 bars."""
    panel = panel_of(close, **options)
    T = len(panel.close)
    weights = np.broadcast_to(np.reshape(weight, (-1, 1)), (T, 1))
    return simulated(
        panel,
        start=0,
        stop=T,
        capital=1e5,
        costs=SLIP,
        bars_per_year=252,
        horizon=HORIZON,
        mandate="neutral",
        shortable=True,
        profile=profile,
        weights=weights,
        volatility=np.full((T, 1), SIGMA),
    )


def exits(book):
    fills = book.fills("s")
    return fills[fills["kind"] != "order"]


def bars(*rows):
    """open, high, low, close per bar."""
    open_, high, low, close = np.array(rows, dtype=float).T
    return {"close": close, "open_": open_, "high": high, "low": low}


CALM = (100, 100, 100, 100)


def test_a_stop_within_the_bar_fills_at_its_level_and_slips():
    entry = 101.0  # bought at 100 with 1 % slippage
    level = entry * exp(-STOP * SIGMA * sqrt(HORIZON))
    book = run(**bars(CALM, CALM, (90, 92, 70, 91)))
    (stop,) = exits(book).itertuples()
    assert stop.kind == "stop_loss"
    assert stop.filled_at == book.timestamps[2]
    assert stop.price == pytest.approx(level * 0.99, rel=1e-12)
    assert stop.fee == pytest.approx(-stop.quantity * stop.price * 0.001)
    assert book.quantity[2, 0] == 0


@pytest.mark.parametrize(("beyond", "count"), [(1e-9, 1), (-1e-9, 0)])
def test_a_barrier_counts_from_the_price_that_touches_it(beyond, count):
    """A billionth on this side does nothing, a billionth on the other fills; for all four."""
    stop, take = STOP * SIGMA * sqrt(HORIZON), TAKE * SIGMA * sqrt(HORIZON)
    for weight, entry, low, high in (
        (0.5, 101, 101 * exp(-stop) * (1 - beyond), 100),
        (0.5, 101, 100, 101 * exp(take) * (1 + beyond)),
        (-0.5, 99, 100, 99 * exp(stop) * (1 + beyond)),
        (-0.5, 99, 99 * exp(-take) * (1 - beyond), 100),
    ):
        book = run(**bars(CALM, CALM, (100, high, low, 100)), weight=weight)
        assert book.fills("s")["price"].iloc[0] == pytest.approx(entry)
        assert len(exits(book)) == count


def test_a_gap_through_the_stop_fills_at_the_open():
    (stop,) = exits(run(**bars(CALM, CALM, (60, 95, 50, 90)))).itertuples()
    assert (stop.kind, stop.price) == ("stop_loss", pytest.approx(60 * 0.99))


def test_a_stop_is_live_on_the_bar_of_its_entry():
    book = run(**bars(CALM, (100, 101, 60, 90), CALM))
    assert len(exits(book)) == 1
    assert exits(book)["filled_at"].iloc[0] == book.timestamps[1]
    assert book.quantity[1, 0] == 0


def test_the_stop_comes_first_when_one_bar_touches_both():
    (stop,) = exits(run(**bars(CALM, CALM, (100, 300, 50, 100)))).itertuples()
    assert stop.kind == "stop_loss"


def test_a_take_profit_is_a_limit_order_and_does_not_slip():
    level = 101 * exp(TAKE * SIGMA * sqrt(HORIZON))
    (taken,) = exits(run(**bars(CALM, CALM, (100, 200, 99, 150)))).itertuples()
    assert (taken.kind, taken.price) == ("take_profit", pytest.approx(level))
    (taken,) = exits(run(**bars(CALM, CALM, (180, 200, 170, 190)))).itertuples()
    assert (taken.kind, taken.price) == ("take_profit", 180.0), "gapped: the better open"


def test_shorts_mirror_longs():
    entry = 99.0
    level = entry * exp(STOP * SIGMA * sqrt(HORIZON))
    (stop,) = exits(run(**bars(CALM, CALM, (100, 140, 99, 120)), weight=-0.5)).itertuples()
    assert (stop.kind, stop.price) == ("stop_loss", pytest.approx(level * 1.01))
    (stop,) = exits(run(**bars(CALM, CALM, (150, 160, 140, 150)), weight=-0.5)).itertuples()
    assert stop.price == pytest.approx(150 * 1.01)
    (taken,) = exits(run(**bars(CALM, CALM, (100, 101, 50, 60)), weight=-0.5)).itertuples()
    assert taken.price == pytest.approx(entry * exp(-TAKE * SIGMA * sqrt(HORIZON)))


def test_a_stop_follows_the_average_entry_with_sigma_frozen():
    """Half bought at 101, as much again at 121.2: the stop hangs below 111.1."""
    book = run(
        **bars(CALM, CALM, (120, 120, 120, 120), (120, 121, 70, 100)),
        weight=[0.2, 0.5, 0.5, 0.5],
    )
    bought = book.fills("s")[:2]
    average = (bought["quantity"] * bought["price"]).sum() / bought["quantity"].sum()
    (stop,) = exits(book).itertuples()
    assert stop.price == pytest.approx(0.99 * average * exp(-STOP * SIGMA * sqrt(HORIZON)))


def test_a_dividend_and_a_split_move_the_stop_with_the_price():
    """A special dividend of a third, or a split, is no loss; nothing may be stopped out."""
    flat = (100, 100, 100, 100)
    book = run(**bars(flat, flat, (60, 60, 60, 60), (60, 60, 60, 60)), dividend={(2, 0): 40.0})
    assert exits(book).empty
    assert len(exits(run(**bars(flat, flat, (60, 60, 60, 60), (60, 60, 60, 60))))), "a loss is"
    book = run(**bars(flat, flat, (50, 50, 50, 50), (50, 50, 50, 50)), split={(2, 0): 2.0})
    assert exits(book).empty


def test_after_a_stop_the_symbol_is_blocked_for_the_horizon():
    crash = (60, 60, 60, 60)
    book = run(**bars(CALM, CALM, *[crash] * 10))
    held = book.quantity[:, 0] != 0
    # Stopped in bar 2; the four decisions from there on are refused, the fifth is filled at 7.
    assert held.tolist() == [False, True] + [False] * 5 + [True] * 5
    vetoes = book.vetoes()
    assert (vetoes["rule"] == "cooling_off").all()
    assert vetoes["figure"].tolist() == [4, 3, 2, 1]


def test_a_signal_that_turns_ends_the_block():
    crash = (60, 60, 60, 60)
    book = run(**bars(CALM, CALM, *[crash] * 5), weight=[0.5, 0.5, 0.5, -0.4, -0.4, -0.4, -0.4])
    assert book.quantity[3, 0] == 0
    assert book.quantity[4, 0] < 0


def test_an_order_that_was_pending_when_the_stop_gapped_lapses():
    """The target rises at the close before the gap: the stop sells, the order must not buy."""
    book = run(**bars(CALM, CALM, (60, 60, 60, 60)), weight=[0.2, 0.5, 0.5])
    assert book.orders("s")["decided_at"].iloc[-1] == book.timestamps[1]
    assert book.quantity[2, 0] == 0
    assert len(book.fills("s")) == 2
    assert list(book.lapsed("s")["lapsed_at"]) == [book.timestamps[2]]


def test_an_order_that_closes_anyway_needs_no_stop():
    book = run(**bars(CALM, CALM, (60, 60, 60, 60)), weight=[0.5, 0.0, 0.0])
    assert exits(book).empty
    assert book.quantity[2, 0] == 0


def test_without_stops_a_position_rides_through():
    book = run(**bars(CALM, CALM, (60, 60, 60, 60)), profile=NO_STOPS)
    assert exits(book).empty
    assert book.quantity[2, 0] > 0
