"""Trials: how many configurations were tried before the one that looks good.

A trial is a distinct (configuration, panel). Evaluating the same one again, by accident or with
tomorrow's bars, is not another; choosing among variants counts each. Source: Bailey & López de
Prado, The Deflated Sharpe Ratio (2014), where it is the number that the ratio is deflated by.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from trading_pipeline.adapters.store.ledger import (
    Entry,
    Event,
    Ledger,
    Payload,
    canonical_json,
)

STREAM = "trials"


@dataclass(frozen=True)
class Trial:
    """What became of one configuration on one panel when it was last evaluated."""

    config_hash: str
    panel: str  # see panel_identity
    kind: str  # how it came to be tried, e.g. "walk_forward"
    sharpe: float | None  # annualised, out of sample, after costs; None: undefined


def panel_identity(source: str, symbols: Iterable[str], timeframe: str) -> str:
    """Which panel it is, however many bars it has by now: 16 hexadecimal digits."""
    panel = {"source": source, "symbols": sorted(set(symbols)), "timeframe": timeframe}
    return hashlib.sha256(canonical_json(panel).encode()).hexdigest()[:16]


def record_trials(
    ledger: Ledger, trials: Iterable[Trial], *, at: datetime, recorded_at: datetime
) -> list[Event]:
    """Journal evaluations of the same bars, all of them or none.

    Args:
        at: the last instant that they saw. recorded_at: the wall clock's now.

    Raises:
        LedgerError: a Sharpe ratio is NaN or infinite (undefined is None), or the ledger fails.
    """
    entries = [Entry(each.kind, at, _payload(each)) for each in trials]
    return ledger.append_many(STREAM, entries, recorded_at)


def distinct_trials(ledger: Ledger) -> list[Trial]:
    """Every trial once, as last evaluated, in the order in which they were first tried."""
    newest = {}
    for event in ledger.read(STREAM):
        trial = Trial(kind=event.kind, **event.payload)
        newest[trial.config_hash, trial.panel] = trial
    return list(newest.values())


def _payload(trial: Trial) -> Payload:
    return {
        "config_hash": trial.config_hash,
        "panel": trial.panel,
        "sharpe": None if trial.sharpe is None else float(trial.sharpe),
    }
