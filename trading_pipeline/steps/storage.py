"""What a home takes on the disk, and what of it nothing refers to any more.

Nothing is thrown away that cannot be made again, and nothing that a report, a session, the ledger
or a model in service refers to, or that somebody works with now. What is left over is shown first.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.files import is_free, naming
from trading_pipeline.adapters.store.lease import holder_of
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.model.config import CANDIDATES, LEARNED_BASELINES
from trading_pipeline.errors import HistoryTooShort, StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of, read_panel
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.production import CANDIDATE, PRODUCTION
from trading_pipeline.steps.refits import ASIDE as REFITS
from trading_pipeline.steps.refits import monthly_folds
from trading_pipeline.steps.streams import is_of_session

_BY_MARKET = ("raw", "models", "predictions", "reports", "tensorboard", "paper")
_NO_FOLD = "no fold of today's settings and bars, and no report or session refers to it"


@dataclass(frozen=True)
class Leftover:
    """What nothing refers to."""

    paths: tuple[Path, ...]  # files or folders, in the order in which they are to go
    why: str

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size_of(path) for path in self.paths)

    def remove(self) -> None:
        """Of what a kill leaves of it, the rest is left over the next time.

        Raises:
            StoreError: it cannot be removed.
        """
        for path in self.paths:
            with naming(path):
                if path.is_dir():
                    rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def usage(home: Home) -> dict[str, int]:
    """Bytes of every file and folder of a home, folders of markets apart, the largest first."""
    sizes: dict[str, int] = {}
    for path in home.path.iterdir() if home.path.is_dir() else ():
        by_market = path.name in _BY_MARKET and path.is_dir()
        for each in path.iterdir() if by_market else [path]:
            sizes[each.relative_to(home.path).as_posix()] = size_of(each)
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; of what is gone meanwhile, none."""
    if not path.is_dir():
        return _bytes(path)
    return sum(_bytes(Path(top) / name) for top, _, names in os.walk(path) for name in names)


def leftovers(home: Home, plan: Plan, age: timedelta) -> Iterator[Leftover]:
    """What could go of a market.

    Args:
        age: what is of no fold, such as a training that was killed, has not been touched for so
            long.

    Raises:
        StoreError: a report cannot be read, so that nobody knows what it refers to; the market is
            traded now, or has no fold, so that nobody knows which are current.
    """
    market, before = plan.market, home.clock.now() - age
    here = replace(home, shared=None)  # only looked at: what others have is not fetched
    _refuse_while_traded(here, market)
    yield from _unnamed(here.recordings(market).folder, ".npz", _histories(here, market), before)
    kept = _folds(here, plan)
    if home.shared is None:  # there, a file that goes here would go for everybody
        yield from _of_folds(here, plan, kept)
    for store in _stores(here, market):
        yield from _unfinished(store, before)
    known = {key for keys in kept.values() for key in keys} | {CANDIDATE, PRODUCTION}
    yield from _curves(here.path / "tensorboard" / market.name, known, before)


def unnamed_returns(home: Home, age: timedelta) -> Iterator[Leftover]:
    """Daily returns that no trial of the ledger names: a kill came before the word."""
    if home.has_ledger:
        with replace(home, shared=None).trials() as book:
            named, folder = set(book.digests()), book.folder
        yield from _unnamed(folder, ".parquet", named, home.clock.now() - age)


def _refuse_while_traded(home: Home, market: Market) -> None:
    if home.has_ledger:
        with home.ledger() as ledger:
            holder = holder_of(ledger, market.name, home.clock.now())
        if holder:
            raise StoreError(f"{market.name} is traded now ({holder}); stop that first")


def _folds(home: Home, plan: Plan) -> dict[str, set[str]]:
    """Keys of the folds that are wanted, by model, "" for the market's own: those of the stored
    bars and today's settings, and those of the report."""
    try:
        panel = read_panel(home, plan.market)
        current = set(folds_of(panel, plan.recipe))
        months = set(monthly_folds(panel.timestamps, plan))
    except HistoryTooShort as error:
        raise StoreError(f"{plan.market.name} has no fold that is current: {error}") from error
    reported = _reported(home.report(plan.market) / "report.json")
    beside = dict.fromkeys((*LEARNED_BASELINES, *CANDIDATES))
    wanted = {model: current | set(reported.get(model, ())) for model in beside}
    own = {key for keys in reported.values() for key in keys}
    return wanted | {"": current | own, REFITS: months}


