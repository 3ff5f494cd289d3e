"""A small stock market, minute by minute, for fake venues to tell of.

It trades before and after the regular session too, has a half day (2024-11-29) and a change to
winter time (2024-11-03), a 2 for 1 split of AAPL, a listing, a delisting and a change of name.
Its feed "iex" is one exchange of many: a fiftieth of the volume, and not a trade in every minute.
"""

import zlib
from functools import cache

import numpy as np
import pandas as pd

from trading_pipeline.core.market.calendar import trading_calendar

FIRST, LAST = pd.Timestamp("2024-10-28", tz="UTC"), pd.Timestamp("2024-12-03", tz="UTC")
NEW_YORK = "America/New_York"
SPLIT = pd.Timestamp("2024-11-12", tz="UTC")  # AAPL, 2 for 1
RENAMED = pd.Timestamp("2024-11-20", tz="UTC")  # OLDCO is called NEWCO since
LIVES = {
    "AAPL": (FIRST, LAST),
    "MSFT": (FIRST, LAST),
    "NEWCO": (pd.Timestamp("2024-11-07", tz="UTC"), LAST),
    "DEAD": (FIRST, pd.Timestamp("2024-10-31", tz="UTC")),
}
_PRICES = {"AAPL": 220.0, "MSFT": 410.0, "NEWCO": 12.0, "DEAD": 3.0}
_RESAMPLED = {"1Min": "1min", "5Min": "5min", "15Min": "15min", "30Min": "30min", "1Hour": "1h"}
_TOGETHER = {"o": "first", "h": "max", "l": "min", "c": "last", "v": "sum", "n": "sum"}


@cache
def minutes(symbol: str, feed: str) -> pd.DataFrame:
    """All minutes of a symbol: o, h, l, c, v, n, vw by their opening instant; not to be changed."""
    if feed == "iex":
        table = minutes(symbol, "sip")
        heard = np.random.default_rng(zlib.crc32(symbol.encode())).random(len(table)) < 0.6
        return table[heard].assign(v=lambda t: t["v"] // 50 + 1, n=lambda t: t["n"] // 20 + 1)
    days = trading_calendar("XNYS", "1d")
    sessions = days.sessions(LIVES[symbol][0], LIVES[symbol][1] + days.step)
    stamps = [
        _minutes_of(open_, close)
        for open_, close in zip(days.opens_of(sessions), days.closes_of(sessions), strict=True)
    ]
    opens = pd.DatetimeIndex(np.concatenate(stamps), tz="UTC").as_unit("us")
    return _walk(symbol, opens)


@cache
def _minutes_of(open_: pd.Timestamp, close: pd.Timestamp) -> np.ndarray:
    """Every minute of the session, every quarter of an hour around it, from 04:00 to 20:00."""
    open_, close = open_.tz_convert(NEW_YORK), close.tz_convert(NEW_YORK)
    day = open_.normalize()
    early = pd.date_range(day + pd.Timedelta(hours=4), open_, freq="15min", inclusive="left")
    late = pd.date_range(close, day + pd.Timedelta(hours=20), freq="15min", inclusive="left")
    session = pd.date_range(open_, close, freq="1min", inclusive="left")
    return np.concatenate([each.tz_convert("UTC") for each in (early, session, late)])


def _walk(symbol: str, opens: pd.DatetimeIndex) -> pd.DataFrame:
    chance = np.random.default_rng(zlib.crc32(symbol.encode()))
    path = _PRICES[symbol] * np.exp(np.cumsum(chance.normal(0, 5e-4, len(opens) + 1)))
    if symbol == "AAPL":
        path[1:] /= np.where(opens >= SPLIT, 2, 1)
    begin, end = path[:-1].round(2), path[1:].round(2)
    begin[1:] = np.where(np.diff(opens) > pd.Timedelta(hours=5), end[1:], begin[1:])
    return pd.DataFrame(
        {
            "o": begin,
            "h": (np.maximum(begin, end) + chance.integers(0, 5, len(opens)) / 100).round(2),
            "l": (np.minimum(begin, end) - chance.integers(0, 5, len(opens)) / 100).round(2),
            "c": end,
            "v": chance.integers(100, 90_000, len(opens)),
            "n": chance.integers(1, 900, len(opens)),
            "vw": ((begin + end) / 2).round(6),
        },
        index=opens,
    )


def bars(table: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    """Minutes put together as the venue does: hours on the hour, days by midnight in New York.

    A day's prices are those of the regular session; its volume is that of the whole day.
    """
    table = table.assign(money=table["vw"] * table["v"])
    local = table.index.tz_convert(NEW_YORK)
    if timeframe in _RESAMPLED:
        names, priced = table.index.floor(_RESAMPLED[timeframe]), np.ones(len(table), bool)
    else:
        names = local.normalize()
        if timeframe == "1Month":
            names = names.tz_localize(None).to_period("M").start_time.tz_localize(NEW_YORK)
        names, priced = names.tz_convert("UTC"), _in_session(table.index)
    prices = table.assign(name=names)[priced].groupby("name").agg(_TOGETHER)
    sums = table.assign(name=names).groupby("name")[["v", "n", "money"]].sum()
    sums = sums.loc[prices.index]
    return prices.assign(v=sums["v"], n=sums["n"], vw=(sums["money"] / sums["v"]).round(6))


def _in_session(opens: pd.DatetimeIndex) -> np.ndarray:
    clock = trading_calendar("XNYS", "1m")
    return opens.isin(clock.sessions(opens[0], opens[-1] + clock.step))
