"""What the runs of a week need, imported."""

import trading_pipeline_tests.week.location  # noqa: F401
