"""Does the nightly operation work when it is really run? `make week` lives through three more."""

import pytest

from trading_pipeline_tests.week.nights import BEGIN, winter
from trading_pipeline_tests.week.story import story


@pytest.mark.slow
@pytest.mark.long
def test_four_nights_with_a_failure_a_half_day_and_a_kill_leave_all_books_in_agreement(tmp_path):
    """A real daemon starts them, real processes work, and the venue speaks its own format."""
    with story(tmp_path, BEGIN) as week:
        winter(week)
