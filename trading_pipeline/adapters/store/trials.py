"""Trials: how many configurations were tried before the one that looks good.

A trial is a distinct (configuration, panel). Evaluating the same one again, by accident or with
tomorrow's bars, is not another; choosing among variants counts each. Source: Bailey & López de
Prado, The Deflated Sharpe Ratio (2014), where it is the number that the ratio is deflated by.

What counts once: seeds that are averaged into one model; `model = "best"`, which chooses on
validation rows, before it has seen a day of the test; and all that a report shows beside the
strategy, baselines, learned ones, other costs or profiles: nobody chose them. Who makes one of them
the market's own evaluates another configuration, and that is another trial.

The ledger's stream `trials` has an event for each evaluation. The daily returns that it saw lie in
a file beside the ledger, `trials/SHA-256.parquet`, whose digest is in the event, under its hash.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.adapters.store.ledger import Entry, Event, Ledger, canonical_json
from trading_pipeline.adapters.store.shared import not_shared
from trading_pipeline.errors import LedgerError, StoreError

if TYPE_CHECKING:  # a home, which the code location loads, has this room; statistics are heavy
    from trading_pipeline.core.evaluation.trials import Trials

STREAM = "trials"


@dataclass(frozen=True)
class Trial:
    """What became of one configuration on one panel when it was evaluated."""

    config_hash: str
    panel: str  # see panel_identity
    kind: str  # how it came to be tried: "walk_forward", "sweep", "judge", ...
    sharpe: float | None  # annualised, out of sample, after costs; None: undefined
    market: str = ""  # its name
    name: str = ""  # the configuration in a few words


class Tried(NamedTuple):
    """A trial as the ledger has it."""

    trial: Trial  # as last evaluated
    first: datetime  # when it was first evaluated, on the wall's clock
    last: datetime  # and last
    evaluations: int
    returns: str | None  # SHA-256 of the file of its daily returns; None: they were not kept
    seq: int  # of the last evaluation


def panel_identity(source: str, symbols: Iterable[str], timeframe: str) -> str:
    """Which panel it is, however many bars it has by now: 16 hexadecimal digits.

    Neither the market's name nor a file's: the same bars in another folder are the same panel.
    """
    panel = {"source": source, "symbols": sorted(set(symbols)), "timeframe": timeframe}
    return hashlib.sha256(canonical_json(panel).encode()).hexdigest()[:16]


class TrialLedger:
    """The trials of a ledger, and their returns in a folder. Nothing is ever changed or removed."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        shared: bool = False,
        share: Callable[[], None] = not_shared,
    ) -> None:
        """`shared`: other homes write to the ledger, too, and keep their files of returns.
        `share` is called after a file was written."""
        self.ledger, self.folder, self.shared, self._share = ledger, folder, shared, share

    def record(
        self,
        trials: Sequence[Trial],
        returns: pd.DataFrame,
        *,
        at: datetime,
        recorded_at: datetime,
    ) -> list[Event]:
        """Journal evaluations of the same bars, all of them or none.

        Args:
            trials: each of another configuration.
            returns: daily, after costs: (D, K), a row for each UTC day and a column for each
                trial, named by its configuration's hash.
            at: the last instant that they saw. recorded_at: the wall clock's now.

        Raises:
            LedgerError: a Sharpe ratio is NaN or infinite (undefined is None), or the ledger fails.
            StoreError: the returns cannot be written; nothing is journalled then.
        """
        if list(returns) != [each.config_hash for each in trials]:
            raise ValueError("returns must have one column for each trial, named by its hash")
        # First the file: an event never names one that is not there.
        digest = self._keep(returns)
        entries = [Entry(each.kind, at, _payload(each, digest)) for each in trials]
        return self.ledger.append_many(STREAM, entries, recorded_at)

    def distinct(self) -> list[Tried]:
        """Every trial once, as last evaluated, in the order in which they were first tried.

        Raises:
            BrokenChain: the stream is not what was written to it.
        """
        self.ledger.verify(STREAM)
        found: dict[tuple[str, str], Tried] = {}
        for event in self.ledger.read(STREAM):
            trial, digest = _trial(event)
            key, at = (trial.config_hash, trial.panel), event.recorded_at
            known = found.get(key)
            first, count = (known.first, known.evaluations) if known else (at, 0)
            found[key] = Tried(trial, first, at, count + 1, digest, event.seq)
        return list(found.values())

    def known(self, panel: str) -> tuple["Trials | None", list[str]]:
        """What an evaluation on a panel has to know, and what is wrong with files of returns.

        A trial whose returns are missing or altered is one all the same, and none is wrong that
        another home keeps. None: there is no trial.

        Raises:
            BrokenChain: the stream is not what was written to it.
        """
        from trading_pipeline.core.evaluation.trials import Trials

        every = self.distinct()
        here = [each for each in every if each.trial.panel == panel]
        if not here:
            return None, []
        columns, faults = self._returns(here)
        table = pd.concat(columns, axis=1).sort_index() if columns else pd.DataFrame()
        return Trials(count=len(here), elsewhere=len(every) - len(here), returns=table), faults

    def copy(self, other: "TrialLedger", until: int) -> list[str]:
        """Append the events up to `until` to another ledger, hash by hash; a copy that was killed
        goes on where it was.

        Returns:
            What is wrong with files of returns; all others are copied.

        Raises:
            LedgerError: the stream is not whole, or the other one has other events.
        """
        self.ledger.verify(STREAM)
        events = [event for event in self.ledger.read(STREAM) if event.seq <= until]
        there = other.ledger.read(STREAM)[: len(events)]
        if [each.hash for each in there] != [each.hash for each in events[: len(there)]]:
            raise LedgerError(f"{STREAM}: the ledger of the copy has other events; begin anew")
        missing = events[len(there) :]
        for recorded_at, group in groupby(missing, key=lambda event: event.recorded_at):
            together = list(group)
            entries = [Entry(each.kind, each.at, each.payload) for each in together]
            other.ledger.append_many(STREAM, entries, recorded_at, after=together[0].seq - 1)
        faults = []
        for digest in dict.fromkeys(_trial(event)[1] for event in events):
            try:
                if digest is not None and not self.elsewhere(digest):
                    other._write(digest, self._content(digest))
            except StoreError as error:
                faults.append(str(error))
        return faults

    def read(self, digest: str) -> pd.DataFrame:
        """Daily returns as they were recorded: a column for each trial of that evaluation.

        Raises:
            StoreError: the file is missing or was altered.
        """
        return pd.read_parquet(BytesIO(self._content(digest)))

    def digests(self) -> list[str]:
        """Of all files of returns that events name."""
        named = (event.payload.get("returns") for event in self.ledger.read(STREAM))
        return list(dict.fromkeys(digest for digest in named if digest))

    def elsewhere(self, digest: str) -> bool:
        """Whether a file of returns is of another home that shares the ledger."""
        return self.shared and not self.path(digest).exists()

    def path(self, digest: str) -> Path:
        """Where a file of returns is, if this home has it."""
        return self.folder / f"{digest}.parquet"

    def _returns(self, tried: list[Tried]) -> tuple[list[pd.Series], list[str]]:
        """The returns of trials, each file read once, and what is wrong with files."""
        tables: dict[str, pd.DataFrame] = {}
        faults = []
        for digest in dict.fromkeys(each.returns for each in tried if each.returns):
            try:
                if not self.elsewhere(digest):
                    tables[digest] = self.read(digest)
            except StoreError as error:
                faults.append(str(error))
        kept = [each for each in tried if each.returns in tables]
        return [tables[str(each.returns)][each.trial.config_hash] for each in kept], faults

    def _keep(self, returns: pd.DataFrame) -> str:
        """Write a table under the SHA-256 of its bytes; that digest."""
        buffer = BytesIO()
        returns.to_parquet(buffer)
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        self._write(digest, buffer.getvalue())
        return digest

    def _write(self, digest: str, content: bytes) -> None:
        try:
            self._content(digest)
        except StoreError:  # not there yet, or damaged since
            replace_file(self.path(digest), lambda draft: draft.write_bytes(content))
            self._share()

    def _content(self, digest: str) -> bytes:
        path = self.path(digest)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"{path} was altered: its SHA-256 is not its name")
        return content


def _payload(trial: Trial, digest: str) -> dict[str, Any]:
    plain = asdict(trial) | {"returns": digest}
    del plain["kind"]  # the event has it
    return plain | {"sharpe": None if trial.sharpe is None else float(trial.sharpe)}


def _trial(event: Event) -> tuple[Trial, str | None]:
    """The trial of an event and the digest of its returns; old events tell less."""
    plain = dict(event.payload)
    digest = plain.pop("returns", None)
    return Trial(kind=event.kind, **plain), digest
