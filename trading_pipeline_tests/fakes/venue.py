"""A venue on this machine: an HTTP server on 127.0.0.1 that can be told to misbehave.

`FakeBinance` and `FakeAlpaca` are `Venue`s that speak their venue's own format; the unmodified
clients talk to them. `FAULTS` are all the ways in which a venue may fail and come back.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from trading_pipeline.core.market.calendar import in_utc

FOREVER = 10**9


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `at` in seconds of the monotonic clock."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def target(self) -> str:
        """Path and decoded query, e.g. '/api/v3/klines?symbol=BTCUSDT&interval=1d'."""
        return f"{self.path}?" + "&".join(f"{key}={value}" for key, value in self.query.items())


@dataclass(frozen=True)
class Answer:
    """What a venue answers: `payload` goes out as JSON, but bytes go out as they are."""

    payload: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return (
            self.payload if isinstance(self.payload, bytes) else json.dumps(self.payload).encode()
        )


Rows = list[Any]


@dataclass(frozen=True)
class Fault:
    """One way to misbehave: an answer instead of the right one, a broken one, or other rows.

    At most one of the fields is set. `cut`: the share of the answer's bytes that is sent before
    the connection is closed. `silent`: it neither does what it is asked nor says anything; `mute`:
    it does so, and says nothing. `half`: a page has at most half of its rows (but one at least).
    """

    answer: Answer | None = None
    cut: float | None = None
    silent: bool = False
    mute: bool = False
    half: bool = False
    repeat: bool = False
    rows: Callable[[Rows], Rows] | None = None

    @property
    def is_about_rows(self) -> bool:
        return self.half or self.repeat or self.rows is not None


@dataclass
class _Plan:
    fault: Fault
    times: int
    where: str
    after: int
    method: str


class Venue:
    """A loopback venue; use it as a context manager. Subclasses say what the right answers are.

    `requests` are all requests so far, in order of arrival; `url` is where it listens.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self._plans: list[_Plan] = []
        self._last_pages: dict[str, Answer] = {}
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    # What a subclass says of its venue

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        """The right answer; `half`: a page of bars with at most half of its rows."""
        raise NotImplementedError

    def is_page(self, request: Request) -> bool:
        """Whether the answer to this request is a page of bars."""
        raise NotImplementedError

    def with_rows(self, payload: Any, change: Callable[[Rows], Rows]) -> Any:
        """The payload of a page with `change` applied to the rows of every symbol in it."""
        raise NotImplementedError

    def change_history(self) -> None:
        """From now on, tell other values of some old bars."""
        raise NotImplementedError

    # What a test says to it

    def misbehave(
        self, fault: Fault, times: int = 1, where: str = "", after: int = 0, method: str = ""
    ) -> None:
        """Do so at the next `times` requests whose target contains `where`, after so many others.

        `method`: only those, such as POST. Faults of rows wait for pages of bars. Several faults
        take their turns in order.
        """
        with self.lock:
            self._plans.append(_Plan(fault, times, where, after, method))

    def behave(self) -> None:
        """Forget all misbehaviour that is still to come."""
        with self.lock:
            self._plans.clear()

    def date(self) -> str:
        """The instant it is at the venue, where its `now` says one, as an HTTP header has it."""
        now = pd.Timestamp(getattr(self, "now", None) or datetime.now(UTC))
        return format_datetime(in_utc(now if now.tz else now.tz_localize(UTC)), usegmt=True)

    def asked(self, where: str = "") -> list[Request]:
        """The requests so far whose target contains `where`."""
        with self.lock:
            return [request for request in self.requests if where in request.target]

    # The server

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: Request) -> tuple[Answer, float] | None:
        """The answer and the share of its bytes that is sent; None: say nothing at all."""
        with self.lock:
            self.requests.append(request)
            fault = self._next_fault(request)
            if fault.silent:
                return None
            answer = fault.answer or self._page_or_answer(request, fault)
            if fault.mute:
                return None
            return answer, 1.0 if fault.cut is None else fault.cut

    def stay_silent(self) -> None:
        """Keep a connection open without a word, until the venue closes."""
        self._closing.wait()

    def _next_fault(self, request: Request) -> Fault:
        is_page = self.is_page(request)
        for plan in self._plans:
            asked = plan.where in request.target and plan.method in ("", request.method)
            if asked and (is_page or not plan.fault.is_about_rows):
                # A page cannot be repeated before there was one.
                if plan.fault.repeat and _series(request) not in self._last_pages:
                    continue
                if plan.after:
                    plan.after -= 1
                    continue
                plan.times -= 1
                self._plans = [each for each in self._plans if each.times > 0]
                return plan.fault
        return Fault()

    def _has_rows(self, answer: Answer) -> bool:
        return bool(self.with_rows(answer.payload, _nothing) != answer.payload)

    def _page_or_answer(self, request: Request, fault: Fault) -> Answer:
        if fault.repeat:
            return self._last_pages[_series(request)]
        answer = self.answer(request, half=fault.half)
        if self.is_page(request) and answer.status == 200:
            if fault.rows is not None:
                changed = self.with_rows(answer.payload, fault.rows)
                return Answer(changed, answer.status, answer.headers)
            if self._has_rows(answer):
                self._last_pages[_series(request)] = answer
        return answer


