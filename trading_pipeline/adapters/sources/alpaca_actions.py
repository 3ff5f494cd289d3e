"""Alpaca's corporate actions: its records, read as our splits, dividends and notices.

A record names a company by the ticker that it had on that day. Bars are another matter: Alpaca
gives those of former tickers under today's. So that both speak of the same company, its former
names are followed back in time through the records of name changes.

Source: Alpaca, Market Data API reference, 'Corporate actions'.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.sources.payload import excerpt, number
from trading_pipeline.core.market.actions import (
    ACTION_COLUMNS,
    check_actions,
    empty_actions,
    merge_same_day,
)
from trading_pipeline.errors import SourceError

Record = dict[str, Any]
Records = dict[str, list[Record]]  # by kind, as the venue spells it: "cash_dividends", ...

NOTICE_COLUMNS = ("timestamp", "symbol", "kind", "text")
NAME_CHANGES = "name_changes"
# What fits our table: the kind there, and its value. A dividend of 5 % in shares is a split by
# 1.05. Cash rates are per share as held on the ex-date, which is after a split of that date.
_READ: dict[str, tuple[str, Callable[[Record], float]]] = {
    "forward_splits": ("split", lambda record: _new_per_old(record)),
    "reverse_splits": ("split", lambda record: _new_per_old(record)),
    "stock_dividends": ("split", lambda record: 1 + _rate(record, "rate")),
    "cash_dividends": ("dividend", lambda record: _rate(record, "rate")),
}
_TOLD = {
    "cash_mergers": "{acquiree_symbol} is bought for {rate} in cash a share",
    "stock_mergers": "{acquiree_rate} {acquiree_symbol} become {acquirer_rate} {acquirer_symbol}",
    "stock_and_cash_mergers": "{acquiree_rate} {acquiree_symbol} become {acquirer_rate} "
    "{acquirer_symbol} and {cash_rate} in cash",
    "name_changes": "{old_symbol} is called {new_symbol} from here on",
    "redemptions": "{symbol} is redeemed for {rate} a share",
    "rights_distributions": "{source_symbol} gives {rate} rights {new_symbol} a share",
    "spin_offs": "{source_rate} {source_symbol} receive {new_rate} {new_symbol}",
    "unit_splits": "{old_rate} {old_symbol} become {new_rate} {new_symbol} and {alternate_rate} "
    "{alternate_symbol}",
    "worthless_removals": "{symbol} is removed as worthless",
}
_KIND = 40  # characters of a kind, in an error
_NAMED = 3  # symbols of one record
_LONGEST = 500  # characters of a notice
_DATES = ("ex_date", "effective_date", "process_date")
_ALWAYS = (pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC"))


@dataclass(frozen=True)
class _Name:
    """The company that is `symbol` today was called `name` from `since` to `until`."""

    symbol: str
    name: str
    since: pd.Timestamp
    until: pd.Timestamp


def actions_of(records: Records, symbols: Sequence[str], today: pd.Timestamp) -> pd.DataFrame:
    """The canonical splits and dividends of these symbols with an ex-date up to `today`.

    Several of one date become one of the same effect. Announced ones are left out: until its
    ex-date a company may take an action back.

    Raises:
        SourceError: a record lacks a field.
    """
    rows = [
        (stamp, symbol, _READ[kind][0], value)
        for stamp, symbol, kind, record in _concerned(records, symbols)
        if stamp <= today and (value := _value(kind, record)) is not None
    ]
    if not rows:
        return empty_actions()
    table = merge_same_day(pd.DataFrame(rows, columns=list(ACTION_COLUMNS)))
    return check_actions(table, where="Alpaca's corporate actions")


def notices_of(records: Records, symbols: Sequence[str]) -> pd.DataFrame:
    """What happened to these symbols and is neither a split nor a cash dividend.

    Returns:
        timestamp (00:00 UTC of its date), symbol, kind ("spin_off", "name_change", ...), text;
        sorted. Prices jump at most of them, and nothing adjusts for it.

    Raises:
        SourceError: a record lacks a field.
    """
    rows = [
        (stamp, symbol, kind.removesuffix("s"), _text(kind, record))
        for stamp, symbol, kind, record in _concerned(records, symbols)
        if _value(kind, record) is None
    ]
    table = pd.DataFrame(sorted(set(rows)), columns=list(NOTICE_COLUMNS))
    stamps = pd.DatetimeIndex(table["timestamp"], tz="UTC").as_unit("us")
    return table.assign(timestamp=stamps).astype(dict.fromkeys(NOTICE_COLUMNS[1:], "str"))


def former_names(records: Records, symbols: Sequence[str]) -> set[str]:
    """Every ticker that the companies of these symbols had before."""
    return {past.name for past in _names(records, symbols)} - set(symbols)


def _concerned(
    records: Records, symbols: Sequence[str]
) -> list[tuple[pd.Timestamp, str, str, Record]]:
    """Each record once for every one of the symbols that it speaks of: date, symbol, kind, it."""
    names = _names(records, symbols)
    return [
        (stamp, symbol, kind, record)
        for kind, group in records.items()
        for record in {_identity(record): record for record in group}.values()
        for stamp in [_date_of(kind, record)]
        for symbol in sorted({past.symbol for past in names if _speaks_of(record, past, stamp)})
    ]


def _names(records: Records, symbols: Sequence[str]) -> list[_Name]:
    changes = sorted(map(_change_of, records.get(NAME_CHANGES, [])))
    found = []
    for symbol in symbols:
        name, until = symbol, _ALWAYS[1]
        for day, new, old in reversed(changes):
            # Of a change from a name to itself, only the CUSIP is new.
            if new == name != old and day < until:
                found.append(_Name(symbol, name, day, until))
                name, until = old, day
        found.append(_Name(symbol, name, _ALWAYS[0], until))
    return found


def _change_of(record: Record) -> tuple[pd.Timestamp, str, str]:
    """Date, new symbol, old symbol."""
    new, old = record.get("new_symbol"), record.get("old_symbol")
    if not (isinstance(new, str) and isinstance(old, str)):
        raise _malformed(NAME_CHANGES, record)
    return _date_of(NAME_CHANGES, record), new, old


def _speaks_of(record: Record, past: _Name, stamp: pd.Timestamp) -> bool:
    # On the day of a change both names are used.
    return past.since <= stamp <= past.until and past.name in _symbols_in(record)


def _symbols_in(record: Record) -> set[str]:
    symbols = [text for field, text in record.items() if field.endswith("symbol")]
    return {text for text in symbols if isinstance(text, str)}


def _value(kind: str, record: Record) -> float | None:
    """The value in our table; None where the record has none that the table allows."""
    if kind not in _READ:
        return None
    try:
        value = _READ[kind][1](record)
    except ZeroDivisionError:
        return None
    except (KeyError, ValueError) as error:
        raise _malformed(kind, record) from error
    return value if 0 < value < np.inf else None


def _new_per_old(record: Record) -> float:
    return _rate(record, "new_rate") / _rate(record, "old_rate")


def _rate(record: Record, field: str) -> float:
    rate = number(record[field])
    if not math.isfinite(rate):
        raise ValueError(f"{field} is no number")
    return rate


def _text(kind: str, record: Record) -> str:
    try:
        return _TOLD[kind].format(**record)[:_LONGEST]
    except KeyError:  # a kind, or a form of one, that the venue has added since
        said = (f"{field} {record[field]}" for field in sorted(record) if field != "id")
        return ", ".join(said)[:_LONGEST]


def _date_of(kind: str, record: Record) -> pd.Timestamp:
    text = next((record[field] for field in _DATES if record.get(field)), None)
    try:
        day = date.fromisoformat(text)  # type: ignore[arg-type]  # whatever it is, it says so
        return pd.Timestamp(day).tz_localize("UTC").as_unit("us")
    except (TypeError, ValueError, OverflowError) as error:
        raise _malformed(kind, record) from error


def _identity(record: Record) -> str:
    # What it says, not its id: some are published twice.
    return str(sorted(item for item in record.items() if item[0] != "id"))


def _malformed(kind: str, record: Record) -> SourceError:
    whose = ", ".join(sorted(_symbols_in(record))[:_NAMED]) or "nobody"
    return SourceError(
        f"Alpaca's corporate actions of {whose}: {kind[:_KIND]} has a record like no other: "
        f"{excerpt(record)}"
    )
