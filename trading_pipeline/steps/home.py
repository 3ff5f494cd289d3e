"""What a step works with: where everything is kept, what time it is, and where bars come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from trading_pipeline.adapters.alerts import Address, Alerts
from trading_pipeline.adapters.clock import WALL, Clock
from trading_pipeline.adapters.sources.factory import SourceFactory
from trading_pipeline.adapters.sources.source import BarSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.predictions import PredictionStore
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.adapters.store.trials import TrialLedger
from trading_pipeline.core.market.market import Market


@dataclass(frozen=True)
class Home:
    """Where everything is kept, and the clock that its records are dated by.

    Never made a configuration of Dagster, which records and shows what it is given: a database's
    address may hold a password.
    """

    root: str
    ledger_url: str | None = field(default=None, repr=False)
    clock: Clock = field(default=WALL, repr=False, compare=False)
    model: str = ""  # whose checkpoints and predictions are meant; the market's own, if empty

    def beside(self, model: str) -> Self:
        """The same home, where checkpoints and predictions are those of a rival of the market's
        own model: `models/MARKET/MODEL/FOLD.pt`."""
        return replace(self, model=model)

    @property
    def path(self) -> Path:
        return Path(self.root)

    @property
    def folders(self) -> list[Path]:
        """Where files of ours alone are, by market."""
        return [self.path / name for name in ("raw", "models", "predictions", "reports", "paper")]

    def bars(self, market: Market) -> BarStore:
        return BarStore(self.path / "raw" / market.name)

    def features(self, market: Market) -> FeatureStore:
        return FeatureStore(self.path / "features.duckdb", market.name)

    def checkpoints(self, market: Market) -> CheckpointStore:
        return CheckpointStore(self.path / "models" / market.name / self.model)

    def predictions(self, market: Market) -> PredictionStore:
        return PredictionStore(self.path / "predictions" / market.name / self.model)

    def recordings(self, market: Market) -> RecordingStore:
        """What the paper sessions of a market knew when they began."""
        return RecordingStore(self.path / "paper" / market.name)

    def training_job(self, market: Market, name: str) -> Path:
        """What the processes of a training share, until it is done."""
        return self.checkpoints(market).folder / "unfinished" / name

    def curves(self, market: Market, name: str) -> Path:
        """Where TensorBoard finds the curves of a training."""
        return self.path / "tensorboard" / market.name / self.model / name

    def report(self, market: Market) -> Path:
        return self.path / "reports" / market.name

    def ledger(self) -> Ledger:
        self.path.mkdir(parents=True, exist_ok=True)
        return Ledger(self.ledger_url or self._ledger_file)

    def alerts(self, addresses: Sequence[Address] = ()) -> Alerts:
        """What tells that something went wrong, and keeps in the ledger what it told."""
        return Alerts(self.ledger, self.path / "alerts", addresses)

    @contextmanager
    def trials(self) -> Iterator[TrialLedger]:
        """The trials of the ledger, and their returns in a folder beside it."""
        with self.ledger() as ledger:
            yield TrialLedger(ledger, self.path / "trials", shared=self.ledger_url is not None)

    @property
    def has_ledger(self) -> bool:
        """Whether there is one; to open it would make it."""
        return self.ledger_url is not None or self._ledger_file.exists()

    @property
    def _ledger_file(self) -> Path:
        return self.path.absolute() / "ledger.sqlite"


class Sources(ABC):
    """Where bars come from, by market; one live version, one fake for tests."""

    @abstractmethod
    def open(self, market: Market) -> BarSource:
        """The source of a market's bars."""


class ConfiguredSources(Sources):
    """The sources that pipeline.toml names, by market."""

    def __init__(self, factories: Mapping[str, SourceFactory]) -> None:
        self.factories = dict(factories)
        self._venues: dict[tuple[str, str, str], BarSource] = {}

    def open(self, market: Market) -> BarSource:
        """A venue is opened once, so that the assets of a run share what it was asked."""
        key = (market.name, market.source, market.timeframe)
        if key in self._venues:
            return self._venues[key]
        source = self.factories.get(market.name, SourceFactory()).open(
            market.source, market.timeframe
        )
        if source.live:
            self._venues[key] = source
        return source
