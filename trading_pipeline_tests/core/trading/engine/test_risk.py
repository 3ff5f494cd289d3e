"""Limits on the whole book: when they trip, what they refuse, and how trading resumes."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from trading_pipeline.core.trading.engine.dtypes import FLAT, FULL, HALF, periods_of
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import FREE, panel_of, simulated, stamps
from trading_pipeline_tests.core.trading.one_close import OPEN

# The account rules alone: given weights are taken as they are, and nothing is stopped out.
OFF = {"daily_loss": inf, "weekly_loss": inf, "monthly_loss": inf, "halve": inf, "flat": inf}
RULES = replace(
    OPEN, daily_loss=0.015, weekly_loss=0.03, monthly_loss=0.05, halve=0.07, flat=0.12,
    long_only=True,
)  # fmt: skip
DRAWDOWN_ONLY = replace(RULES, daily_loss=inf, weekly_loss=inf, monthly_loss=inf)
CONTROLLED = replace(OPEN, drawdown_limit=0.2)
TERMS = {
    "start": 0,
    "capital": 1e5,
    "costs": FREE,
    "bars_per_year": 365,
    "horizon": 10,
    "mandate": "long_only",
    "shortable": False,
}


def invested(close, profile=RULES, start="2023-12-31", weights=None, **options):
    """A book fully invested in one symbol from the first close, far from any stop."""
    terms = TERMS | {"bars_per_year": options.pop("bars_per_year", 365)}
    panel = panel_of(close, start=start, **options)
    asked = np.ones(panel.close.shape) if weights is None else weights
    sigma = np.full(panel.close.shape, 10.0)
    return simulated(
        panel, stop=len(close), weights=asked, volatility=sigma, profile=profile, **terms
    )


def opened_at_last_close(close):
    return np.concatenate([close[:1], close[:-1]])


def first(flags):
    return int(np.argmax(flags)) if np.any(flags) else None


def test_the_golden_sequence_of_a_slow_crash():
    """Limits 1.5 / 3 / 5 %, halve 7, flat 12; fully invested, -1 % a day from a Monday (row 1).

    Week on day 4, month on day 6, halved on day 8 (filled at the next open), flat on day 18, and
    the daily limit never.
    """
    close = 100 * 0.99 ** np.arange(25)
    book = invested(close, open_=opened_at_last_close(close))
    assert first(book.log["week_breached"]) == 4
    assert first(book.log["month_breached"]) == 6
    assert first(book.size == HALF) == 8
    assert first(book.size == FLAT) == 18
    assert not book.log["day_breached"].any()
    np.testing.assert_allclose(book.weight[8], 1.0)
    np.testing.assert_allclose(book.fills_made["quantity"][9, 0, 0], -500.0)
    assert book.quantity[18, 0] == pytest.approx(500)
    assert book.quantity[19, 0] == 0


def test_the_golden_sequence_holds_when_weights_are_asked_once():
    """What was asked for stays asked for: NaN asks for nothing new."""
    close = 100 * 0.99 ** np.arange(25)
    once = np.full((25, 1), np.nan)
    once[0] = 1.0
    book = invested(close, open_=opened_at_last_close(close), weights=once)
    assert (first(book.size == HALF), first(book.size == FLAT)) == (8, 18)
    assert book.quantity[9, 0] == pytest.approx(500)
    assert book.quantity[19, 0] == 0


def crash_and_rise(after):
    """20 % down in one bar, then `after` bars of +0.1 %."""
    close = np.concatenate([[100, 100, 80], 80 * 1.001 ** np.arange(1, after + 1)])
    return close, opened_at_last_close(close)


def test_flat_for_21_days_then_half_then_full_at_a_new_peak():
    close, open_ = crash_and_rise(40)
    book = invested(close, profile=DRAWDOWN_ONLY, open_=open_)
    sizes = book.size
    assert (sizes[:2] == FULL).all()
    assert (sizes[2:23] == FLAT).all()
    assert sizes[23] == HALF, "the 21st day after the trip"
    assert book.log["flattenings"][-1] == 1
    assert (book.quantity[3:24] == 0).all()
    np.testing.assert_allclose(book.weight[24, 0], 0.5, rtol=1e-3)
    assert book.log["rule_peak"][23] == book.equity[23], "measured from where it re-entered"
    assert book.log["peak"][23] == book.equity[:24].max(), "the reported drawdown is not reset"
    assert sizes[24] == FULL, "half size has earned a new peak by the close of its first bar"
    np.testing.assert_allclose(book.weight[25, 0], 1.0)


def test_without_a_new_peak_full_size_returns_after_63_days():
    close = np.concatenate([[100, 100, 80], np.full(120, 80.0)])
    close[24:] = 79.99
    book = invested(close, open_=opened_at_last_close(close))
    assert (book.size[23:86] == HALF).all()
    assert book.size[86] == FULL


def test_a_halved_book_below_its_limit_does_not_return_by_waiting():
    """63 days later it would be halved again at once."""
    close = np.concatenate([[100, 100, 92], np.full(120, 92.0)])
    book = invested(close, open_=opened_at_last_close(close))
    assert (book.size[2:] == HALF).all()
    assert book.log["halvings"][-1] == 1


def test_a_loss_limit_lets_exposure_fall_but_not_rise():
    """Monday loses 4 %: the rest of the ISO week may only sell; the next Monday may buy."""
    close = np.array([100, 96] + [96.0] * 12)
    weights = np.full((14, 1), 0.8)
    weights[2], weights[4] = 0.9, 0.3
    loose = replace(RULES, monthly_loss=0.5, halve=0.5, flat=0.6)
    book = invested(close, profile=loose, weights=weights, open_=opened_at_last_close(close))
    bought = book.fills_made["quantity"][:, 0, 0]
    assert bought[1] > 0, "decided before the loss"
    assert bought[5] < 0, "a lower target is served"
    assert (bought[6:9] == 0).all()
    assert bought[9] > 0, "row 8 is the next Monday"
    vetoes = book.vetoes()
    assert vetoes["rule"].tolist()[0] == "daily_loss", "the day of the fall itself"
    vetoes = vetoes[vetoes["rule"] == "weekly_loss"]
    np.testing.assert_allclose(vetoes["figure"], 0.032, rtol=1e-6)
    assert (vetoes["limit"] == 0.03).all()
    assert vetoes["decided_at"].max() == book.timestamps[7], "Sunday still belongs to the week"


def test_a_daily_loss_is_measured_from_the_previous_close():
    """And refuses what would be bought at that close, not at the next."""
    close = np.array([100, 100, 96.8, 96.8, 96.8])
    weights = np.array([[0.5], [0.5], [0.9], [0.9], [0.9]])
    book = invested(close, open_=opened_at_last_close(close), weights=weights)
    assert book.log["day_breached"].tolist() == [0, 0, 1, 0, 0]
    np.testing.assert_allclose(book.log["day_loss"][2], 0.016)
    assert book.vetoes()["rule"].tolist() == ["daily_loss"]
    assert (np.diff(book.quantity[:, 0]) > 0).tolist() == [True, False, False, True]


def test_drawdown_control_leaves_the_exposure_that_the_drawdown_leaves():
    """Worked by hand, with ten bars a year: a peak sinks by a tenth of its way down in each.

    From 100, of which all is invested: at 90 the peak is 99, the drawdown 9 / 99, and of a limit of
    0.2 there remains 0.5455. So 0.5455 of 90 are held, and at the next close, 10 % lower, 85.0909
    are left: the peak is 99 - 1.39091 = 97.6091, the drawdown 0.128248, the share 0.358761.
    """
    close = np.array([100, 100, 90, 81, 81.0])
    book = invested(close, CONTROLLED, open_=opened_at_last_close(close), bars_per_year=10)
    log = book.log
    np.testing.assert_allclose(log["aged_peak"][:4], [1e5, 1e5, 99e3, 97609.0909], rtol=1e-9)
    np.testing.assert_allclose(log["drawdown"][:4], [0, 0, 1 / 11, 0.1282481], atol=1e-7)
    np.testing.assert_allclose(log["drawdown_share"][:4], [1, 1, 6 / 11, 0.3587594], atol=1e-7)
    np.testing.assert_allclose(log["exposure"][:4], log["drawdown_share"][:4], rtol=1e-12)
    np.testing.assert_allclose(book.weight[3, 0], 6 / 11 * 81 / 85.0909091, rtol=1e-9)
    assert book.log["peak"][3] == 1e5, "the reported drawdown keeps the true peak"
    assert not book.fills_made["quantity"][2, 0, 0], "decided at the close of the fall"


def test_drawdown_control_sells_everything_at_its_limit_and_comes_back_as_the_peak_ages():
    """30 % down: nothing is held until the peak, sinking to the equity, leaves some room again."""
    close = np.concatenate([[100, 100, 60], np.full(40, 60.0)])
    book = invested(close, CONTROLLED, open_=opened_at_last_close(close), bars_per_year=10)
    share = book.log["drawdown_share"]
    assert share[2] == 0
    assert book.quantity[3, 0] == 0
    back = first(share[2:] > 0) + 2
    assert 4 < back < 12
    assert (np.diff(share[back:-1]) > 0).all()
    assert share[-2] > 0.9
    assert book.weight[-1, 0] == pytest.approx(share[-2])


def test_drawdown_control_that_is_off_leaves_everything():
    close = np.array([100, 100, 50, 50, 50.0])
    book = invested(close, OPEN, open_=opened_at_last_close(close))
    assert (book.log["drawdown_share"][:-1] == 1).all()
    np.testing.assert_allclose(book.weight[1:, 0], 1.0)


def test_a_rule_that_is_off_never_trips():
    """An account that loses nearly all of it is neither halved nor refused anything."""
    close = 100 * 0.9 ** np.arange(25)
    book = invested(close, replace(OPEN, **OFF), open_=opened_at_last_close(close))
    assert (book.size == FULL).all()
    assert not book.log["acting"][:-1].any()
    assert book.vetoes().empty


def test_periods_are_utc_days_iso_weeks_and_months():
    at = stamps(3, "2023-12-30").append(stamps(2, "2024-01-07 23:00", "1h"))
    day, week, month = periods_of(at).T
    assert np.diff(day).tolist() == [1, 1, 6, 1]
    assert np.diff(week).tolist() == [0, 1, 0, 1], "30 and 31 December 2023 are a weekend"
    assert np.diff(month).tolist() == [0, 1, 0, 0]


def test_intraday_bars_share_the_limits_of_their_day():
    """Hours of one day add up to its loss, and the flat pause counts days, not bars."""
    close = np.concatenate([[100.0] * 24, [80.0] * 24 * 24])
    panel = panel_of(close)
    hourly = panel.__class__(**{**panel.__dict__, "timestamps": stamps(len(close), step="1h")})
    book = simulated(
        hourly,
        stop=len(close),
        weights=np.ones((len(close), 1)),
        volatility=np.full((len(close), 1), 10.0),
        profile=RULES,
        **TERMS,
    )
    assert first(book.size == FLAT) == 24
    assert first(book.size == HALF) == 24 + 21 * 24


def test_a_bankrupt_account_closes_and_never_trades_again():
    """A short that triples takes all the equity."""
    close = np.array([100, 100, 310, 300, 100, 100, 100.0])
    panel = panel_of(close, open_=opened_at_last_close(close))
    terms = TERMS | {"mandate": "neutral", "shortable": True}
    book = simulated(panel, stop=7, weights=-np.ones((7, 1)) * 0.9, **terms)
    assert book.equity[2] < 0
    assert (book.quantity[3:] == 0).all()
    assert (book.equity[3:] == book.equity[3]).all()
    assert "bankrupt" in set(book.vetoes()["rule"])


@pytest.mark.parametrize("name", list(PROFILES))
def test_nothing_opens_while_a_rule_forbids_it(name):
    """Whatever the scores: exposure never rises on a decision that was refused."""
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(-0.003, 0.03, (300, 4)), axis=0))
    panel = panel_of(close)
    scores = np.abs(rng.normal(1, 0.3, close.shape))
    tight = {"daily_loss": 0.004, "weekly_loss": 0.008, "monthly_loss": 0.02}
    profile = replace(PROFILES[name], **tight, halve=0.03, flat=0.05)
    book = simulated(panel, stop=300, score=scores, profile=profile, **TERMS | {"start": 70})
    log = book.log
    breached = (log["day_breached"] | log["week_breached"] | log["month_breached"]).astype(bool)
    forbidden = (breached | (log["size"] == FLAT))[:-1]
    moved = np.abs(book.quantity[1:]) - np.abs(book.quantity[:-1])
    assert forbidden.sum() > 20
    assert (moved[forbidden] <= 1e-12).all()
    assert (moved[~forbidden] > 0).any()
