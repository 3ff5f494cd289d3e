"""What scores of unknown origin give away: the timing oracle's signals, and honest ones."""

from functools import cache

import numpy as np
import pytest

from trading_pipeline.core.leakage.timing import timing_of
from trading_pipeline.core.learning.targets import forward_returns
from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests.reference.timing import timing_signals
from trading_pipeline_tests.synthetic import panel as bars

SYMBOLS = tuple(f"S{n:02}" for n in range(12))
H = 10


@cache
def panel() -> Panel:
    return Panel.of(bars(300, SYMBOLS, days="XNYS"), None)


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=panel().close.shape)


def leaks(score: np.ndarray) -> list[str]:
    return timing_of(panel(), score, H).leaks(H)


def test_knowing_the_night_or_the_next_bar_is_a_leak_with_its_name():
    night, day = timing_signals(panel())
    assert [each.partition(":")[0] for each in leaks(night)] == [
        "the scores know the night after their bar"
    ]
    assert "the scores know the next bar" in leaks(day)[0]
    assert "stamp each by the last bar that it saw" in leaks(day)[0]


def test_the_whole_move_as_a_score_earns_all_of_perfect_foresight():
    """Right for one bar, it knows nothing of the next: the signs of independent moves."""
    told = timing_of(panel(), forward_returns(panel().adjusted_open, 1), H)
    assert told.next_bar.value == pytest.approx(1.0)
    assert abs(told.one_bar_late.value) < 0.1


def test_a_leak_is_found_in_noise_that_hides_half_of_it():
    ahead = forward_returns(panel().adjusted_open, 1)
    ahead = ahead / np.nanstd(ahead)
    assert leaks(noise() + ahead)
    assert leaks(noise() + 0.1 * ahead) == []  # an honest model of a bar knows as little


def test_the_target_itself_as_a_score_is_a_leak():
    """It is as good one bar late, so that only its excess gives it away."""
    assert (
        "right about the next 10 bars as no model is"
        in leaks(forward_returns(panel().adjusted_open, H))[-1]
    )


def test_of_few_symbols_the_horizon_accuses_nobody():
    """Whoever prefers the one that rose for years may be right for months without a leak."""
    score = forward_returns(panel().adjusted_open, H)
    score[:, 7:] = np.nan
    told = timing_of(panel(), score, H)
    assert np.isnan(told.ahead.value)
    assert told.next_bar.low > 0.1


@pytest.mark.parametrize("name", ["noise", "momentum", "reversal", "constant"])
def test_honest_scores_leak_nothing(name):
    close = panel().adjusted_close
    past = np.full_like(close, np.nan)
    past[20:] = np.log(close[20:] / close[:-20])
    scores = {"noise": noise(), "momentum": past, "reversal": -past, "constant": 0 * close}
    told = timing_of(panel(), scores[name], H)
    assert told.leaks(H) == []
    assert "of perfect foresight the signs of the scores earn" in told.cautions(H)[0]


def test_what_is_known_of_a_score_does_not_depend_on_its_unit_or_level():
    one, other = (timing_of(panel(), score, H) for score in (noise(), 7 + 1e-3 * noise()))
    np.testing.assert_allclose(np.ravel(one), np.ravel(other))
