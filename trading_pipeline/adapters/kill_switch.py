"""What the operator of a market wants, kept in the ledger: trading, or everything closed.

The kill switch of a person. A paper session asks before each decision; the answer survives
restarts, of the session and of the machine.
"""

from datetime import datetime

from trading_pipeline.adapters.store.ledger import Ledger

HALTED, TRADING = "halted", "trading"


def record_intent(ledger: Ledger, market: str, intent: str, reason: str, now: datetime) -> None:
    """Note that from now on a market is to be HALTED or TRADING, and why."""
    ledger.append(_stream(market), intent, now, {"reason": reason}, now)


def is_halted(ledger: Ledger, market: str) -> bool:
    """Whether everything of a market has to be closed; without a word, it trades."""
    newest = ledger.last(_stream(market))
    return newest is not None and newest.kind == HALTED


def _stream(market: str) -> str:
    return f"operator/{market}"
