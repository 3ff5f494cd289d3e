"""What the operator of a market wants, kept in the ledger: trading, paused or halted.

A person's word, with who said it, when and why. A paper session asks before each bar; the answer
survives restarts, of the session and of the machine.
"""

import getpass
import os
import platform
from datetime import datetime

from trading_pipeline.adapters.store.ledger import Event, Ledger

HALTED, PAUSED, TRADING = "halted", "paused", "trading"


def operator() -> str:
    """Who runs this process, and where: 'ann on desk'; by number, where the user has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container that was given a number alone
        user = f"user {os.getuid()}"
    return f"{user} on {platform.node()}"


def record_intent(
    ledger: Ledger,
    market: str,
    intent: str,
    reason: str,
    now: datetime,
    who: str = "",
    *,
    flatten: bool = False,
) -> None:
    """Note that from now on a market is to be HALTED, PAUSED or TRADING, and why.

    Args:
        flatten: of HALTED: whether what is held is closed, too.
    """
    said = {"reason": reason, "who": who} | ({"flatten": True} if flatten else {})
    ledger.append(_stream(market), intent, now, said, now)


def intent_of(ledger: Ledger, market: str) -> Event | None:
    """The newest word: its kind is the intent. None: nobody said anything, and it trades."""
    return ledger.last(_stream(market))


def is_halted(ledger: Ledger, market: str) -> bool:
    """Whether a market's sessions are to order nothing; without a word, they trade."""
    return _is(HALTED, ledger, market)


def is_flattened(ledger: Ledger, market: str) -> bool:
    """Whether a market is halted, and everything that it holds has to be closed."""
    newest = intent_of(ledger, market)
    return newest is not None and newest.kind == HALTED and flattens(newest)


def flattens(said: Event) -> bool:
    """Whether a word of the operator closes what is held."""
    return bool(said.payload.get("flatten", False))


def is_paused(ledger: Ledger, market: str) -> bool:
    """Whether a market's sessions are to do nothing, and keep what they hold."""
    return _is(PAUSED, ledger, market)


def _is(intent: str, ledger: Ledger, market: str) -> bool:
    newest = intent_of(ledger, market)
    return newest is not None and newest.kind == intent


def _stream(market: str) -> str:
    return f"operator/{market}"
