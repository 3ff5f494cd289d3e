"""Bars and corporate actions of US equities from Alpaca, through its own client, `alpaca-py`.

What the venue does, and what is made of it:
- Prices are raw (`adjustment=raw`); splits and dividends come from its corporate actions.
- IEX, free, is one exchange: its volume is a fiftieth of the market's. SIP is all exchanges; free
  keys may not ask for its latest 15 minutes. The feed is part of what a panel is (`identity`).
- Daily bars are stamped midnight in New York: here 00:00 UTC of the session. Its hours begin on
  the hour: ours count from the bell, and so are built from its half hours.
- Minutes before and after the regular session come along, and are left out. The closing auction
  prints a moment after the bell, so a day's close is not always that of its last minute.
- A bar that is not over comes along, and is left out: known is what has closed `delay` ago.
- Symbols are those of today (`asof`): META has the bars of when it was called FB.
Source: Alpaca, Market Data API reference, 'Historical bars', and 'Market Data FAQ'.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Never, TypeVar

import pandas as pd
from pydantic import SecretStr

from trading_pipeline.adapters.sources.alpaca_actions import (
    Records,
    actions_of,
    former_names,
    notices_of,
)
from trading_pipeline.adapters.sources.alpaca_api import AlpacaApi, Asset
from trading_pipeline.adapters.sources.alpaca_bars import NEW_YORK, empty_rows, regular_bars
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.adapters.sources.source import listings_of, refuse_unknown
from trading_pipeline.adapters.sources.venue_clock import OLD, VenueClock
from trading_pipeline.core.market.calendar import TradingCalendar, trading_calendar
from trading_pipeline.errors import SourceError

FEEDS = ("iex", "sip")
WHERE = "Alpaca"
# What each of our bars is made from. Hours that count from the bell are not among the venue's.
_MADE_FROM = {
    "1d": "1Day",
    "4h": "30Min",
    "1h": "30Min",
    "30m": "30Min",
    "15m": "15Min",
    "5m": "5Min",
    "1m": "1Min",
}
# Before the first bar of either feed, and the first record of its corporate actions.
_DAWN = pd.Timestamp("2000-01-01", tz="UTC")
_RECENT_SIP = timedelta(minutes=15)
_BY_MIDNIGHT = ("1Day", "1Month")
_OLD_LIST = 3600.0  # seconds: lists of symbols and corporate actions are asked for again
_DAY = pd.Timedelta(days=1)

Answer = TypeVar("Answer")


class AlpacaSource:
    """A `LiveSource` of US equities.

    Args:
        key, secret: of an account, paper or live; None complains when something is asked.
        feed: "iex" or "sip". timeframe: any of `calendar.STEPS`.
        url, trading_url: other addresses of the data and the trading API; keys of a live account
            need "https://api.alpaca.markets" as the latter.
        delay: how long after its close a bar is taken; by default 15 minutes for SIP, as free
            keys need it, and none for IEX. With a subscription to SIP it may be 0.
        per_minute: requests that the plan allows; 200 of a free one. patience: with the venue.
        now: the clock of this machine, for a venue that does not tell its own.
    """

    live: ClassVar[bool] = True
    at_once: int = 100  # symbols in one request: more make an address too long

    def __init__(
        self,
        key: SecretStr | None,
        secret: SecretStr | None,
        *,
        feed: str = "iex",
        timeframe: str = "1d",
        url: str | None = None,
        trading_url: str | None = None,
        delay: timedelta | None = None,
        per_minute: float = 200.0,
        patience: Patience | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if feed not in FEEDS:
            raise ValueError(f"feed must be one of {', '.join(FEEDS)}, was {feed!r}")
        self.feed = feed
        self.calendar: TradingCalendar = trading_calendar("XNYS", timeframe)
        self.delay = delay if delay is not None else _RECENT_SIP * (feed == "sip")
        self._patience = patience or Patience()
        self._api = AlpacaApi(key, secret, url, trading_url, per_minute, self._patience)
        self._clock = VenueClock(WHERE, lambda: self._api.clock() or now(), self._patience.clock)
        self._kept: dict[object, tuple[float, Any]] = {}

    def __repr__(self) -> str:
        return f"AlpacaSource(feed={self.feed!r}, timeframe={self.calendar.timeframe!r})"

    def __reduce__(self) -> Never:
        raise TypeError("Alpaca's keys are not written anywhere; make the source where it is used")

    def clock(self, age: float = OLD) -> pd.Timestamp:
        """See `LiveSource.clock`."""
        return self._clock(age)

    def identity(self) -> dict[str, str]:
        """Bars of another feed or timeframe are never mixed with these."""
        return {"source": "alpaca", "feed": self.feed, "timeframe": self.calendar.timeframe}

    def symbols(self) -> list[str]:
        """All symbols that trade now, sorted; those delisted can be asked for all the same."""
        return sorted(name for name, asset in self._assets().items() if is_active(asset))

    def traded(self, symbols: Sequence[str]) -> set[str]:
        """See `LiveSource.traded`."""
        self._refuse_unknown(symbols)
        assets = self._assets()
        return {name for name in symbols if is_active(assets[name]) and assets[name]["tradable"]}

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first, end) of the bars of the symbols; see `BarSource.span`."""
        months = self._months(symbols)
        begins = months.groupby("symbol")["opened"].min()
        earliest = begins.index[begins == begins.min()]
        first = self._first_stamps(months[months["symbol"].isin(earliest)]).min()
        if pd.isna(first):
            raise SourceError(f"{WHERE} has no bars of {', '.join(symbols) or 'no symbols at all'}")
        return first, self._last_stamp(months) + self.calendar.step

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Raw bars that open in [start, end) and have closed; see `BarSource.bars`."""
        self._refuse_unknown(symbols)
        stamps = self.calendar.sessions(start, end)
        stamps = stamps[self.calendar.closes_of(stamps) <= self._known_until()]
        rows = empty_rows()
        if len(stamps) and symbols:
            opens, close = (
                self.calendar.opens_of(stamps[[0, -1]]),
                self.calendar.close_of(stamps[-1]),
            )
            rows = self._rows(_MADE_FROM[self.calendar.timeframe], symbols, opens[0], close)
        return regular_bars(rows, self.calendar, stamps, where=f"{WHERE}'s {self.feed} feed")

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Splits and dividends with an ex-date until today, former tickers included.

        What is neither, such as a spin-off, is among the `notices`.
        """
        local = self.clock().tz_convert(NEW_YORK)
        today = local.normalize().tz_localize(None).tz_localize("UTC")
        return actions_of(self._records(symbols), symbols, today)

    def notices(self, symbols: Sequence[str]) -> pd.DataFrame:
        """What else happened to the symbols: see `alpaca_actions.notices_of`."""
        return notices_of(self._records(symbols), symbols)

    def listings(self, symbols: Sequence[str]) -> pd.DataFrame:
        """First bar and status of each symbol; see `LiveSource.listings`."""
        first = self._first_stamps(self._months(symbols)) if symbols else pd.Series(dtype=object)
        assets, listed = self._assets(), first.reindex(symbols)
        status = [_status(assets[name], listed[name]) for name in symbols]
        return listings_of(symbols, listed, status)

    def _months(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Monthly rows: few, and they say where to look for a symbol's first and last bar."""
        self._refuse_unknown(symbols)
        months = empty_rows()
        if symbols:
            months = self._rows("1Month", symbols, _DAWN, self._known_until())
        return months

    def _first_stamps(self, months: pd.DataFrame) -> pd.Series:
        """Stamp of the first bar of each symbol that has one."""
        found: dict[str, pd.Timestamp] = {}
        for month, symbols in _groups(months.groupby("symbol")["opened"].min()):
            days = self._rows("1Day", symbols, month, month + 31 * _DAY)
            for day, some in _groups(days.groupby("symbol")["opened"].min()):
                found |= self._first_from(some, day)
        return pd.Series(found, dtype="datetime64[us, UTC]")

    def _first_from(self, symbols: list[str], day: pd.Timestamp) -> dict[str, pd.Timestamp]:
        first: dict[str, pd.Timestamp] = {}
        # Most often it is that day; before its opening bell there may have been trades only.
        for end in (day + 7 * _DAY, self._known_until()):
            if missing := [symbol for symbol in symbols if symbol not in first]:
                bars = self.bars(missing, day.normalize(), end)
                first |= bars.groupby("symbol")["timestamp"].min().to_dict()
        return first

    def _last_stamp(self, months: pd.DataFrame) -> pd.Timestamp:
        """Stamp of the last bar of all symbols, of which one has a bar at least."""
        month, now = months["opened"].max(), self._known_until()
        newest = months.loc[months["opened"] == month, "symbol"].unique()
        day = self._rows("1Day", newest, month, now)["opened"].max().normalize()
        # Most often it is that day; but its bars may be open still, or before the bell.
        starts = (day, day - 7 * _DAY, month - 31 * _DAY)
        questions = [*((newest, start) for start in starts), (months["symbol"].unique(), _DAWN)]
        answers = (self.bars(symbols, start, now) for symbols, start in questions)
        return next(bars["timestamp"].iloc[-1] for bars in answers if not bars.empty)

    def _rows(
        self, timeframe: str, symbols: Sequence[str], first: pd.Timestamp, until: pd.Timestamp
    ) -> pd.DataFrame:
        """The venue's own bars from `first` until before `until`, open ones included."""
        if timeframe in _BY_MIDNIGHT:
            first = first.tz_convert(NEW_YORK).normalize().tz_convert("UTC")
        # The venue's ends are inclusive.
        last = min(until, self._known_until()) - pd.Timedelta(microseconds=1)
        names = sorted(set(symbols))
        pages = [
            rows
            for n in range(0, len(names), self.at_once)
            for rows in self._api.bars(
                timeframe, names[n : n + self.at_once], first, last, self.feed
            )
        ]
        return pd.concat(pages, ignore_index=True)

    def _records(self, symbols: Sequence[str]) -> Records:
        """All corporate actions of the symbols, and of the tickers that they had before."""
        self._refuse_unknown(symbols)
        return self._once_an_hour(tuple(symbols), lambda: self._all_records(symbols))

    def _all_records(self, symbols: Sequence[str]) -> Records:
        records: Records = {}
        asked: set[str] = set()
        # Actions are dated by when they are paid, weeks after the ex-date.
        until = self.clock() + timedelta(days=366)
        while missing := sorted((set(symbols) | former_names(records, symbols)) - asked):
            for n in range(0, len(missing), self.at_once):
                some = missing[n : n + self.at_once]
                for page in self._api.corporate_actions(some, _DAWN, until):
                    for kind, group in page.items():
                        records.setdefault(kind, []).extend(group)
            asked |= set(missing)
        return records

    def _refuse_unknown(self, symbols: Sequence[str]) -> None:
        # The data API has no bars of a symbol that does not exist, and no error either.
        if unknown := set(symbols) - set(self._assets()):
            refuse_unknown(sorted(unknown), self.symbols(), WHERE)

    def _assets(self) -> dict[str, Asset]:
        """By symbol; a ticker that was given to another company is the one that trades now."""

        def ask() -> dict[str, Asset]:
            assets = sorted(self._api.assets(), key=is_active)
            return {asset["symbol"]: asset for asset in assets}

        return self._once_an_hour("assets", ask)

    def _once_an_hour(self, question: object, ask: Callable[[], Answer]) -> Answer:
        """The answer, kept for as long as a download takes and not much longer."""
        known = self._kept.get(question)
        if known is None or self._patience.clock() - known[0] > _OLD_LIST:
            known = self._kept[question] = self._patience.clock(), ask()
        answer: Answer = known[1]
        return answer

    def _known_until(self) -> pd.Timestamp:
        return self.clock() - self.delay


def is_active(asset: Asset) -> bool:
    """Whether Alpaca still lists it."""
    return bool(asset["status"] == "active")


def _status(asset: Asset, listed: pd.Timestamp) -> str:
    if not is_active(asset):
        return "delisted"
    if pd.isna(listed):
        return "not yet traded"
    return "trading" if asset["tradable"] else "halted"


def _groups(stamps: pd.Series) -> list[tuple[pd.Timestamp, list[str]]]:
    """Symbol → stamp the other way round: each stamp with its symbols."""
    return [(stamp, list(group)) for stamp, group in stamps.groupby(stamps).groups.items()]
