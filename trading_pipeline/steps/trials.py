"""Counting trials: every evaluation of a configuration is journalled, and reports are told of all.

A chain of hashes does not show that its newest events were cut off, or that all of it was removed.
So every report names the event of its own evaluation, and a ledger that lacks one which a report in
the same home names cannot say how many trials there were.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.adapters.store.trials import STREAM, Trial, TrialLedger, panel_identity
from trading_pipeline.core.evaluation.metrics import Floats, sharpe
from trading_pipeline.core.evaluation.performance import daily_returns, day_closes
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import BrokenChain, LedgerError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

REFUSED = (
    "without the number of trials there is no verdict, and no report is written. `trading-pipeline "
    "ledger verify` says what is whole; put back a copy of the ledger, or move it and the reports "
    "away and begin to count anew"
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One configuration that was traded on a panel."""

    config_hash: str
    name: str  # the configuration in a few words
    equity: Floats  # (T,), quote currency, on the bars of all evaluations of a call
    kind: str = "walk_forward"  # or "sweep", "judge", "single_model"


class Counted(NamedTuple):
    """What the ledger says of the trials of a market's panel."""

    trials: Trials | None  # None: unknown
    warnings: list[str]  # why they are unknown, or which returns are
    event: dict[str, Any] | None  # `seq` and `hash` of the evaluation that a report vouches for


def name_of(plan: Plan) -> str:
    """A plan in a few words: 'network tiny, moderate', 'network tiny, 5 epochs, moderate'."""
    asked = {
        "epochs": plan.epochs,
        "windows a step": plan.batch_size,
        "learning rate": plan.learning_rate,
    }
    budget = [f"{value:g} {name}" for name, value in asked.items() if value is not None]
    return ", ".join([f"{plan.model} {plan.preset}", *budget, plan.market.profile])


def journal(
    home: Home, market: Market, timestamps: pd.DatetimeIndex, evaluations: Sequence[Evaluation]
) -> Counted:
    """Append evaluations on a market's bars to the trials, all or none, and count all so far.

    Where the ledger cannot be used nothing is journalled, and the trials are unknown.

    Args:
        timestamps: (T,) of the bars.

    Raises:
        BrokenChain: trials were changed, removed or put in between; nothing is journalled.
        StoreError: the daily returns cannot be written.
    """
    closes = day_closes(timestamps)
    days = timestamps[closes].normalize().rename("day")
    table = {each.config_hash: daily_returns(each.equity, closes) for each in evaluations}
    panel = panel_identity(market.source, market.symbols, market.timeframe)
    trials = []
    for each in evaluations:
        ratio = float(sharpe(table[each.config_hash], market.days_per_year))
        known = ratio if isfinite(ratio) else None
        trials.append(Trial(each.config_hash, panel, each.kind, known, market.name, each.name))

    def record(book: TrialLedger) -> Event:
        at, now = timestamps[-1].to_pydatetime(), home.clock.now()
        return book.record(trials, pd.DataFrame(table, index=days), at=at, recorded_at=now)[-1]

    return _counted(home, market, record)


def counted(home: Home, market: Market) -> Counted:
    """What is known of the trials of a market's panel now; nothing is journalled or made.

    Raises:
        BrokenChain: trials were changed, removed or put in between.
    """
    if not home.has_ledger:
        absent = f"trials are unknown: there is no ledger in {home.path}"
        return Counted(None, [absent], vouched(home, market))
    return _counted(home, market, None)


def lost_events(home: Home, ledger: Ledger) -> dict[Path, str]:
    """By report of this home, the event that it names and that the ledger does not have."""
    hashes = {event.seq: event.hash for event in ledger.read(STREAM)}
    return {
        path: f"event {named['seq']} of {STREAM} ({named['hash'][:12]}…)"
        for path, named in named_events(home)
        if hashes.get(named["seq"]) != named["hash"]
    }


def vouched(home: Home, market: Market) -> dict[str, Any] | None:
    """The event that the stored report of a market names, if it names one."""
    own = home.report(market) / "report.json"
    return next((named for path, named in named_events(home) if path == own), None)


def named_events(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The reports of a home that can be read, and the event that each names."""
    for path in sorted(home.path.glob("reports/*/report.json")):
        try:
            named = json.loads(path.read_text(encoding="utf-8"))["lineage"]["trial"]
            yield path, {"seq": int(named["seq"]), "hash": str(named["hash"])}
        except (OSError, ValueError, LookupError, TypeError):
            continue  # damaged, or of before: it vouches for nothing


def _counted(home: Home, market: Market, record: Callable[[TrialLedger], Event] | None) -> Counted:
    try:
        with home.trials() as book:
            book.ledger.verify(STREAM)  # a chain that is broken takes no more, and is not read
            lost = lost_events(home, book.ledger)
            event = record(book) if record else None
            panel = panel_identity(market.source, market.symbols, market.timeframe)
            trials, faults = book.known(panel)
    except BrokenChain as error:
        raise BrokenChain(f"{error}; {REFUSED}") from error
    except LedgerError as error:
        return Counted(None, [f"trials are unknown: {error}"], vouched(home, market))
    if lost:
        why = [
            f"trials are unknown: {path} names {event}, which the ledger does not have: its "
            "newest events, or all of it, were removed. Put it back, or move that report away and "
            "begin to count anew"
            for path, event in lost.items()
        ]
        return Counted(None, why, vouched(home, market))
    named = {"seq": event.seq, "hash": event.hash} if event else vouched(home, market)
    return Counted(trials, [f"counted as a trial, but {fault}" for fault in faults], named)
