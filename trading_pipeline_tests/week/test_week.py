"""Does the nightly operation work when it is really run?"""

import pytest

from trading_pipeline_tests.week.nights import BEGIN, spring, winter
from trading_pipeline_tests.week.story import story


@pytest.mark.slow
@pytest.mark.long
def test_nights_with_failures_a_half_day_and_a_kill_leave_all_books_in_agreement(tmp_path):
    """A real daemon starts them, real processes work, and venues speak their own formats."""
    with story(tmp_path, BEGIN) as week:
        winter(week)
        spring(week)