def _nothing(rows: Rows) -> Rows:
    """No rows, of however many."""
    return []


def _series(request: Request) -> str:
    """What the request asks for without the part of it: a page is repeated for the same series."""
    names = ("symbol", "symbols", "interval", "timeframe")
    return request.path + str([request.query.get(name) for name in names])


def _handler_of(venue: Venue) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body leave in one piece: otherwise Nagle's algorithm waits 40 ms for each.
        wbufsize = -1
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            split = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = dict(parse_qsl(split.query, keep_blank_values=True))
            headers = dict(self.headers.items())
            arrived = time.monotonic()
            served = venue.serve(Request(self.command, split.path, query, headers, body, arrived))
            if served is None:
                venue.stay_silent()
                self.close_connection = True
                return
            self._send(*served)

        do_GET = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815

        def _send(self, answer: Answer, share: float) -> None:
            if share == 0:
                self.close_connection = True
                return
            body = answer.body()
            self.send_response_only(answer.status)
            headers = {"Content-Type": "application/json;charset=UTF-8", "Date": venue.date()}
            headers |= answer.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: int(len(body) * share)])
            self.close_connection = self.close_connection or share < 1

        def log_message(self, format: str, *args: Any) -> None:
            """Tests are quiet."""

    return Handler


# Ways to fail, each once or for a few requests. All are over after that.

HTML = Answer(b"<html><body><h1>Down for maintenance</h1></body></html>", 200)
HTML_HEADERS = {"Content-Type": "text/html"}


def refusal(status: int, retry_after: float | None = None, payload: Any = None) -> Fault:
    """An error status, with a Retry-After header if there are seconds for it."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Fault(answer=Answer(payload or {"message": "no"}, status, headers))


def _told(fault: Fault, times: int = 1) -> Callable[[Venue], None]:
    return lambda venue: venue.misbehave(fault, times)


def _reversed(rows: Rows) -> Rows:
    return rows[::-1]


def _shuffled(rows: Rows) -> Rows:
    return rows[1::2] + rows[::2]


def _middle_twice(rows: Rows) -> Rows:
    middle = len(rows) // 2
    return rows[: middle + 1] + rows[middle:]


def _all_twice(rows: Rows) -> Rows:
    return rows + rows


def _without_body(status: int) -> Fault:
    return Fault(answer=Answer(b"", status))


# Of any answer.
ANSWER_FAULTS: dict[str, Callable[[Venue], None]] = {
    "429 with Retry-After": _told(refusal(429, retry_after=3)),
    "429 three times without Retry-After": _told(refusal(429), 3),
    "418 with Retry-After": _told(refusal(418, retry_after=120)),
    "500": _told(refusal(500)),
    "502 as a page of HTML": _told(Fault(answer=Answer(HTML.payload, 502, HTML_HEADERS))),
    "503 with Retry-After": _told(refusal(503, retry_after=5)),
    "504 three times": _told(_without_body(504), 3),
    "a page of HTML": _told(Fault(answer=Answer(HTML.payload, 200, HTML_HEADERS))),
    "half of a JSON text": _told(Fault(answer=Answer(b'[[1609459200000,"289'))),
    "an empty body": _told(_without_body(200)),
    "cut before the answer": _told(Fault(cut=0.0)),
    "cut before the answer, three times": _told(Fault(cut=0.0), 3),
    "cut in the middle of the body": _told(Fault(cut=0.5)),
    "silence": _told(Fault(silent=True)),
}
# Of the bars in it.
PAGE_FAULTS: dict[str, Callable[[Venue], None]] = {
    "half a page": _told(Fault(half=True)),
    "half pages only": _told(Fault(half=True), FOREVER),
    "a page again": _told(Fault(repeat=True)),
    "a page again, twice": _told(Fault(repeat=True), 2),
    "a page backwards": _told(Fault(rows=_reversed)),
    "pages shuffled": _told(Fault(rows=_shuffled), FOREVER),
    "a bar twice": _told(Fault(rows=_middle_twice)),
    "all bars twice": _told(Fault(rows=_all_twice), FOREVER),
    "another history": lambda venue: venue.change_history(),
}
FAULTS = ANSWER_FAULTS | PAGE_FAULTS
# After these the venue tells other bars than before; the new ones are right from then on.
CHANGES_HISTORY = frozenset({"another history"})


def tell(venue: Venue, faults: Iterable[str]) -> None:
    """Several faults by name, one after the other."""
    for name in faults:
        FAULTS[name](venue)


class TestClock:
    """Time that passes only when someone sleeps, in seconds; for `Patience` and `Pace`."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def time(self) -> float:
        with self._lock:
            return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.slept.append(seconds)


class SharedClock(TestClock):
    """The same for several threads: of two that sleep at once the longer sleep is what passes."""

    def sleep(self, seconds: float) -> None:
        until = self.time() + seconds
        with self._lock:
            self.now = max(self.now, until)
            self.slept.append(seconds)
