"""A market of a few months, a fake source, and an instance in memory."""

from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.progress import Progress
from trading_pipeline_tests.defs.short_market import MARKET, TableSource, sources_of


@pytest.fixture(scope="session")
def sample_bars() -> pd.DataFrame:
    source = SampleSource()
    start, end = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (MARKET.start, MARKET.end)
    )
    return source.bars(list(MARKET.symbols), start, end)


@pytest.fixture
def resources(home, sample_bars):
    return {
        "home": home,
        "sources": sources_of(TableSource(sample_bars)),
        "progress": dg.ResourceDefinition.hardcoded_resource(Progress()),
    }
