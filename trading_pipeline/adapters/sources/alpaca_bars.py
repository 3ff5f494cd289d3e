"""Alpaca's bars: what its pages say, read as canonical bars of the regular session."""

from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import KEY, broken_rules, in_order, typed_bars
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
    stamps = pd.DatetimeIndex([], dtype="datetime64[us, UTC]")
    columns = {name: pd.Series([], dtype="float64") for name in _NAMES.values()}
    return pd.DataFrame({"symbol": pd.Series([], dtype="str"), "opened": stamps, **columns})


def raw_rows(page: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """The bars of one page as they are: symbol, opened (UTC), prices, volume, vwap, trade_count.

    Raises:
        SourceError: it is not what the venue documents.
    """
    # Plain dictionaries, not the client's models: a million of those take 15 seconds, not 1.4.
    parts = [pd.DataFrame(bars).assign(symbol=symbol) for symbol, bars in page.items() if bars]
    if not parts:
        return empty_rows()
    table = pd.concat(parts, ignore_index=True)
    try:
        opened = in_microseconds(pd.to_datetime(table["t"], utc=True, format="ISO8601"))
        table = table.rename(columns=_NAMES)[["symbol", *_NAMES.values()]]
    except (KeyError, ValueError, TypeError) as error:
        raise SourceError(f"Alpaca answered with bars of an unknown form: {error}") from error
    # A volume-weighted price of nothing is written as 0.
    return table.assign(opened=opened, vwap=table["vwap"].where(table["volume"] > 0))


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
    bars = parts.groupby(["timestamp", "symbol"], sort=False, as_index=False).agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
        traded=("traded", "sum"),
        trade_count=("trade_count", "sum"),
    )
    return bars.assign(vwap=(bars["traded"] / bars["volume"]).where(bars["volume"] > 0))
