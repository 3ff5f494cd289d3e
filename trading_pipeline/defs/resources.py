"""Adapters, as Dagster sees them: configuration in, plain objects out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
from pydantic import SecretStr

from trading_pipeline.adapters.sources.source import BarSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.predictions import PredictionStore
from trading_pipeline.core.market.market import Market

DUCKDB_POOL = "duckdb"  # one writer at a time, and no reader beside it


class Home(dg.ConfigurableResource[None]):
    """Where everything is kept; the stores themselves know nothing of Dagster."""

    root: str
    ledger_url: str | None = None

    @property
    def path(self) -> Path:
        return Path(self.root)

    def bars(self, market: Market) -> BarStore:
        return BarStore(self.path / "raw" / market.name)

    def features(self, market: Market) -> FeatureStore:
        return FeatureStore(self.path / "features.duckdb", market.name)

    def checkpoints(self, market: Market) -> CheckpointStore:
        return CheckpointStore(self.path / "models" / market.name)

    def predictions(self, market: Market) -> PredictionStore:
        return PredictionStore(self.path / "predictions" / market.name)

    def training_job(self, market: Market, name: str) -> Path:
        """What the processes of a training share, until it is done."""
        return self.path / "models" / market.name / "unfinished" / name

    def curves(self, market: Market, name: str) -> Path:
        """Where TensorBoard finds the curves of a training."""
        return self.path / "tensorboard" / market.name / name

    def report(self, market: Market) -> Path:
        return self.path / "reports" / market.name

    def ledger(self) -> Ledger:
        self.path.mkdir(parents=True, exist_ok=True)
        return Ledger(self.ledger_url or f"sqlite:///{self.path.absolute() / 'ledger.sqlite'}")


class Sources(ABC):
    """Where bars come from, by market; one live version, one fake for tests."""

    @abstractmethod
    def open(self, market: Market) -> BarSource:
        """The source of a market's bars."""


@dataclass(frozen=True)
class Origin:
    """Where a market's bars come from, beyond the name of its source."""

    path: str | None = None  # of a parquet source
    exchange: str | None = None  # of a ccxt source
    feed: str = "iex"  # of Alpaca
    url: str | None = None
    trading_url: str | None = None
    delay: timedelta | None = None  # of Alpaca: after a bar's close; None: what free keys need
    per_minute: float = 200.0  # of Alpaca: requests that free keys may send


class ConfiguredSources(Sources):
    """The sources that pipeline.toml names. Keys of Alpaca are used by its markets alone."""

    def __init__(
        self,
        origins: Mapping[str, Origin],
        alpaca_key: SecretStr | None = None,
        alpaca_secret: SecretStr | None = None,
    ) -> None:
        self.origins = dict(origins)
        self.alpaca_keys = alpaca_key, alpaca_secret

    def open(self, market: Market) -> BarSource:
        origin = self.origins.get(market.name, Origin())
        makers: dict[str, Callable[[], BarSource]] = {
            "sample": _sample,
            "parquet": lambda: _parquet(origin),
            "alpaca": lambda: _alpaca(market, origin, *self.alpaca_keys),
        }
        return makers.get(market.source, lambda: _ccxt(market, origin))()


def _sample() -> BarSource:
    from trading_pipeline.adapters.sources.sample import SampleSource

    return SampleSource()


def _parquet(origin: Origin) -> BarSource:
    from trading_pipeline.adapters.sources.parquet import ParquetSource

    return ParquetSource(Path(origin.path or ""))


def _alpaca(
    market: Market, origin: Origin, key: SecretStr | None, secret: SecretStr | None
) -> BarSource:
    from trading_pipeline.adapters.sources.alpaca import AlpacaSource

    return AlpacaSource(
        key,
        secret,
        feed=origin.feed,
        timeframe=market.timeframe,
        url=origin.url,
        trading_url=origin.trading_url,
        delay=origin.delay,
        per_minute=origin.per_minute,
    )


def _ccxt(market: Market, origin: Origin) -> BarSource:
    from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource

    return CcxtSource(origin.exchange or market.source, market.timeframe, url=origin.url)
