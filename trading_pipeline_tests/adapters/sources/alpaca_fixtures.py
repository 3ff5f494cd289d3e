"""What the tests of the Alpaca source share: a source at a fake venue, with time that flies."""

from typing import Any

import pandas as pd
from pydantic import SecretStr

from trading_pipeline.adapters.sources.alpaca import AlpacaSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline_tests.fakes.alpaca import KEY, SECRET, FakeAlpaca
from trading_pipeline_tests.fakes.venue import TestClock

# A Monday after the half day of Thanksgiving, an hour and a half before the close.
NOW = pd.Timestamp("2024-12-02 19:30:20", tz="UTC")


def source_at(
    venue: FakeAlpaca, timeframe: str = "1d", *, timeout: float = 10.0, **settings: Any
) -> AlpacaSource:
    """A source with the right keys, that never waits, but `timeout` seconds for a silent venue."""
    clock = TestClock()
    patience = Patience(sleep=clock.sleep, clock=clock.time, timeout=timeout)
    usual = {"key": SecretStr(KEY), "secret": SecretStr(SECRET), "patience": patience}
    addresses = {"url": venue.url, "trading_url": venue.url, "now": lambda: venue.now}
    return AlpacaSource(timeframe=timeframe, **(usual | addresses | settings))
