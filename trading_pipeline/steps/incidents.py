"""What goes wrong around a session that goes on: a venue that does not answer, a model that it
cannot use. The watchdog tells it, from the stream `incidents/MARKET/SESSION` of the ledger.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from trading_pipeline.adapters.alerts import BROKER_DOWN, DOWNLOAD_FAILED, MODEL_REFUSED, News
from trading_pipeline.adapters.store.ledger import Ledger

_KINDS = (DOWNLOAD_FAILED, MODEL_REFUSED, BROKER_DOWN)
_LOG = logging.getLogger(__name__)


class Incidents:
    """Those of one session, each logged and journalled when it begins and when it is over.

    One that a session left open when it was killed is over when the next one says so.
    """

    def __init__(
        self, ledger: Ledger, market: str, session: str, clock: Callable[[], datetime]
    ) -> None:
        self.ledger, self.clock = ledger, clock
        self.stream, self.subject = _stream(market, session), f"{market}/{session}"
        known = incidents(ledger, market, session)
        self._open = {each.kind: "" for each in known if not each.over}  # what was said last

    def begin(self, kind: str, text: str, why: str = "") -> None:
        """Something is wrong: said once until it is over, or the text is another one."""
        if self._open.get(kind) != text:
            self._open[kind] = text
            self._note(kind, f"{text}: {why}" if why else text, over=False)

    def end(self, kind: str, text: str) -> None:
        """It works; said where it did not."""
        if self._open.pop(kind, None) is not None:
            self._note(kind, text, over=True)

    def _note(self, kind: str, text: str, *, over: bool) -> None:
        _LOG.warning("%s: %s", self.subject, text)
        now = self.clock()
        self.ledger.append(self.stream, kind, now, {"text": text, "over": over}, now)


def incidents(ledger: Ledger, market: str, session: str) -> Iterator[News]:
    """The newest word of each kind."""
    for kind in _KINDS:
        if newest := ledger.last(_stream(market, session), kind):
            yield News(kind, f"{market}/{session}", **newest.payload)


def _stream(market: str, session: str) -> str:
    return f"incidents/{market}/{session}"
