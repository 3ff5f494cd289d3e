"""Alpaca's bars: what its pages say, read as canonical bars of the regular session."""

from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.sources.payload import excerpt, number
from trading_pipeline.core.market.bars import (
    KEY,
    STAMPS,
    broken_rules,
    empty_table,
    in_order,
    typed_bars,
)
from trading_pipeline.core.market.calendar import TradingCalendar, in_microseconds
from trading_pipeline.errors import SourceError

NEW_YORK = "America/New_York"
# Hours that count from the bell are none of the venue's: they are put together of its half hours.
JOINED = ("4h", "1h")
_NAMES = {
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "vw": "vwap",
    "n": "trade_count",
}


def empty_rows() -> pd.DataFrame:
    """No rows, in the form of `raw_rows`."""
    return empty_table(symbol="str", opened=STAMPS, **dict.fromkeys(_NAMES.values(), "float64"))


def raw_rows(page: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """The bars of one page as they are: symbol, opened (UTC), prices, volume, vwap, trade_count.

    Numbers may be texts, and what is none is NaN: the check of bars then names it.

    Raises:
        SourceError: a field is missing throughout, or a bar is of no instant.
    """
    # Plain dictionaries, not the client's models: a million of those take 15 seconds, not 1.4.
    parts = [pd.DataFrame(bars).assign(symbol=symbol) for symbol, bars in page.items() if bars]
    if not parts:
        return empty_rows()
    table = pd.concat(parts, ignore_index=True)
    if missing := [name for name in ("t", *_NAMES) if name not in table]:
        raise _unknown_form(page, table["symbol"].iloc[0], 0, f"no {', '.join(missing)}")
    texts = table["t"].where(table["t"].map(lambda value: isinstance(value, str)))
    opened = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    if (lost := opened.isna()).any():
        first = int(lost.argmax())
        symbol = table["symbol"].iloc[first]
        place = first - int((table["symbol"] == symbol).argmax())
        raise _unknown_form(page, symbol, place, "its t is no instant")
    numbers = {name: _numbers(table[field]) for field, name in _NAMES.items()}
    rows = pd.DataFrame({"symbol": table["symbol"], "opened": in_microseconds(opened), **numbers})
    # A volume-weighted price of nothing is written as 0.
    return rows.assign(vwap=rows["vwap"].where(rows["volume"] > 0))


def _numbers(column: pd.Series) -> pd.Series:
    """As float64; texts and anything else, which are rare here, one by one."""
    is_plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return (column if is_plain else column.map(number)).astype("float64")


def _unknown_form(
    page: dict[str, list[dict[str, Any]]], symbol: str, place: int, why: str
) -> SourceError:
    came = excerpt(page[symbol][place])
    return SourceError(
        f"Alpaca answered with bars of an unknown form: {symbol} has {came}, and {why}"
    )


def regular_bars(
    rows: pd.DataFrame, calendar: TradingCalendar, stamps: pd.DatetimeIndex, where: str
) -> pd.DataFrame:
    """Bars at `stamps`, of what was traded between the opening and the closing bell.

    Canonical but for their values: a bar put together of impossible parts is as the first of them.

    Args:
        rows: as from `raw_rows`, of one base timeframe; longer bars are put together of them.
        stamps: (K,) of the bars wanted, increasing. What falls into none of them is left out.

    Raises:
        SourceError: two rows of one symbol and instant differ.
    """
    rows = rows.drop_duplicates(ignore_index=True)
    if (twice := rows.duplicated(["symbol", "opened"])).any():
        first = rows[twice].iloc[0]
        raise SourceError(
            f"{where} gives two different bars of {first['symbol']} at {first['opened']}; "
            "ask again later"
        )
    opened = pd.DatetimeIndex(rows["opened"])
    if calendar.timeframe == "1d":
        opened = opened.tz_convert(NEW_YORK).tz_localize(None).tz_localize("UTC")
    place = stamps.searchsorted(opened, side="right") - 1
    inside = place >= 0
    inside[inside] = opened[inside] < calendar.closes_of(stamps)[place[inside]]
    parts = in_order(typed_bars(rows[inside].assign(timestamp=opened[inside]), where=where))
    if calendar.timeframe not in JOINED:
        return parts
    broken = np.logical_or.reduce([mask for _, mask in broken_rules(parts)])
    bar_of = stamps[stamps.searchsorted(pd.DatetimeIndex(parts["timestamp"]), side="right") - 1]
    parts = parts.assign(timestamp=bar_of)
    impossible = parts[broken].drop_duplicates(KEY)
    bars = pd.concat([impossible, _joined(parts)], ignore_index=True).drop_duplicates(KEY)
    return in_order(typed_bars(bars, where=where))


def _joined(parts: pd.DataFrame) -> pd.DataFrame:
    """One bar of all ordered parts that share timestamp and symbol."""
    parts = parts.assign(traded=parts["vwap"] * parts["volume"])
    bars = parts.groupby(KEY, sort=False, as_index=False).agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
        traded=("traded", "sum"),
        trade_count=("trade_count", "sum"),
    )
    return bars.assign(vwap=(bars["traded"] / bars["volume"]).where(bars["volume"] > 0))
