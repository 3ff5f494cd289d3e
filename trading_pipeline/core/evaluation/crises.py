"""Market crises of which everybody asks how a strategy came through them."""

from typing import NamedTuple

import pandas as pd

from trading_pipeline.core.market.exchanges import NEVER_CLOSES


class Crisis(NamedTuple):
    """A fall of a whole market; dates are ISO, those of the highest and of the lowest close."""

    name: str
    peak: str
    trough: str


# Closes of the S&P 500 index (S&P Dow Jones Indices). `arch.data.sp500` has those until 2018.
SHARES = (
    Crisis("Dot-com bust", "2000-03-24", "2002-10-09"),
    Crisis("Financial crisis", "2007-10-09", "2009-03-09"),
    Crisis("Lehman Brothers", "2008-08-28", "2008-11-20"),
    Crisis("Euro crisis", "2010-04-23", "2010-07-02"),
    Crisis("US downgrade", "2011-07-22", "2011-08-08"),
    Crisis("China devalues", "2015-08-17", "2015-08-25"),
    Crisis("Oil and China", "2015-11-03", "2016-02-11"),
    Crisis("End of short volatility", "2018-01-26", "2018-02-08"),
    Crisis("Fourth quarter of 2018", "2018-09-20", "2018-12-24"),
    Crisis("Covid", "2020-02-19", "2020-03-23"),
    Crisis("Inflation", "2022-01-03", "2022-10-12"),
    Crisis("Tariffs", "2025-02-19", "2025-04-08"),
)
# Closes of bitcoin in US dollars at 00:00 UTC (CoinMarketCap, BTC).
COINS = (
    Crisis("Crypto winter", "2017-12-16", "2018-12-15"),
    Crisis("Covid", "2020-02-14", "2020-03-12"),
    Crisis("China bans mining", "2021-05-08", "2021-05-29"),
    Crisis("Terra and Three Arrows", "2022-05-04", "2022-06-18"),
    Crisis("FTX", "2022-11-05", "2022-11-21"),
)


def crises_within(calendar: str, start: pd.Timestamp, end: pd.Timestamp) -> list[Crisis]:
    """Those of a calendar's markets that lie wholly between two instants, UTC, oldest first.

    A market that never closes is taken for coins, every other one for shares.
    """
    known = COINS if calendar == NEVER_CLOSES else SHARES
    return [
        each
        for each in known
        if start.normalize() <= pd.Timestamp(each.peak, tz="UTC")
        and pd.Timestamp(each.trough, tz="UTC") <= end.normalize()
    ]
