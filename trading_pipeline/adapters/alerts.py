"""Alerts: what went wrong is told once, to the log and to every address, and once that it is over.

An alert is a kind and a subject, such as `download_failed` of `crypto`. The ledger's stream
`alerts` keeps what was told, what is over and which address has got what, so that neither a restart
nor a second process tells anything twice, and an address that was down gets it later.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.errors import LedgerError, StoreError

STREAM = "alerts"
SESSION_DIED, HALTED, LIMIT_HIT = "session_died", "halted", "limit_hit"
STALE_DATA, RECONCILIATION, DOWNLOAD_FAILED = "stale_data", "reconciliation", "download_failed"
MODEL_REFUSED, RUN_FAILED, CHECK_FAILED = "model_refused", "run_failed", "check_failed"
LEDGER_FAILED, DIVERGED = "ledger_failed", "divergence"
BROKER_DOWN, ORDER_FAILED = "broker_down", "order_failed"

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MOST = 3  # times an hour that one alert is told: what fails and works in turns is no storm either
TIMEOUT = 20  # seconds that an address has for a message
LONGEST = 1_000  # characters of a text
_TOLD, _OVER, _DELIVERED = "told", "over", "delivered"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class News:
    """Something went wrong, or what had gone wrong is over."""

    kind: str
    subject: str
    text: str
    over: bool = False

    @property
    def title(self) -> str:
        """A line: 'download failed: crypto'."""
        return f"{'over: ' if self.over else ''}{self.kind.replace('_', ' ')}: {self.subject}"


@dataclass(frozen=True)
class Address:
    """Where alerts are sent: a URL of apprise, which holds passwords and tokens and is not shown.

    https://appriseit.com/services lists what may be written: `jsons://` a webhook, `tgram://`
    Telegram, `mailtos://` e-mail, and a hundred others.
    """

    number: int  # 1, 2, 3 ... in the setting
    url: str = field(repr=False)

    def __str__(self) -> str:
        known = re.match(r"([a-zA-Z0-9]{2,16})://", self.url)
        return f"address {self.number} ({known[1] if known else 'of no kind'})"

    @property
    def mark(self) -> str:
        """Stands for it in the ledger."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:8]

    def send(self, title: str, text: str) -> str | None:
        """Send a message; why it was not taken, without a word of the URL, or None."""
        import apprise

        asset = apprise.AppriseAsset(app_id="trading-pipeline", storage_mode="memory")
        sender, plain = apprise.Apprise(asset=asset), apprise.NotifyFormat.TEXT
        if not sender.add(self.url):
            return "apprise does not know such a URL: https://appriseit.com/services has them"
        warning = apprise.NotifyType.WARNING
        taken = sender.notify(text, title, warning, body_format=plain, timeout=TIMEOUT)
        if taken:
            return None
        said = [entry.message for entry in taken.logs()]
        return self._without_secrets("; ".join(said)) or "it did not answer"

    def _without_secrets(self, said: str) -> str:
        """What apprise complained of; every part of the URL is struck out."""
        parts = {self.url, *re.split(r"[/:@?&=,#]+", self.url.partition("://")[2])}
        for part in sorted({*parts, *map(unquote, parts)}, key=len, reverse=True):
            if len(part) > 2:
                said = re.sub(re.escape(part), "***", said, flags=re.IGNORECASE)
        return said


def addresses_of(urls: str) -> tuple[Address, ...]:
    """The addresses of a text in which blanks separate their URLs."""
    return tuple(Address(number, url) for number, url in enumerate(urls.split(), start=1))


@dataclass
class _Alert:
    """The newest word about a (kind, subject)."""

    news: News
    event: Event
    told: list[datetime]  # when something was wrong, the newest MOST
    got: set[str] = field(default_factory=set)  # marks of the addresses that have the newest word