def _reported(file: Path) -> Mapping[str, Mapping[str, object]]:
    """The folds of a report's models, by model."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        models: Mapping[str, Mapping[str, object]] = json.loads(text)["lineage"]["models"]
        return {model: dict(folds) for model, folds in models.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{file} does not say which models it is of ({error!r}); make it anew with "
            "`trading-pipeline backtest`"
        ) from error


def _of_folds(home: Home, plan: Plan, kept: Mapping[str, set[str]]) -> Iterator[Leftover]:
    """Checkpoints and predictions of folds that are not wanted."""
    traded = _traded(home, plan.market)
    for model, wanted in kept.items():
        beside = home.beside(model)
        models, said = beside.checkpoints(plan.market), beside.predictions(plan.market).folder
        for key in sorted(_keys(models.folder, said) - wanted - {PRODUCTION}):
            digest = models.path(key).with_suffix(".pt.sha256")
            if not is_free(models.lock(key)) or set(_words(digest)) & traded:
                continue
            files = (
                *(said / f"{key}.checked", said / f"{key}.parquet"),
                *(models.path(key), digest),
            )
            yield Leftover(tuple(path for path in files if path.exists()), _NO_FOLD)


def _keys(*folders: Path) -> set[str]:
    ends = ("*.pt", "*.pt.sha256", "*.parquet", "*.checked")
    return {
        path.name.partition(".")[0]
        for folder in folders
        for end in ends
        for path in folder.glob(end)
    }


def _stores(home: Home, market: Market) -> list[CheckpointStore]:
    """Those of the market's own model, and of all beside it."""
    own = home.checkpoints(market).folder
    return [CheckpointStore(path.parent) for path in own.rglob("unfinished") if path.is_dir()]


def _unfinished(store: CheckpointStore, before: datetime) -> Iterator[Leftover]:
    """Trainings that were killed long ago: equal bars will not come again."""
    for path in sorted((store.folder / "unfinished").glob("[!.]*")):
        name = path.name.removesuffix(".pt")
        if path.name != "locks" and _touched(path) < before and is_free(store.lock(name)):
            yield Leftover((path,), "a training that was killed, and never went on")


def _curves(folder: Path, known: set[str], before: datetime) -> Iterator[Leftover]:
    """Of trainings whose checkpoints are gone."""
    for path in sorted({seed.parent for seed in folder.rglob("seed-*")}):
        if path.name not in known and _touched(path) < before:
            yield Leftover((path,), "curves of a training whose fold is not current")


def _unnamed(folder: Path, end: str, named: set[str], before: datetime) -> Iterator[Leftover]:
    """Files that the ledger was to name, had no kill come before the word."""
    for path in sorted(folder.glob(f"*{end}")):
        if not any(name.startswith(path.stem) for name in named) and _touched(path) < before:
            yield Leftover((path,), "no event of the ledger names it")


def _histories(home: Home, market: Market) -> set[str]:
    return _told(home, market, "history")


def _traded(home: Home, market: Market) -> set[str]:
    """SHA-256 of the checkpoints that sessions have asked."""
    return _told(home, market, "model")


def _told(home: Home, market: Market, kind: str) -> set[str]:
    """`sha256` of all events of a kind, of all sessions of a market."""
    if not home.has_ledger:
        return set()
    with home.ledger() as ledger:
        streams = [each for each in ledger.streams() if is_of_session(each, market.name)]
        events = [event for each in streams for event in ledger.read(each, kind=kind)]
    return {str(event.payload["sha256"]) for event in events}


def _words(file: Path) -> list[str]:
    return file.read_text(errors="replace").split() if file.exists() else []


def _touched(path: Path) -> datetime:
    """When the newest file of a folder, or a file, was changed."""
    inside = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else []
    return datetime.fromtimestamp(max(each.stat().st_mtime for each in [*inside, path]), UTC)


def _bytes(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
