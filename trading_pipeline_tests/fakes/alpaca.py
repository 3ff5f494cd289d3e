"""Alpaca on this machine: its data API and its trading API at one address, in its own format.

Written from the public API reference. Differences to the real venue: a few symbols, five weeks of
them (`fakes/stocks.py`), no quotes, no orders.
"""

import base64
import copy
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.venue import Answer, Request, Venue

KEY, SECRET = "PKTESTKEY0123456789", "secretsecretsecretsecret"
TIMEFRAMES = ("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Month")
RECENT = timedelta(minutes=15)
RECENT_SIP = "subscription does not permit querying recent SIP data"


class FakeAlpaca(Venue):
    """One account with KEY and SECRET; what tests may change are `now`, `page`, `assets`, ...

    now: the instant it is at the venue; minutes that begin later are not there yet.
    page: the most bars that it puts on one page. subscribed: SIP without its 15 minutes.
    actions: corporate actions by kind, records as the venue writes them.
    bars: canonical daily bars that it tells instead of its own minutes, of any feed.
    withheld: by symbol, spans of days ("2024-11-05", "2024-11-08"), last one left out, of which it
        says nothing; its months are told all the same.
    """

    def __init__(
        self,
        now: datetime,
        *,
        page: int = 10_000,
        subscribed: bool = False,
        bars: pd.DataFrame | None = None,
    ) -> None:
        super().__init__()
        self.given = None if bars is None else _days_of(bars)
        self.now, self.page, self.subscribed = pd.Timestamp(now), page, subscribed
        names = stocks.LIVES if self.given is None else self.given
        self.assets = {name: asset(name, active=name != "DEAD") for name in names}
        self.actions = copy.deepcopy(ACTIONS) if self.given is None else {}
        self.refused_tokens = False
        self.withheld: dict[str, list[tuple[str, str]]] = {}
        self._revised = False
        self._kept: dict[tuple[Any, ...], list[dict[str, Any]]] = {}

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        """See `Venue.answer`."""
        answers = {
            "/v2/stocks/bars": lambda: self._bars(request.query, half),
            "/v1/corporate-actions": lambda: self._actions(request.query),
            "/v2/assets": lambda: self._assets(request.query),
            "/v2/clock": self._clock,
            "/v2/calendar": lambda: _calendar(request.query),
            "/v2/account": lambda: Answer(ACCOUNT),
        }
        if not _may_enter(request):
            data = request.path in ("/v2/stocks/bars", "/v1/corporate-actions")
            return Answer(FORBIDDEN, 403) if data else Answer(UNAUTHORIZED, 401)
        return answers.get(request.path, lambda: Answer({"message": "Not Found"}, 404))()

    def is_page(self, request: Request) -> bool:
        """See `Venue.is_page`."""
        return request.path == "/v2/stocks/bars"

    def with_rows(self, payload: Any, change: Any) -> Any:
        """See `Venue.with_rows`."""
        bars = {symbol: change(rows) for symbol, rows in payload["bars"].items()}
        return payload | {"bars": bars}

    def change_history(self) -> None:
        """The prices of the first three sessions were a thousandth higher, all along."""
        self._revised = True

    def _bars(self, query: dict[str, str], half: bool) -> Answer:
        if complaint := self._complaint(query):
            return complaint
        limit = min(int(query.get("limit", 1000)), self.page)
        rows = self._chosen(query)
        if after := query.get("page_token"):
            place = _decoded(after)
            names = [_token(symbol, query["timeframe"], row) for symbol, row in rows]
            if self.refused_tokens or place not in names:
                return _wrong("invalid page_token")
            rows = rows[names.index(place) + 1 :]
        if half:
            limit = max(1, min(limit, len(rows)) // 2)
        page, rest = rows[:limit], rows[limit:]
        bars: dict[str, list[dict[str, Any]]] = {}
        for symbol, row in page:
            bars.setdefault(symbol, []).append(row)
        token = _encoded(_token(page[-1][0], query["timeframe"], page[-1][1])) if rest else None
        return Answer({"bars": bars, "next_page_token": token})

    def _complaint(self, query: dict[str, str]) -> Answer | None:
        if not query.get("symbols"):
            return _wrong("symbols is required")
        if query.get("timeframe") not in TIMEFRAMES:
            return _wrong(f"invalid timeframe: {query.get('timeframe')}")
        if not 1 <= int(query.get("limit", 1000)) <= 10_000:
            return _wrong("invalid limit: must be between 1 and 10000")
        recent = self._end(query) > self.now - RECENT
        if query.get("feed", "iex") == "sip" and recent and not self.subscribed:
            return Answer({"message": RECENT_SIP}, 403)
        return None

    def _end(self, query: dict[str, str]) -> pd.Timestamp:
        return _instant(query["end"]) if "end" in query else self.now

    def _chosen(self, query: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
        """All bars of the question, symbol by symbol."""
        start = query.get("start", self.now.tz_convert(stocks.NEW_YORK).normalize().isoformat())
        first, last = (_as_written(at) for at in (_instant(start), self._end(query)))
        order = -1 if query.get("sort") == "desc" else 1
        return [
            (symbol, row)
            for symbol in sorted(set(query["symbols"].split(",")))
            for row in self._rows(symbol, query)[::order]
            if first <= row["t"] <= last
            if query["timeframe"] == "1Month" or not self._withholds(symbol, row["t"])
        ]

    def _withholds(self, symbol: str, stamp: str) -> bool:
        return any(first <= stamp < end for first, end in self.withheld.get(symbol, ()))

    def _rows(self, symbol: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """All bars of a symbol so far, the open one included."""
        feed, asof = query.get("feed", "iex"), query.get("asof")
        key = (symbol, query["timeframe"], feed, asof, self.now, self._revised)
        if self.given is not None:
            return _told(self.given.get(symbol), query["timeframe"], self.now)
        if key not in self._kept:
            table = self._minutes(symbol, feed, asof)
            self._kept[key] = _rows_of(stocks.bars(table, query["timeframe"])) if len(table) else []
        return self._kept[key]

    def _minutes(self, symbol: str, feed: str, asof: str | None) -> pd.DataFrame:
        """By company: NEWCO has the minutes of OLDCO, unless `asof` is '-', which is by ticker."""
        company = "NEWCO" if symbol == "OLDCO" else symbol
        if company not in stocks.LIVES:
            return pd.DataFrame()
        table = stocks.minutes(company, feed)
        if symbol == "OLDCO":
            table = table[table.index < stocks.RENAMED]
        elif symbol == "NEWCO" and asof == "-":
            table = table[table.index >= stocks.RENAMED]
        if self._revised:
            old = table.index < stocks.FIRST + pd.Timedelta(days=3)
            prices = table[["o", "h", "l", "c", "vw"]].mul(np.where(old, 1.001, 1.0), axis=0)
            table = table.assign(**prices.round(4))
        return table[table.index < self.now]

    def _actions(self, query: dict[str, str]) -> Answer:
        today = f"{self.now.tz_convert(stocks.NEW_YORK):%Y-%m-%d}"
        first, last = query.get("start", today), query.get("end", today)
        asked = set(query["symbols"].split(",")) if "symbols" in query else None
        found = sorted(
            (record["process_date"], record["id"], kind, record)
            for kind, records in self.actions.items()
            for record in records
            if first <= record["process_date"] <= last and (not asked or asked & _names(record))
        )
        if after := query.get("page_token"):
            found = [each for each in found if f"{each[0]}|{each[1]}" > _decoded(after)]
        limit = min(int(query.get("limit", 100)), self.page)
        page: dict[str, list[dict[str, Any]]] = {}
        for _, _, kind, record in found[:limit]:
            page.setdefault(kind, []).append(record)
        more = len(found) > limit
        token = _encoded("|".join(found[limit - 1][:2])) if more else None
        return Answer({"corporate_actions": page, "next_page_token": token})

    def _assets(self, query: dict[str, str]) -> Answer:
        status = query.get("status")
        chosen = [each for each in self.assets.values() if status in (None, each["status"])]
        return Answer(chosen)

    def _clock(self) -> Answer:
        local = self.now.tz_convert(stocks.NEW_YORK)
        days = trading_calendar("XNYS", "1d")
        sessions = days.sessions(self.now - timedelta(days=1), self.now + timedelta(days=14))
        opens, closes = (
            [each.tz_convert(stocks.NEW_YORK) for each in edges]
            for edges in (days.opens_of(sessions), days.closes_of(sessions))
        )
        opening = next(each for each in opens if each > local)
        closing = next(each for each in closes if each > local)
        return Answer(
            {
                "timestamp": local.isoformat(),
                "is_open": closing < opening,
                "next_open": opening.isoformat(),
                "next_close": closing.isoformat(),
            }
        )


def asset(symbol: str, *, active: bool = True) -> dict[str, Any]:
    """An asset as the trading API lists it."""
    return {
        "id": _id(f"asset {symbol} {active}"),
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": f"{symbol} Inc. Common Stock",
        "status": "active" if active else "inactive",
        "tradable": active,
        "marginable": active,
        "shortable": active,
        "easy_to_borrow": active,
        "fractionable": active,
        "attributes": [],
    }


def dividend(symbol: str, ex_date: str, rate: float, *, special: bool = False) -> dict[str, Any]:
    """A record of `cash_dividends`: paid, and so processed, two weeks after its ex-date."""
    paid = f"{pd.Timestamp(ex_date) + pd.Timedelta(days=14):%Y-%m-%d}"
    return {
        "id": _id(f"dividend {symbol} {ex_date} {special}"),
        "symbol": symbol,
        "cusip": "594918104",
        "rate": rate,
        "special": special,
        "foreign": False,
        "ex_date": ex_date,
        "record_date": ex_date,
        "payable_date": paid,
        "process_date": paid,
    }


def split(symbol: str, ex_date: str, new: float, old: float) -> dict[str, Any]:
    """A record of `forward_splits`; with other CUSIPs it is one of `reverse_splits`."""
    return {
        "id": _id(f"split {symbol} {ex_date}"),
        "symbol": symbol,
        "cusip": "037833100",
        "new_rate": new,
        "old_rate": old,
        "ex_date": ex_date,
        "record_date": ex_date,
        "payable_date": ex_date,
        "process_date": ex_date,
    }


def name_change(old: str, new: str, date: str) -> dict[str, Any]:
    """A record of `name_changes`."""
    return {
        "id": _id(f"name {old} {new} {date}"),
        "old_symbol": old,
        "old_cusip": "111111111",
        "new_symbol": new,
        "new_cusip": "222222222",
        "process_date": date,
    }


def _id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


ACTIONS = {
    "forward_splits": [split("AAPL", f"{stocks.SPLIT:%Y-%m-%d}", 2, 1)],
    "cash_dividends": [
        dividend("AAPL", "2024-11-08", 0.25),
        dividend("MSFT", "2024-11-21", 0.83),
        dividend("MSFT", "2024-11-21", 3.0, special=True),
        dividend("OLDCO", "2024-11-13", 0.05),
    ],
    "name_changes": [name_change("OLDCO", "NEWCO", f"{stocks.RENAMED:%Y-%m-%d}")],
}
FORBIDDEN = {"message": "forbidden."}
UNAUTHORIZED = {"code": 40110000, "message": "request is not authorized"}
ACCOUNT = {
    "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
    "account_number": "010203ABCD",
    "status": "ACTIVE",
    "currency": "USD",
    "cash": "100000",
    "equity": "100000",
    "buying_power": "200000",
}


def _may_enter(request: Request) -> bool:
    sent = {name.lower(): value for name, value in request.headers.items()}
    return (sent.get("apca-api-key-id"), sent.get("apca-api-secret-key")) == (KEY, SECRET)


def _calendar(query: dict[str, str]) -> Answer:
    days = trading_calendar("XNYS", "1d")
    start, end = query.get("start", "1970-01-01"), query.get("end", "2029-12-31")
    first, last = (pd.Timestamp(date, tz="UTC") for date in (start, end))
    sessions = days.sessions(first, last + days.step)
    rows = zip(sessions, days.opens_of(sessions), days.closes_of(sessions), strict=True)
    return Answer(
        [
            {
                "date": f"{session:%Y-%m-%d}",
                "open": f"{opened.tz_convert(stocks.NEW_YORK):%H:%M}",
                "close": f"{closed.tz_convert(stocks.NEW_YORK):%H:%M}",
                "session_open": "0400",
                "session_close": "2000",
            }
            for session, opened, closed in rows
        ]
    )


def _days_of(bars: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Daily bars by symbol, as `stocks.bars` gives them: indexed by midnight in New York."""
    days = pd.DatetimeIndex(bars["timestamp"]).tz_localize(None).tz_localize(stocks.NEW_YORK)
    names = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    table = bars.set_index(days.tz_convert(UTC)).rename(columns=names).assign(n=1)
    table["vw"] = table["c"]
    columns = ["o", "h", "l", "c", "v", "n", "vw"]
    return {str(symbol): rows[columns] for symbol, rows in table.groupby("symbol")}


def _told(days: pd.DataFrame | None, timeframe: str, now: pd.Timestamp) -> list[dict[str, Any]]:
    """What a venue with daily bars says of a symbol by now: days, or their months."""
    if days is None:
        return []
    days = days[days.index < now]
    if timeframe == "1Month":
        local = days.index.tz_convert(stocks.NEW_YORK)
        month = local.tz_localize(None).to_period("M").start_time.tz_localize(stocks.NEW_YORK)
        whole = {"o": "first", "h": "max", "l": "min", "c": "last", "v": "sum", "n": "sum"}
        days = days.groupby(month.tz_convert(UTC)).agg(whole | {"vw": "mean"})
    return _rows_of(days)


def _rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    whole = {"v": table["v"].astype(int), "n": table["n"].astype(int)}
    stamps = table.index.strftime("%Y-%m-%dT%H:%M:%SZ")
    return table.round(6).assign(**whole, t=stamps).to_dict(orient="records")


def _instant(text: str) -> pd.Timestamp:
    at = pd.Timestamp(text)
    return at if at.tz else at.tz_localize(UTC)


def _as_written(at: pd.Timestamp) -> str:
    return f"{at.tz_convert(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _token(symbol: str, timeframe: str, row: dict[str, Any]) -> str:
    return f"{symbol}|{timeframe}|{row['t']}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError:
        return ""


def _names(record: dict[str, Any]) -> set[str]:
    return {value for field, value in record.items() if field.endswith("symbol")}


def _wrong(message: str) -> Answer:
    return Answer({"message": message}, 400)
