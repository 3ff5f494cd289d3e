"""Patience with a venue: when to ask, when to ask again, and when to give up.

The venues' own clients speak HTTP through `requests`; they are given a `PatientSession` to do so.
It answers rate limits, server errors, time-outs, broken connections and truncated bodies, so that
a client, and the source that uses it, sees either a whole answer or `SourceUnavailable`.

A venue that fails for one question may answer others, so before it is given up the question that
it answered last is put again: no answer to that either is `VenueDown`, and nothing else is asked.
"""

import json
import logging
import math
import random
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    Timeout,
)
from requests.utils import get_auth_from_url

from trading_pipeline.adapters.sources.venue_clock import date_of
from trading_pipeline.errors import SourceError, SourceUnavailable, VenueDown

_LOG = logging.getLogger(__name__)
# Asked too often: all threads must hold. 418 is Binance's ban of those who ignored a 429.
TOO_MANY = frozenset({418, 429})
# Fails now, may work in a moment: the server, or Cloudflare in front of it (520 to 524).
FAILING = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_BROKEN = (ConnectionError, Timeout, ChunkedEncodingError, ContentDecodingError)
_SHOWN = 120


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to put up with a venue. Times in seconds; tests inject the last three."""

    tries: int = 8
    first: float = 1.0  # before the second try; doubles from try to try, up to `longest`
    longest: float = 60.0
    limit: float = 900.0  # of one question altogether; a venue that says 'wait longer' is given up
    outage: float = math.inf  # without an answer to any question of a kind: the venue is down
    timeout: float = 20.0  # until an answer is overdue
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the failed try number `attempt` (from 0): 50 to 100 % of 2^n."""
        return min(self.longest, self.first * 2.0**attempt) * (1 + self.random()) / 2


class Pace:
    """When the next request may be sent; agreed between all threads that ask one venue."""

    def __init__(self, interval: float = 0.0, patience: Patience | None = None) -> None:
        """`interval`: seconds that the venue wants between two requests of cost 1."""
        self.interval, self._patience = interval, patience or Patience()
        self._lock, self._thread = threading.Lock(), threading.local()
        self._free = -math.inf
        self._down: dict[str, tuple[float, str]] = {}  # by kind of question: until when, and why

    def price(self, cost: float | None = None) -> None:
        """Say what the next request of this thread costs, in requests of cost 1."""
        self._thread.cost = 1.0 if cost is None else cost

    def turn(self) -> None:
        """Wait until this thread may send its request; others then wait for what it costs."""
        cost = self.interval * getattr(self._thread, "cost", 1.0)
        while True:
            with self._lock:
                now = self._patience.clock()
                wait = self._free - now
                if wait <= 0:
                    self._free = now + cost
                    return
            self._patience.sleep(wait)

    def hold(self, seconds: float) -> None:
        """Let no thread ask for so long."""
        with self._lock:
            self._free = max(self._free, self._patience.clock() + seconds)

    def close(self, kind: str, seconds: float, why: str) -> None:
        """Let questions of a kind fail for so long, unasked; "" is any kind."""
        self._down[kind] = self._patience.clock() + seconds, why

    def check_open(self, kind: str) -> None:
        """Raise VenueDown while questions of this kind are not asked."""
        for until, why in (self._down.get(each, (-math.inf, "")) for each in ("", kind)):
            if (left := until - self._patience.clock()) > 0:
                raise VenueDown(why, left)


# For commands before which somebody sits; a night may wait.
HURRY = Patience(outage=60.0)


@dataclass(frozen=True)
class _Setback:
    """Why a try failed, and how long the venue wants to be left alone; `error` may be its cause."""

    reason: str
    retry_after: float = 0.0  # seconds
    too_many: bool = False
    hopeless: bool = False
    error: Exception | None = None


