"""Does the nightly operation work when it is really run? `make week` lives through seven nights."""

import pytest

from trading_pipeline_tests.week.nights import BEGIN, two_nights
from trading_pipeline_tests.week.story import story


@pytest.mark.slow
def test_two_nights_with_a_failure_and_a_kill_leave_all_books_in_agreement(tmp_path):
    """A real daemon starts them, real processes work, and the venue speaks its own format."""
    with story(tmp_path, BEGIN) as week:
        two_nights(week)
