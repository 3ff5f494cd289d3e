"""From what a market's entry says to the source of its bars. Clients are imported when opened."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from trading_pipeline.adapters.sources.source import BarSource


@dataclass(frozen=True)
class Origin:
    """Where a market's bars come from, beyond the name of its source."""

    path: str | None = None  # of a parquet source, as is the calendar by which it is read
    calendar: str | None = None
    exchange: str | None = None  # of a ccxt source
    feed: str = "iex"  # of Alpaca, as is what follows `url`
    url: str | None = None  # in place of the venue's own
    trading_url: str | None = None
    delay: timedelta | None = None  # after a bar's close; None: what free keys need
    per_minute: float = 200.0  # requests that free keys may send
    hurried: bool = False  # a venue that is down is given up after a minute
    key: SecretStr | None = None
    secret: SecretStr | None = None

    def open(self, source: str, timeframe: str) -> BarSource:
        """The source of that name: sample, parquet, alpaca, or a spot exchange of ccxt.

        Raises:
            SettingsError: there is no such exchange, or it has no bars of this timeframe.
        """
        makers: dict[str, Callable[[], BarSource]] = {
            "sample": _sample,
            "parquet": lambda: _parquet(self),
            "alpaca": lambda: _alpaca(self, timeframe),
        }
        return makers.get(source, lambda: _ccxt(self, source, timeframe))()


def _sample() -> BarSource:
    from trading_pipeline.adapters.sources.sample import SampleSource

    return SampleSource()


def _parquet(origin: Origin) -> BarSource:
    from trading_pipeline.adapters.sources.parquet import ParquetSource

    return ParquetSource(Path(origin.path or ""), origin.calendar)


def _alpaca(origin: Origin, timeframe: str) -> BarSource:
    from trading_pipeline.adapters.sources.alpaca import AlpacaSource
    from trading_pipeline.adapters.sources.retry import HURRY

    return AlpacaSource(
        origin.key,
        origin.secret,
        feed=origin.feed,
        timeframe=timeframe,
        url=origin.url,
        trading_url=origin.trading_url,
        delay=origin.delay,
        per_minute=origin.per_minute,
        patience=HURRY if origin.hurried else None,
    )


def _ccxt(origin: Origin, source: str, timeframe: str) -> BarSource:
    from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
    from trading_pipeline.adapters.sources.retry import HURRY

    exchange, patience = origin.exchange or source, HURRY if origin.hurried else None
    return CcxtSource(exchange, timeframe, url=origin.url, patience=patience)
