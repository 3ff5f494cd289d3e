"""Progress in a log says how far work is, and how long is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.timed_progress import TimedProgress, duration


def lines_of(total: int, seconds: float, first: str = "") -> list[str]:
    """What is logged of work whose parts take so long each."""
    said: list[str] = []
    now = 0.0
    watch = TimedProgress(clock=lambda: now).start("fold 2006", said.append)
    watch(0, total, first)
    for done in range(1, total + 1):
        now += seconds
        watch(done, total, "loss 0.5")
    return said


def test_the_time_left_is_that_of_the_parts_to_come():
    """Ten parts of a minute each: after three, seven are left."""
    said = lines_of(10, 60.0)
    assert said[2] == "fold 2006: 3 of 10 loss 0.5, 7 min left"
    assert said[8] == "fold 2006: 9 of 10 loss 0.5, 60 s left"
    assert said[9] == "fold 2006: 10 of 10 loss 0.5"


def test_of_work_that_goes_on_no_end_is_promised():
    """A paper session is always one bar from its end."""
    said: list[str] = []
    seconds = iter(range(0, 300, 10))
    watch = TimedProgress(clock=lambda: next(seconds)).start("paper", said.append)
    for done in range(1, 30):
        watch(done, done + 1, "equity 1")
    assert said
    assert not any("left" in line for line in said)


def test_what_was_asked_for_is_said_first():
    assert lines_of(2, 1.0, "2 epochs are 2 steps")[0] == "fold 2006: 2 epochs are 2 steps"


def test_what_takes_a_second_is_said_when_it_is_done():
    """Forty trainings of a second each would else be four hundred lines."""
    assert lines_of(60, 0.02) == ["fold 2006: 60 of 60 loss 0.5"]
    assert len(lines_of(60, 0.2)) == 4  # of twelve seconds


@given(st.integers(1, 5000), st.floats(0.001, 1e4))
def test_a_log_has_ten_lines_at_most_and_always_the_last(total, seconds):
    said = lines_of(total, seconds)
    assert len(said) <= 10
    assert said[-1] == f"fold 2006: {total} of {total} loss 0.5"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (90000, "25.0 h")],
)
def test_a_span_is_in_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text
