"""Which paper session a market is meant to have, and whether it died against that.

The stream `sessions/MARKET` of the ledger keeps who started a session and with which options, who
stopped it and why, and what it died of. A session that was started and not stopped is wanted; one
without a sign of life is dead, whatever the state of its run says.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from trading_pipeline.adapters.store.lease import free_since
from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.errors import LeaseLost, LedgerError

STARTED, STOPPED, DIED, RESTARTED = "started", "stopped", "died", "restarted"
MOST = 3  # restarts an hour
HOUR = timedelta(hours=1)
# A session gives its lease back just before it says how it ended.
_SETTLED = timedelta(seconds=15)
_LOOK = 5.0  # seconds between two questions whether somebody stopped the session
_LOG = logging.getLogger(__name__)


@dataclass
class Attendance:
    """Notes that a session was started, and how it ended; asked whether it is still wanted.

    It is called by a `Guard`, which holds the market's lease by then: a session that never got it
    is not noted, and leaves the one that has it as it is.
    """

    ledger: Ledger
    market: str
    session: str
    run: str  # id of the run that trades
    config: Mapping[str, Any]  # with which it would be started again; plain JSON
    who: str
    reason: str
    clock: Callable[[], datetime]
    goes_on: Callable[[], bool] = lambda: True  # whether the run does
    instead_of: str = ""  # id of the run that died, where the watchdog started this one
    _started: bool = field(default=False, init=False)
    _looked: float = field(default=0.0, init=False)

    def __call__(self) -> bool:
        """Whether run and operator still want the session."""
        if not self._started:
            if self._is_called_off():
                return False
            self._note(STARTED, self.who, self.reason, config=dict(self.config))
            self._started = True
        return self.goes_on() and not self._is_stopped()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Note the end; a session that `stop` ended has ended well."""
        if not self._started:
            return isinstance(error, LeaseLost) and self._is_called_off()
        try:
            self._looked = 0.0
            if self._is_stopped():
                return isinstance(error, LeaseLost)
            if error is None:
                self._note(STOPPED, self.who, "it has lived through all of its bars")
            elif isinstance(error, Exception):
                self._note(DIED, "", f"{type(error).__name__}: {error}")
            else:
                self._note(STOPPED, self.who, "interrupted: Ctrl-C, SIGTERM or the web UI")
        except LedgerError as failed:  # what ended the session says more
            _LOG.warning("the end of session %s was not noted: %s", self.session, failed)
        return False

    def _is_called_off(self) -> bool:
        """Whether the session that died was stopped before this run of it began."""
        gone = self.instead_of
        return bool(gone) and _end_of(self.ledger, self.market, gone, STOPPED) is not None

    def _is_stopped(self) -> bool:
        if time.monotonic() - self._looked < _LOOK:
            return False
        self._looked = time.monotonic()
        return _end_of(self.ledger, self.market, self.run, STOPPED) is not None

    def _note(self, kind: str, who: str, reason: str, **more: Any) -> None:
        told = {"session": self.session, "run": self.run, "who": who, "reason": reason, **more}
        now = self.clock()
        self.ledger.append(_stream(self.market), kind, now, told, now)


@dataclass(frozen=True)
class Dead:
    """A session that is wanted, and shows no sign of life."""

    session: str
    run: str
    config: dict[str, Any]
    why: str  # for a person
    restarts: tuple[datetime, ...]  # of the last hour

    @property
    def next_try(self) -> datetime | None:
        """When it may be started again; None: now."""
        return self.restarts[-MOST] + HOUR if len(self.restarts) >= MOST else None


def started_session(ledger: Ledger, market: str) -> Event | None:
    """The event that started the newest session of a market; None: there never was one."""
    return ledger.last(_stream(market), STARTED)


def wanted_session(ledger: Ledger, market: str) -> Event | None:
    """The event that started the session that a market is meant to have; None: it was stopped, or
    there never was one."""
    started = started_session(ledger, market)
    if started is None or _end_of(ledger, market, started.payload["run"], STOPPED):
        return None
    return started


def dead_session(ledger: Ledger, market: str, now: datetime) -> Dead | None:
    """The session of a market that died against what the operator wants.

    Trading, paused or halted are all the same here: a halted session keeps its account,
    and closes what it holds if that was asked. The lease tells whether it lives, for it is renewed
    at every heartbeat.
    """
    started = wanted_session(ledger, market)
    silent = free_since(ledger, market, now)
    if started is None or silent is None or now - silent < _SETTLED:
        return None
    died = _end_of(ledger, market, started.payload["run"], DIED)
    restarts = ledger.read(_stream(market), kind=RESTARTED)
    return Dead(
        started.payload["session"],
        started.payload["run"],
        started.payload["config"],
        died.payload["reason"]
        if died
        else f"no sign of life: its lease ended {silent:%H:%M:%S} UTC",
        tuple(each.at for each in restarts if now - each.at < HOUR),
    )


def note_restart(ledger: Ledger, market: str, dead: Dead, now: datetime) -> None:
    """Count a restart, before it is asked for."""
    told = {"session": dead.session, "run": dead.run, "who": "watchdog", "reason": dead.why}
    ledger.append(_stream(market), RESTARTED, now, told, now)


def stop_session(ledger: Ledger, market: str, who: str, reason: str, now: datetime) -> str:
    """End the session that a market is meant to have, at its next look; its name.

    Raises:
        LedgerError: there is none.
    """
    started = wanted_session(ledger, market)
    if started is None:
        raise LedgerError(f"{market} has no paper session that was started and not stopped")
    told = {name: started.payload[name] for name in ("session", "run")}
    ledger.append(_stream(market), STOPPED, now, {**told, "who": who, "reason": reason}, now)
    return str(told["session"])


def how_it_stands(ledger: Ledger, market: str) -> str:
    """The newest word about a market's session, for a person: 'started by ann', say."""
    newest = ledger.last(_stream(market))
    if newest is None:
        return "never started"
    who, reason = newest.payload["who"], newest.payload["reason"]
    by = f" by {who}" if who else ""
    return f"{newest.kind} {newest.at:%Y-%m-%d %H:%M}{by}" + (f": {reason}" if reason else "")


def _end_of(ledger: Ledger, market: str, run: str, kind: str) -> Event | None:
    """How the session of a run was stopped, or died; other runs are none of its business."""
    ends = ledger.read(_stream(market), kind=kind)
    return next((each for each in reversed(ends) if each.payload["run"] == run), None)


def _stream(market: str) -> str:
    return f"sessions/{market}"
