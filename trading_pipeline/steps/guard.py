"""Whether a session may still trade: it holds its market's lease, and its run goes on."""

import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from trading_pipeline.adapters.kill_points import around
from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.threads import in_threads
from trading_pipeline.errors import LeaseHeld, LeaseLost

_T = TypeVar("_T")
TTL = timedelta(seconds=120)  # of a lease: well above the longest time between two renewals
_LOG = logging.getLogger(__name__)
_PAUSE = 1.0  # seconds between two questions whether a lease is free by now


@dataclass(frozen=True)
class Guard:
    """Called before each bar and each order, and while nothing happens."""

    lease: Lease
    clock: Callable[[], datetime]
    running: Callable[[], bool] = lambda: True  # whether the run that trades is still wanted

    def __call__(self) -> None:
        """Renew the lease.

        Raises:
            LeaseLost: another session has it, it expired, or the run has ended meanwhile.
        """
        if not self.running():
            raise LeaseLost(
                f"{self.lease.market}: the run of {self.lease.holder} was ended from outside, so "
                "this session sends no more orders; start it again to go on"
            )
        with around("lease renewal"):
            self.lease.renew(self.clock())

    def wait(self, seconds: float, sleep: Callable[[float], None]) -> None:
        """Sleep so long, awake often enough to keep the lease."""
        step = self.lease.ttl.total_seconds() / 4
        while seconds > 0:
            sleep(min(step, seconds))
            seconds -= step
            self()

    def during(self, work: Callable[[], _T]) -> _T:
        """Do what may take longer than a lease lasts, and keep it."""
        ((_, done),) = in_threads(lambda each: each(), [work], 1, self)
        return done.result()


@contextmanager
def guarded(
    ledger: Ledger,
    market: str,
    session: str,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    *,
    ttl: timedelta | None = None,
    running: Callable[[], bool] = lambda: True,
) -> Iterator[Guard]:
    """Hold the lease of a market. One that a killed session left is waited for until it expires,
    which is logged.

    Raises:
        LeaseHeld: another session goes on holding it.
    """
    with around("taking the lease"):
        lease = _taken(ledger, market, f"{session}, {_here()}", clock, sleep, ttl or TTL)
    guard = Guard(lease, clock, running)
    try:
        guard()  # notes that it was started: one that is killed before its first bar is missed, too
        yield guard
    finally:
        lease.release(clock())


def _taken(
    ledger: Ledger,
    market: str,
    holder: str,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    ttl: timedelta,
) -> Lease:
    until, told = clock() + ttl, False
    while True:
        try:
            return Lease.take(ledger, market, holder, clock(), ttl)
        except LeaseHeld as held:
            if clock() > until:
                raise
            if not told:
                _LOG.warning("waiting for the lease of %s, %s at most: %s", market, ttl, held)
            told = True
        sleep(_PAUSE)


def _here() -> str:
    return f"process {os.getpid()} on {platform.node()}"