class Alerts:
    """Tells what went wrong: once, until it is over or a day has passed.

    Args:
        ledger: opens the ledger.
        folder: a lock in it lets one process at a time tell anything.
        addresses: where to send; without any, all is in the log and the ledger alone.
    """

    def __init__(
        self, ledger: Callable[[], Ledger], folder: Path, addresses: Sequence[Address] = ()
    ) -> None:
        self.addresses = tuple(addresses)
        self._ledger, self._folder = ledger, folder
        self._unjournalled: dict[tuple[str, str], datetime] = {}

    def tell(self, kind: str, subject: str, text: str, now: datetime) -> None:
        """Something went wrong: `text` says what, to a person who sees nothing else."""
        self.report([News(kind, subject, text)], now)

    def over(self, kind: str, subject: str, text: str, now: datetime) -> None:
        """It works again; said where it was told that it did not."""
        self.report([News(kind, subject, text, over=True)], now)

    def report(self, news: Iterable[News], now: datetime) -> bool:
        """Journal, log and send what is new, and send again what an address has not got.

        An address gets one message for all of it; one that does not take it is logged, and tried
        again by the next call, for a day.

        Returns:
            Whether it is in the ledger; if not, it was sent all the same, and is to be given again.
        """
        news = list(news)
        if not news and not self.addresses:
            return True
        try:
            with one_writer(self._folder), self._ledger() as ledger:
                known = _Known(ledger.read(STREAM))
                fresh = [each for each in _last_words(news) if _is_new(each, known, now)]
                for each in fresh:
                    _LOG.warning("%s: %s", each.title, each.text)
                    _journal(ledger, each, known, now)
                self._deliver(ledger, known, now)
        except (LedgerError, StoreError) as error:
            self._without_ledger(news, error, now)
            return False
        return True

    def test(self, text: str) -> dict[Address, str | None]:
        """Send a message to every address; by address, why it was not taken, or None."""
        return self._send({to: [News("test", "alerts", text)] for to in self.addresses})

    def _deliver(self, ledger: Ledger, known: Iterable[_Alert], now: datetime) -> None:
        """Give every address what it has not got of the last day, in one message."""
        late = [each for each in known if now - each.event.at < DAY]
        lacks = {to: [each for each in late if to.mark not in each.got] for to in self.addresses}
        sent = self._send({to: [each.news for each in lack] for to, lack in lacks.items() if lack})
        for to, complaint in sent.items():
            if complaint is not None:
                _LOG.warning("alerts: %s was not reached: %s", to, complaint)
                continue
            payload = {"address": to.mark, "events": [each.event.seq for each in lacks[to]]}
            ledger.append(STREAM, _DELIVERED, now, payload, now)

    def _without_ledger(self, news: Sequence[News], error: Exception, now: datetime) -> None:
        """Tell it from memory: this process tells it once a day, and another one once more."""
        failed = News(LEDGER_FAILED, "alerts", str(error)[:LONGEST])
        for each in [*news, failed]:
            key = each.kind, each.subject
            if each.over or now - self._unjournalled.get(key, now - DAY) < DAY:
                continue
            _LOG.warning("%s: %s", each.title, each.text)
            if None in self._send({to: [each] for to in self.addresses}).values():
                self._unjournalled[key] = now

    def _send(self, letters: dict[Address, list[News]]) -> dict[Address, str | None]:
        """Send each address its news, all at once; by address, why it was not taken, or None."""
        if not letters:
            return {}
        with _confidential(), ThreadPoolExecutor(len(letters)) as pool:
            said = list(pool.map(_letter, letters, letters.values()))
        return dict(zip(letters, said, strict=True))


def open_alerts(ledger: Ledger) -> list[tuple[datetime, News]]:
    """What is wrong, and when it was told last; what was told first comes first."""
    return [
        (each.event.at, each.news) for each in _Known(ledger.read(STREAM)) if not each.news.over
    ]


class _Known:
    """What the ledger says: the newest word of every (kind, subject)."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._alerts: dict[tuple[str, str], _Alert] = {}
        for event in events:
            self.add(event)

    def __iter__(self) -> Iterator[_Alert]:
        return iter(self._alerts.values())

    def of(self, news: News) -> _Alert | None:
        return self._alerts.get((news.kind, news.subject))

    def add(self, event: Event) -> None:
        """What happened next."""
        if event.kind == _DELIVERED:
            for each in self:
                if each.event.seq in event.payload["events"]:
                    each.got.add(event.payload["address"])
            return
        news = News(**event.payload, over=event.kind == _OVER)
        before = self.of(news)
        told = before.told if before else []
        if not news.over:
            told = [*told[1 - MOST :], event.at]
        self._alerts[news.kind, news.subject] = _Alert(news, event, told)


def _last_words(news: Iterable[News]) -> list[News]:
    """Of each (kind, subject) the last one: what failed and works by now is told as neither."""
    return list({(each.kind, each.subject): each for each in news}.values())


def _is_new(news: News, known: _Known, now: datetime) -> bool:
    before = known.of(news)
    if news.over:
        return before is not None and not before.news.over
    if before is None:
        return True
    if len(before.told) == MOST and now - before.told[0] < HOUR:
        return False
    return before.news.over or now - before.event.at >= DAY


def _journal(ledger: Ledger, news: News, known: _Known, now: datetime) -> None:
    before, text = known.of(news), news.text[:LONGEST]
    often = [at for at in before.told if now - at < HOUR] if before else []
    if not news.over and len(often) >= MOST - 1:
        text += f"\nTold {MOST} times within an hour, and not again before that is over."
    payload = {"kind": news.kind, "subject": news.subject, "text": text}
    known.add(ledger.append(STREAM, _OVER if news.over else _TOLD, now, payload, now))


def _letter(to: Address, news: Sequence[News]) -> str | None:
    """Send some news as one message; why it was not taken, or None."""
    title = news[0].title if len(news) == 1 else f"{len(news)} alerts"
    said = [f"{each.title}\n{each.text}" if len(news) > 1 else each.text for each in news]
    return to.send(f"trading-pipeline: {title}", "\n\n".join(said))


@contextmanager
def _confidential() -> Iterator[None]:
    """Keep to ourselves what apprise and its transport log: at some level it has the URLs."""
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3", "requests_oauthlib")]
    before = [each.propagate for each in loggers]
    silent = logging.NullHandler()
    for each in loggers:
        each.propagate = False
        each.addHandler(silent)
    try:
        yield
    finally:
        for each, propagates in zip(loggers, before, strict=True):
            each.propagate = propagates
            each.removeHandler(silent)
