"""What a step works with: where everything is kept, what time it is, and where bars come from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from trading_pipeline.adapters.alerts import Address, Alerts
from trading_pipeline.adapters.clock import WALL, Clock
from trading_pipeline.adapters.sources.factory import SourceFactory
from trading_pipeline.adapters.sources.source import BarSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.adapters.store.files import naming
from trading_pipeline.adapters.store.home_version import refuse_other_version
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.predictions import PredictionStore
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.adapters.store.shared import SharedStore
from trading_pipeline.adapters.store.trials import TrialLedger
from trading_pipeline.core.market.market import Market


@dataclass(frozen=True)
class Home:
    """Where everything is kept, and the clock that its records are dated by.

    What another version of the code made is refused, whenever something in it is opened.

    Never made a configuration of Dagster, which records and shows what it is given: a database's
    address may hold a password.
    """

    root: str
    ledger_url: str | None = field(default=None, repr=False)
    clock: Clock = field(default=WALL, repr=False, compare=False)
    model: str = ""  # whose checkpoints and predictions are meant; the market's own, if empty
    # Where other machines find and leave the same files; None: they are this machine's alone.
    shared: SharedStore | None = field(default=None, repr=False)

    def beside(self, model: str) -> Self:
        """The same home, where checkpoints and predictions are those of a rival of the market's
        own model: `models/MARKET/MODEL/FOLD.pt`."""
        return replace(self, model=model)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.root)

    @property
    def folders(self) -> list[Path]:
        """Where files of ours alone are, by market."""
        names = ("raw", "models", "predictions", "reports", "paper", "trials", "tensorboard")
        return [self.path / name for name in names]

    def bars(self, market: Market) -> BarStore:
        """Its bars and corporate actions."""
        return BarStore(*self._opened("raw", market.name, whole=True))

    def features(self, market: Market) -> FeatureStore:
        """Its features."""
        refuse_other_version(self.path)
        return FeatureStore(self.path / "features.duckdb", market.name)

    def checkpoints(self, market: Market) -> CheckpointStore:
        """Its models, of folds and in service."""
        return CheckpointStore(*self._opened("models", market.name, self.model))

    def predictions(self, market: Market) -> PredictionStore:
        """What they predicted."""
        return PredictionStore(*self._opened("predictions", market.name, self.model))

    def recordings(self, market: Market) -> RecordingStore:
        """What the paper sessions of a market knew when they began."""
        return RecordingStore(*self._opened("paper", market.name))

    def training_job(self, market: Market, name: str) -> Path:
        """What the processes of a training share, until it is done."""
        return self.checkpoints(market).folder / "unfinished" / name

    def curves(self, market: Market, name: str) -> Path:
        """Where TensorBoard finds the curves of a training."""
        return self.path / "tensorboard" / market.name / self.model / name

    def report(self, market: Market) -> Path:
        """The folder of its report."""
        return self._opened("reports", market.name, whole=True)[0]

    def share_report(self, market: Market) -> None:
        """After something was written into it."""
        self._share(f"reports/{market.name}", whole=True, wrote=True)

    def ledger(self) -> Ledger:
        """Where all that happened is written, opened."""
        refuse_other_version(self.path)
        with naming(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        return Ledger(self.ledger_url or self._ledger_file)

    def alerts(self, addresses: Sequence[Address] = ()) -> Alerts:
        """What tells that something went wrong, and keeps in the ledger what it told."""
        return Alerts(self.ledger, self.path / "alerts", addresses)

    @contextmanager
    def trials(self) -> Iterator[TrialLedger]:
        """The trials of the ledger, and their returns in a folder beside it."""
        with self.ledger() as ledger:
            folder, share = self._opened("trials")
            yield TrialLedger(ledger, folder, shared=self.ledger_url is not None, share=share)

    def _opened(self, *names: str, whole: bool = False) -> tuple[Path, Callable[[], None]]:
        """A folder, equal to what other machines left of it, and what shares a write into it."""
        refuse_other_version(self.path)
        area = "/".join(filter(None, names))
        self._share(area, whole=whole, wrote=False)
        return self.path / area, partial(self._share, area, whole=whole, wrote=True)

    def _share(self, area: str, *, whole: bool, wrote: bool) -> None:
        if self.shared is not None:
            self.shared.sync(area, whole=whole, wrote=wrote)

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
