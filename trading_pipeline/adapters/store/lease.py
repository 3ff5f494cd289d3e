"""Which session may trade a market: one at a time, by a lease in the ledger.

The newest event of the stream `lease/MARKET` says who holds it and for how long; a beat of that
event, written over in place, prolongs it. The token of a lease is the `seq` of the event that took
it, so a later lease has a higher one. Whoever writes names the last event it knows, and its beat:
of several that take a free lease at once, the ledger lets one through.

Clocks: the holder's says until when a lease lasts, the taker's whether that is over. Where they
differ, a lease is taken over so much too early or too late. Too early does no harm, since a holder
asks the ledger and not its clock alone: its next `renew` finds the newer token. A holder's wrong
clock lengthens no lease but by a beat that all others see. What is left is a process that stands
still between `renew` and its order: `renew` leaves at least two thirds of the ttl for that, so the
ttl has to be well above such a pause, and above what clocks may differ by.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.errors import LeaseHeld, LeaseLost, LedgerError, Overtaken

TAKEN, RELEASED = "taken", "released"  # kinds of events; "renewed", in ledgers of before


@dataclass(frozen=True)
class Lease:
    """The right to trade a market, until it expires, is released or lost."""

    ledger: Ledger = field(repr=False)
    market: str
    holder: str  # who it is, for people: session, host, process
    token: int  # higher than that of every lease before
    since: datetime  # aware
    ttl: timedelta  # from each renewal on

    @classmethod
    def take(cls, ledger: Ledger, market: str, holder: str, now: datetime, ttl: timedelta) -> Self:
        """Take a lease that is free: never taken, released, or expired at `now`.

        Raises:
            LeaseHeld: it is not, whoever asks; a process that died has to expire, too.
            LedgerError: `ttl` is not positive, `now` has no time zone, or the ledger fails.
        """
        if ttl <= timedelta(0) or now.tzinfo is None:
            raise LedgerError(f"no lease of {ttl} from {now}: give a time above 0 and a time zone")
        newest = ledger.last(_stream(market))
        beat = ledger.beat_of(newest) if newest else None
        if newest and newest.kind != RELEASED and now < (until := _expires(newest, beat)):
            raise LeaseHeld(
                f"{market} is traded by {newest.payload['holder']} since {newest.payload['since']} "
                f"(lease {newest.payload['token']}), and one session trades a market at a time: "
                f"stop that one and start this one again; if it is dead, from {until} on"
            )
        known = newest.seq if newest else 0
        lease = cls(ledger, market, holder, known + 1, now, ttl)
        try:
            lease._write(TAKEN, now, after=known, alive=(beat or newest.at) if newest else None)
        except Overtaken:  # by the one who holds it now
            return cls.take(ledger, market, holder, now, ttl)
        return lease

    def renew(self, now: datetime) -> None:
        """Make sure that the market may be traded for at least two thirds of the ttl from `now` on.

        To be called before each order. It always reads the ledger, and writes to it when a third
        of the ttl has passed.

        Raises:
            LeaseLost: another session has it, it was released, or it expired, also if nobody else
                took it since.
        """
        newest, alive = self._newest(now)
        if alive <= now < alive + self.ttl / 3:
            return
        try:
            self.ledger.beat(_stream(self.market), now, after=newest.seq)
        except Overtaken:
            self._newest(now)

    def release(self, now: datetime) -> None:
        """Let others have it at once; nothing happens where it was lost or released already."""
        newest = self.ledger.last(_stream(self.market))
        if newest and newest.kind != RELEASED and newest.payload["token"] == self.token:
            with suppress(Overtaken):
                self._write(RELEASED, now, after=newest.seq)

    def _newest(self, now: datetime) -> tuple[Event, datetime]:
        """The event that this lease rests on, and its last sign of life."""
        newest = self.ledger.last(_stream(self.market))
        if newest is None:
            raise self._lost("is in the ledger no more, which is another one")
        if newest.payload["token"] != self.token:
            other = f"{newest.payload['holder']} (lease {newest.payload['token']})"
            raise self._lost(f"was taken over by {other} at {newest.payload['since']}")
        if newest.kind == RELEASED:
            raise self._lost(f"was released at {newest.at}")
        beat = self.ledger.beat_of(newest)
        if now >= (until := _expires(newest, beat)):
            raise self._lost(f"expired at {until}, and it is {now}")
        return newest, beat or newest.at

    def _lost(self, how: str) -> LeaseLost:
        return LeaseLost(
            f"{self.market}: lease {self.token} of {self.holder} {how}. This session may send no "
            "more orders; start it again to go on"
        )

    def _write(self, kind: str, now: datetime, after: int, alive: datetime | None = None) -> None:
        payload = {
            "token": self.token,
            "holder": self.holder,
            "since": self.since.isoformat(),
            "expires": (now + self.ttl).isoformat(),
        }
        self.ledger.append(_stream(self.market), kind, now, payload, now, after=after, alive=alive)


class Tenure(NamedTuple):
    """The newest lease of a market, as anybody sees it."""

    event: Event  # that it rests on
    alive: datetime  # last sign of life of its holder
    end: datetime  # when it was released, or expires


def tenure_of(ledger: Ledger, market: str) -> Tenure | None:
    """The newest lease of a market; None: there never was one."""
    newest = ledger.last(_stream(market))
    if newest is None:
        return None
    if newest.kind == RELEASED:
        return Tenure(newest, newest.recorded_at, newest.at)
    beat = ledger.beat_of(newest)
    return Tenure(newest, beat or newest.recorded_at, _expires(newest, beat))


def holder_of(ledger: Ledger, market: str, now: datetime) -> str:
    """Who may trade a market now; "" if nobody may."""
    newest = tenure_of(ledger, market)
    free = newest is None or newest.event.kind == RELEASED or now >= newest.end
    return "" if newest is None or free else str(newest.event.payload["holder"])


def free_since(ledger: Ledger, market: str, now: datetime) -> datetime | None:
    """When the newest lease of a market ended; None: it lasts, or there never was one."""
    newest = tenure_of(ledger, market)
    return newest.end if newest and newest.end <= now else None


def _stream(market: str) -> str:
    return f"lease/{market}"


def _expires(event: Event, beat: datetime | None) -> datetime:
    """When a lease ends that rests on an event, by its last sign of life if there was one."""
    end = datetime.fromisoformat(event.payload["expires"])
    return end if beat is None else beat + (end - event.at)
