"""A trader's states in the decisions of a session: whole at times, else what has changed since.

A decision that holds a change says under `since` which event holds the whole that it goes back to.
"""

from typing import Any

from trading_pipeline.adapters.store.ledger import Event, Ledger

WHOLE_EVERY = 16  # decisions, which a restart reads at most


def earlier_states(ledger: Ledger, stream: str, decision: Event) -> list[dict[str, Any]]:
    """What `Trader.restore` needs beside a decision's own state, oldest first."""
    since = decision.payload["state"].get("since")
    if since is None:
        return []
    known = ledger.read(stream, after=since - 1, kind="decision")
    return [event.payload["state"] for event in known if event.seq < decision.seq]
