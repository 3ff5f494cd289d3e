"""Alpaca's HTTP APIs, spoken by `alpaca-py`: its keys, its pages, and what its refusals mean.

Keys go into the headers of requests to the two addresses given, and nowhere else: errors of the
client and of `requests` hold the request, and so the keys, and are never passed on, not even as
the cause of ours; an answer that sends us to another address is refused; nothing is pickled.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

import pandas as pd
from pydantic import SecretStr

from trading_pipeline.adapters.keys import ALPACA, alpaca_keys
from trading_pipeline.adapters.sources.alpaca_bars import raw_rows
from trading_pipeline.adapters.sources.payload import excerpt
from trading_pipeline.adapters.sources.retry import Pace, Patience, PatientSession
from trading_pipeline.errors import CredentialsError, SourceError, SourceUnavailable

if TYPE_CHECKING:
    import requests
    from alpaca.common.rest import RESTClient

Asset = dict[str, Any]
Page = TypeVar("Page")

VENUE = "Alpaca"
_ASSET = {"symbol": str, "status": str, "tradable": bool}
# Pages in vain: empty, seen before, or of another question. Some may come, but not for ever.
_WASTED = 10
_SHOWN, _NAMED = 200, 5


class AlpacaApi:
    """Questions to Alpaca, asked with patience and at the pace that it allows.

    Threads may share it: a client of `alpaca-py` keeps nothing between two requests but its
    session, which may be shared.
    """

    def __init__(
        self,
        key: SecretStr | None,
        secret: SecretStr | None,
        url: str | None,
        trading_url: str | None,
        per_minute: float,
        patience: Patience | None,
    ) -> None:
        self._key, self._secret = key, secret
        self._urls = {"data": url, "trading": trading_url}
        self._patience = patience or Patience()
        self._pace = Pace(60 / per_minute, self._patience)
        self._clients: dict[str, RESTClient] = {}
        self._sessions: dict[str, PatientSession] = {}
        self._lock = threading.Lock()

    def bars(
        self,
        timeframe: str,
        symbols: list[str],
        first: pd.Timestamp,
        last: pd.Timestamp,
        feed: str,
    ) -> Iterator[pd.DataFrame]:
        """The pages of /v2/stocks/bars, raw, from `first` to `last`, as `raw_rows`.

        Raises:
            SourceError: it answered with something else, or its pages do not end.
            SourceUnavailable: it did not answer. CredentialsError: it refused the keys.
        """
        fields = {
            "symbols": ",".join(symbols),
            "timeframe": timeframe,
            "start": first.isoformat(),
            "end": last.isoformat(),
            "limit": 10_000,
            "adjustment": "raw",
            "feed": feed,
            "sort": "asc",
        }

        def read(page: dict[str, Any]) -> pd.DataFrame | None:
            rows = raw_rows(page)
            inside = rows["symbol"].isin(symbols) & rows["opened"].between(first, last)
            return rows if inside.all() else None

        return self._pages("stocks", "/stocks/bars", fields, "bars", read)

    def corporate_actions(
        self, symbols: list[str], first: date, last: date
    ) -> Iterator[dict[str, list[dict[str, Any]]]]:
        """The pages of /v1/corporate-actions: kind → records; raises as `bars` does."""
        # The client's own default is to stop at a thousand.
        fields = {
            "symbols": ",".join(symbols),
            "start": f"{first:%Y-%m-%d}",
            "end": f"{last:%Y-%m-%d}",
            "limit": 1000,
            "sort": "asc",
        }
        return self._pages("actions", "/corporate-actions", fields, "corporate_actions", dict)

    def assets(self) -> list[Asset]:
        """All US equities, delisted ones included; raises as `bars` does."""
        answer = self._get("trading", "/assets", {"asset_class": "us_equity"})
        if not isinstance(answer, list):
            raise _strange("/assets", answer, {})
        if strangers := [each for each in answer if not _is_asset(each)]:
            raise _strange("/assets", strangers, {})
        return answer

    def clock(self) -> datetime | None:
        """The venue's time: what its clock says, or the date of its answer where it has none.

        None: it tells neither. Raises as `bars` does.
        """
        try:
            answer = self._get("trading", "/clock", {})
        except NotFound:
            return self._sessions["trading"].date
        text = answer.get("timestamp") if isinstance(answer, dict) else None
        stamp = pd.to_datetime(text if isinstance(text, str) else None, errors="coerce")
        if pd.isna(stamp) or stamp.tz is None:
            raise _strange("/clock", answer, {})
        told: datetime = stamp
        return told

    def _pages(
        self,
        client: str,
        path: str,
        fields: dict[str, Any],
        content: str,
        read: Callable[[dict[str, Any]], Page | None],
    ) -> Iterator[Page]:
        """Follow `next_page_token` to its end; `read` gives None for what was not asked for.

        The client can do so too, but for ever where a token comes again, and with all in memory.
        """
        seen: set[str | None] = {None}  # tokens, and what pages began and ended with
        token: str | None = None
        wasted = 0
        while wasted <= _WASTED:
            answer = self._get(client, path, fields | ({"page_token": token} if token else {}))
            payload = answer.get(content) if isinstance(answer, dict) else None
            if not _is_page(payload):
                raise _strange(path, answer, fields)
            following = answer.get("next_page_token")
            if not isinstance(following, str | None):
                raise _strange(path, {"next_page_token": following}, fields)
            if (page := read(payload)) is not None:
                yield page
                if not following:
                    return
            outline = _outline(payload)
            # Empty, there before, or of another question: the next may be right all the same.
            wasted += page is None or following in seen or outline in seen
            if page is not None and following not in seen:
                token = following
                seen |= {following, outline}
        raise SourceError(
            f"{VENUE} answers {path} with pages that lead nowhere (asked {wasted} times in vain); "
            f"run it again later: what is stored stays{_asked(fields)}"
        )

    def _get(self, client: str, path: str, fields: dict[str, Any]) -> Any:
        from alpaca.common.exceptions import APIError
        from requests import RequestException

        complaint: SourceError
        try:
            return self._client(client).get(path, fields)
        except SourceUnavailable as error:
            complaint = type(error)(f"{error}{_asked(fields)}", error.retry_after)
        except SourceError as error:
            complaint = type(error)(f"{error}{_asked(fields)}")
        except APIError as error:
            complaint = _refused(client, error.status_code, str(error), _asked(fields))
        except RequestException as error:  # its text may quote a header
            complaint = SourceError(f"{VENUE} cannot be asked: {type(error).__name__}")
        # Outside the block, so that nothing that holds the request is chained to it.
        raise complaint

    def _client(self, name: str) -> "RESTClient":
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self._connect(name)
            return self._clients[name]

    def _connect(self, name: str) -> "RESTClient":
        from alpaca.data.historical.corporate_actions import CorporateActionsClient
        from alpaca.data.historical.stock import StockHistoricalDataClient
        from alpaca.trading.client import TradingClient

        keys = alpaca_keys(self._key, self._secret)
        makers: dict[str, Callable[..., RESTClient]] = {
            "stocks": StockHistoricalDataClient,
            "actions": CorporateActionsClient,
            "trading": TradingClient,
        }
        client = makers[name](
            *keys,
            raw_data=True,
            url_override=self._urls["trading" if name == "trading" else "data"],
        )
        # The client has no way to be given a session, and its own would wait 3 seconds three
        # times where the venue says how long. Ours never hands it an answer that it would retry.
        session = PatientSession(VENUE, self._pace, self._patience)
        session.hooks["response"].append(self._look_at)
        client._session = self._sessions[name] = session
        return client

    def _look_at(self, answer: "requests.Response", **_: Any) -> None:
        """Refuse what would take the keys elsewhere: to another address, or into a message."""
        if answer.is_redirect:
            raise SourceError(
                f"{VENUE} sends us to {_host_of(answer.headers['location'])} instead of answering; "
                "set the address of its API to one that answers"
            )
        if any(
            key and key.get_secret_value().encode() in answer.content
            for key in (self._key, self._secret)
        ):
            raise SourceError(
                f"{VENUE}'s answer repeats our keys (HTTP {answer.status_code}); is this its API?"
            )


class NotFound(SourceError):
    """There is nothing at this address."""


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or "another page"
    except ValueError:
        return "no address at all"


def _refused(client: str, status: int | None, text: str, asked: str) -> SourceError:
    """What an answer of 400 to 499 means, and what to do."""
    said = f"{VENUE} answered HTTP {status}: {' '.join(text[:_SHOWN].split())}{asked}"
    if "subscription" in text:
        return SourceError(
            f"{said}. Your plan does not include this: take the feed iex, or leave the delay of "
            "the feed sip at 15 minutes"
        )
    if status in (401, 403) and client == "trading":
        return CredentialsError(
            f"{VENUE}'s trading API, which lists the symbols, refused the keys of {ALPACA} "
            f"(HTTP {status}). Keys of a live account need its address, "
            "https://api.alpaca.markets; keys for data alone are not enough"
        )
    if status in (401, 403):
        return CredentialsError(
            f"{VENUE} refused the keys of {ALPACA} (HTTP {status}): "
            "make new ones at https://app.alpaca.markets, and set both"
        )
    return NotFound(said) if status == 404 else SourceError(said)


def _strange(path: str, answer: object, fields: dict[str, Any]) -> SourceError:
    came = excerpt(answer)
    return SourceError(f"{VENUE} answered {path} with something unknown: {came}{_asked(fields)}")


def _is_page(payload: object) -> TypeGuard[dict[str, list[dict[str, Any]]]]:
    if not isinstance(payload, dict) or not all(isinstance(x, list) for x in payload.values()):
        return False
    return all(isinstance(row, dict) for rows in payload.values() for row in rows)


def _is_asset(answer: object) -> bool:
    return isinstance(answer, dict) and all(
        isinstance(answer.get(field), kind) for field, kind in _ASSET.items()
    )


def _asked(fields: dict[str, Any]) -> str:
    """Which symbols the question was about."""
    names = fields["symbols"].split(",") if "symbols" in fields else []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" (asked for {', '.join(names[:_NAMED])}{more})" if names else ""


def _outline(payload: dict[str, list[dict[str, Any]]]) -> str | None:
    """What tells a page from others; None of an empty one."""
    ends = [(name, len(rows), rows[0], rows[-1]) for name, rows in payload.items() if rows]
    return str(ends) if ends else None
