"""Is a paper session what the backtest would have done? Its recording, once more, compared.

All order intents (symbol, side, quantity, type, prices, decision time) and the equity, bar by bar;
the first difference names its cause, for all later ones may follow from it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.backtest.recorded import equity_of_fills, replayed
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import to_json
from trading_pipeline.core.trading.trader import Bar, Filled, Trader
from trading_pipeline.steps.past_session import Eligible, PastSession

INTENT = ("symbol", "side", "quantity", "type", "limit_price", "stop_price", "decided_at")
_FILL = ("symbol", "quantity", "price", "fee")
_CLOSE = 1e-9  # of the equity, between what fills add up to and what was marked


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the backtest has it."""

    at: pd.Timestamp
    what: str  # order, fill or equity, and of what
    recorded: str
    replayed: str


@dataclass(frozen=True)
class Identity:
    """What a comparison found."""

    stream: str
    bars: int
    orders: int  # compared; those of the newest bar are not, for nothing could fill them
    fills: int
    vetoes: int
    differences: list[Difference]
    cause: str  # of the first one; "" if there is none

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def compare(
    ledger: Ledger,
    market: Market,
    store: RecordingStore,
    session: str,
    eligible_of: Eligible,
) -> Identity:
    """Run what a session recorded through the backtest, and compare.

    Args:
        eligible_of: as the session asked.

    Raises:
        BrokenChain, StoreError, LedgerError: as `PastSession.read`.
    """
    past = PastSession.read(ledger, market, store, session, eligible_of)
    again, filled = _again(past, market)
    decisions = [event for event in past.events if event.kind == "decision"]
    newest = past.marks[-1].at
    orders = [row for each in decisions if each.at < newest for row in each.payload["orders"]]
    fills = past.payloads("fill")
    differences = [
        *_apart("order", orders, _plain(again.orders(session)), INTENT, "decided_at"),
        *_apart("fill", fills, _plain(filled), _FILL, "filled_at"),
        *_equity(past, again),
    ]
    differences.sort(key=lambda each: (each.at, _ORDER.index(each.what.split()[0])))
    return Identity(
        past.stream,
        past.recorded.bars,
        len(orders),
        len(fills),
        sum(len(each.payload["vetoes"]) for each in decisions),
        differences,
        _cause(differences[0]) if differences else "",
    )


def _again(past: PastSession, market: Market) -> tuple[BacktestResult, pd.DataFrame]:
    """The backtest, and its fills; what a broker executed is booked in place of a simulation."""
    terms = Terms.of(market, past.capital)
    given = past.recorded, past.recorded.basis(market), terms, past.session
    if past.executions is None:
        again = replayed(*given)
        return again, again.fills(past.session)
    executions, tables = past.executions, []

    def live(k: int, trader: Trader, bar: Bar) -> Filled:
        filled = trader.book(bar, executions[k])
        tables.append(filled.fills)
        return filled

    return replayed(*given, live), pd.concat(tables, ignore_index=True)


_ORDER = ("fill", "equity", "order")  # of one bar, as one follows from the other


def _cause(first: Difference) -> str:
    """Why, as far as the first difference tells."""
    return {
        "fill": "a fill that the engine would not have made on the recorded bar: a broker's own "
        "price, quantity or fee; or the bar, or the order before it, is not what was traded on",
        "equity": "fills are the same, and the account is worth something else: a close, a cash "
        "flow or a corporate action is not the one that was marked with",
        "order": "the account was the same, and other orders follow from it: a recorded bar or "
        "prediction is not what was decided on, or the rules are those of another version",
    }[first.what.split()[0]]


def _apart(
    what: str,
    recorded: list[dict[str, Any]],
    again: list[dict[str, Any]],
    names: tuple[str, ...],
    stamp: str,
) -> list[Difference]:
    """Rows by id and instant that are on one side only, or are not equal."""
    ours, theirs = _keyed(recorded, stamp), _keyed(again, stamp)
    found = []
    for key in sorted({*ours, *theirs}, key=str):
        mine, other = ours.get(key), theirs.get(key)
        told = [None if row is None else {n: row[n] for n in names} for row in (mine, other)]
        if told[0] != told[1]:
            texts = ["none" if row is None else _text(row) for row in told]
            found.append(Difference(pd.Timestamp(key[1]), f"{what} {key[0]}", *texts))
    return found


def _keyed(rows: list[dict[str, Any]], stamp: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By id, instant and kind; the parts of one order are counted."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    parts: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        key = (row["client_order_id"], row[stamp], row.get("kind"))
        found[*key, parts[key]] = row
        parts[key] += 1
    return found


def _equity(past: PastSession, again: BacktestResult) -> list[Difference]:
    """Bars whose mark is not that of the backtest, or not what the recorded fills add up to."""
    said, recorded = past.equity, past.recorded
    added = equity_of_fills(recorded, past.capital, past.table("fill"), past.table("cash_flow"))
    found = []
    for k, at in enumerate(recorded.panel.timestamps[recorded.first :]):
        if said[k] != again.equity[k]:
            found.append(Difference(at, "equity", repr(said[k]), repr(again.equity[k])))
        elif abs(said[k] - added[k]) > _CLOSE * abs(said[k]):
            sum_of = f"{added[k]!r}, from the recorded fills"
            found.append(Difference(at, "equity", repr(said[k]), sum_of))
    return found


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [to_json(row) for row in table.to_dict("records")]


def _text(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