class PatientSession(requests.Session):
    """An HTTP session that asks again, until there is a whole JSON answer.

    Only GET is repeated: what changes something at the venue is sent once. Answers that say that
    the question is wrong (other 4xx) are returned, for the client to read. Threads may share it.

    `date` is when the last whole answer was made, by the venue's clock, if it said so.
    """

    def __init__(self, venue: str, pace: Pace, patience: Patience | None = None) -> None:
        super().__init__()
        self.venue, self.pace, self.patience = venue, pace, patience or Patience()
        self.date: datetime | None = None
        # By kind of question, its path: when one was last answered, and how to send it again.
        self._answered: dict[str, tuple[float, Callable[[], requests.Response]]] = {}
        self._here = threading.local()
        self.hooks["response"].append(self._refuse_echo)
        # Threads that share a jar would change it under each other; no cookie, no such race.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, method: str, url: Any, *args: Any, **kwargs: Any) -> Any:
        """`requests.Session.request`; a GET takes its turn and is repeated while that may help.

        Raises:
            SourceUnavailable: no whole answer after all tries.
            VenueDown: nor to a question that it answered before, or it wants too long a pause.
        """
        kwargs["timeout"] = self.patience.timeout
        if method.upper() != "GET":
            self.pace.turn()
            return super().request(method, url, *args, **kwargs)

        # No `partial`: what that prints has the headers, which hold keys.
        def send() -> requests.Response:
            return super(PatientSession, self).request("GET", url, *args, **kwargs)

        kind, tries = urlsplit(str(url)).path, self.patience.tries
        self.pace.check_open(kind)
        began = self.patience.clock()
        for attempt in range(tries):
            answer, setback = self._try(kind, send)
            if setback is None:
                return answer
            spent = self.patience.clock() - began
            pause = max(self.patience.pause(attempt), setback.retry_after)
            over = attempt + 1 == tries or spent + pause > self.patience.limit or setback.hopeless
            if over or self._is_silent(kind, began, setback, pause):
                down = setback.hopeless or setback.too_many or not self._still_answers(kind)
                if over or down:
                    error = self._given_up(setback, attempt + 1, spent, down)
                    if down:
                        self._close(kind, setback, str(error))
                    raise error from setback.error
            self._wait(setback, pause)
        raise ValueError(f"patience must have at least one try, had {tries}")

    def _refuse_echo(self, answer: requests.Response, **_: Any) -> None:
        """An answer that quotes the password of a proxy is no venue's, and would be in errors."""
        if any(secret in answer.content for secret in _passwords_of_proxies()):
            raise SourceError(
                f"{self.venue}'s answer repeats the password of a proxy (HTTP "
                f"{answer.status_code}): it may be the proxy's own. Correct HTTP_PROXY and "
                "HTTPS_PROXY, or unset them"
            )

    def said(self) -> str:
        """The beginning of the last answer that this thread was given."""
        return getattr(self._here, "said", "")

    def _try(self, kind: str, send: Callable[[], requests.Response]) -> tuple[Any, _Setback | None]:
        """Send it once: the answer, or what is wrong with it."""
        self.pace.turn()
        try:
            answer = send()
            setback = _setback_of(answer)
        except _BROKEN as error:
            return None, _setback_of_error(error, self.patience.timeout)
        if setback is None:
            self.date = date_of(answer.headers.get("Date")) or self.date
            self._here.said = _beginning(answer)
            if answer.ok:
                self._answered[kind] = self.patience.clock(), send
        return answer, setback

    def _is_silent(self, kind: str, began: float, setback: _Setback, pause: float) -> bool:
        """Whether an answer to the next try could come only after the time that an outage has."""
        heard = max(began, self._answered[kind][0]) if kind in self._answered else began
        overdue = 0.0 if setback.retry_after else self.patience.timeout
        return self.patience.clock() - heard + pause + overdue > self.patience.outage

    def _still_answers(self, kind: str) -> bool:
        """Whether it answers a question of this kind that it answered before."""
        known = self._answered.get(kind)
        return known is not None and self._try(kind, known[1])[1] is None

    def _wait(self, setback: _Setback, pause: float) -> None:
        _LOG.info("%s %s; asked again in %.0f s", self.venue, setback.reason, pause)
        if setback.too_many or setback.retry_after:
            self.pace.hold(pause)
        else:
            self.patience.sleep(pause)

    def _close(self, kind: str, setback: _Setback, why: str) -> None:
        """One error is enough: whoever asks next is told the same, and the venue is left alone."""
        if setback.too_many:
            self.pace.close("", setback.retry_after, why)
        elif math.isfinite(self.patience.outage):
            self.pace.close(kind, self.patience.outage, why)

    def _given_up(
        self, setback: _Setback, tries: int, spent: float, down: bool
    ) -> SourceUnavailable:
        times = "1 try" if tries == 1 else f"{tries} tries"
        wish = f", and wants a pause of {setback.retry_after:.0f} s" if setback.retry_after else ""
        text = f"{self.venue} {setback.reason}{wish} ({times} in {spent:.0f} s)"
        if not setback.hopeless:
            text += f"; run it again {self._when(setback, down)}: what is stored stays"
        return (VenueDown if down else SourceUnavailable)(text, setback.retry_after)

    def _when(self, setback: _Setback, down: bool) -> str:
        if setback.retry_after > min(self.patience.outage, self.patience.limit):
            return f"in {setback.retry_after / 60:.0f} minutes, and not before"
        return "later, or with --wait" if down and math.isfinite(self.patience.outage) else "later"


def _passwords_of_proxies() -> set[bytes]:
    """Those of the environment, as they are, as they are sent, and as JSON would have them."""
    found = set[bytes]()
    for proxy in getproxies().values():
        user, password = get_auth_from_url(proxy)
        if password:
            sent = b64encode(f"{user}:{password}".encode("latin1", "replace"))
            found |= {password.encode(), json.dumps(password)[1:-1].encode(), sent}
    return found


def _setback_of(answer: requests.Response) -> _Setback | None:
    """What is wrong with an answer; None if it may be handed to the client."""
    status = answer.status_code
    if status in TOO_MANY or status in FAILING:
        pause, too_many = retry_after(answer), status in TOO_MANY
        return _Setback(f"answered HTTP {status} ({answer.reason})", pause, too_many)
    if not answer.ok:
        return None
    try:
        answer.json()
    except (ValueError, RecursionError):
        return _Setback(f"answered with something that is no JSON: {_beginning(answer)!r}")
    return None


def _beginning(answer: requests.Response) -> str:
    return " ".join(answer.content[:_SHOWN].decode("utf-8", "replace").split())


def _setback_of_error(error: Exception, timeout: float) -> _Setback:
    cause = _root(error)
    if isinstance(error, Timeout) or "timed out" in str(error):
        return _Setback(f"did not answer within {timeout:g} s", error=error)
    untrusted = isinstance(cause, ssl.SSLCertVerificationError)
    return _Setback(f"broke the connection: {cause}", hopeless=untrusted, error=error)


def _root(error: BaseException) -> BaseException:
    """What really happened: `requests` wraps urllib3's errors, which wrap the system's."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return _root(inner)
    return error


def retry_after(answer: requests.Response) -> float:
    """Seconds that a Retry-After header asks for (a number or a date); 0 without one."""
    header = answer.headers.get("Retry-After", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    until, now = date_of(header), date_of(answer.headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else 0.0
