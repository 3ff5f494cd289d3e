"""From what a market's entry says to the source of its bars. Clients are imported when opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from trading_pipeline.adapters.clock import WALL, Clock
from trading_pipeline.adapters.sources.source import BarSource

if TYPE_CHECKING:
    from trading_pipeline.adapters.sources.retry import Patience


@dataclass(frozen=True)
class SourceFactory:
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
    clock: Clock = WALL
    patience: "Patience | None" = None  # in place of either
    key: SecretStr | None = None
    secret: SecretStr | None = None
    folder: str = ""  # of a source of one's own: where its module may be, as what follows
    options: Mapping[str, Any] = field(default_factory=dict)

    def open(self, source: str, timeframe: str) -> BarSource:
        """The source of that name: sample, synthetic, parquet, alpaca, an exchange of ccxt, or
        MODULE:CLASS.

        Raises:
            SettingsError: there is no such exchange or class, or it has no bars of this timeframe.
        """
        if ":" in source:
            from trading_pipeline.adapters.sources.own import own_source

            return own_source(source, self.folder, self.options)
        match source:
            case "sample":
                from trading_pipeline.adapters.sources.sample import SampleSource

                return SampleSource()
            case "synthetic":
                from trading_pipeline.adapters.sources.synthetic import SyntheticSource

                return SyntheticSource()
            case "parquet":
                from trading_pipeline.adapters.sources.parquet import ParquetSource

                return ParquetSource(Path(self.path or ""), self.calendar)
            case "alpaca":
                return self._alpaca(timeframe)
        from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource

        exchange = self.exchange or source
        return CcxtSource(
            exchange, timeframe, url=self.url, now=self.clock.now, patience=self._patience()
        )

    def _alpaca(self, timeframe: str) -> BarSource:
        from trading_pipeline.adapters.sources.alpaca import AlpacaSource

        return AlpacaSource(
            self.key,
            self.secret,
            feed=self.feed,
            timeframe=timeframe,
            url=self.url,
            trading_url=self.trading_url,
            delay=self.delay,
            per_minute=self.per_minute,
            patience=self._patience(),
            now=self.clock.now,
        )

    def _patience(self) -> "Patience":
        from trading_pipeline.adapters.sources.retry import HURRY, Patience

        patience = self.patience or (HURRY if self.hurried else Patience())
        return replace(patience, sleep=self.clock.sleep, clock=self.clock.elapsed)
