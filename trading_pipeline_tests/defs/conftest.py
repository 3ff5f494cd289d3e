"""A market of a few months, a fake source, and an instance in memory."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline_tests.defs.short_market import MARKET, TableSource, resources_of


@pytest.fixture(scope="session")
def sample_bars() -> pd.DataFrame:
    source = SampleSource()
    start, end = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (MARKET.start, MARKET.end)
    )
    return source.bars(list(MARKET.symbols), start, end)


@pytest.fixture
def resources(home, sample_bars):
    return resources_of(home, TableSource(sample_bars))
