"""Kraken spot on this machine: just enough of its REST API to fetch candles.

It stands for the exchanges that are not Binance: ccxt's own candles, errors that come with HTTP
200, and pages that do not skip what is empty. Formats are those of https://docs.kraken.com/api.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline_tests.fakes.venue import Answer, Fault, Request, Rows, Venue

PAGE = 720
BUSY = Fault(answer=Answer({"error": ["EService:Unavailable"]}))
RATE_LIMITED = Fault(answer=Answer({"error": ["EAPI:Rate limit exceeded"]}))


class FakeKraken(Venue):
    """A loopback Kraken that lists BTC/USD and ETH/USD.

    Args:
        now: the instant it is.
        since: when they were listed.
        windows: False, as at Kraken: only the newest 720 bars can be had. True, as at Coinbase: a
            page is the stretch of 720 bars from the time asked, however few of them there are.
    """

    def __init__(self, now: str, since: str, *, windows: bool = False) -> None:
        super().__init__()
        self.now, self.since = pd.Timestamp(now, tz="UTC"), pd.Timestamp(since, tz="UTC")
        self.windows = windows

    def is_page(self, request: Request) -> bool:
        return request.path == "/0/public/OHLC"

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        result = getattr(self, "_" + request.path.rsplit("/", 1)[1])(request.query)
        payload = {"error": [], "result": result}
        return Answer(self.with_rows(payload, _first_half) if half else payload)

    def with_rows(self, payload: Any, change: Callable[[Rows], Rows]) -> Any:
        result = {
            name: change(rows) if isinstance(rows, list) else rows
            for name, rows in payload["result"].items()
        }
        return payload | {"result": result}

    def _Time(self, query: dict[str, str]) -> Any:  # noqa: N802
        return {"unixtime": int(self.now.timestamp()), "rfc1123": "Sun,  7 Jun 20 04:07:53 +0000"}

    def _Assets(self, query: dict[str, str]) -> Any:  # noqa: N802
        common = {"aclass": "currency", "decimals": 10, "display_decimals": 5, "status": "enabled"}
        names = {"XXBT": "XBT", "XETH": "ETH", "ZUSD": "USD"}
        return {asset: {"altname": name, **common} for asset, name in names.items()}

    def _AssetPairs(self, query: dict[str, str]) -> Any:  # noqa: N802
        common = {
            "aclass_base": "currency",
            "aclass_quote": "currency",
            "quote": "ZUSD",
            "lot": "unit",
            "pair_decimals": 1,
            "lot_decimals": 8,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, 0.4]],
            "fees_maker": [[0, 0.25]],
            "ordermin": "0.0001",
            "status": "online",
        }
        return {
            f"X{name}ZUSD": common
            | {"altname": f"{name}USD", "wsname": f"{name}/USD", "base": f"X{name}"}
            for name in ("XBT", "ETH")
        }

    def _OHLC(self, query: dict[str, str]) -> Any:  # noqa: N802
        step = 60 * int(query.get("interval", 1))
        first = int(self.since.timestamp()) // step * step  # it opened before its first trade
        opens = np.arange(first, int(self.now.timestamp()) + 1, step)
        since = int(query.get("since", 0))
        opens = opens[opens > since]
        if self.windows and since:
            opens = opens[opens <= since + PAGE * step]
        rows = [self._row(int(at), step) for at in opens[-PAGE:]]
        return {query["pair"]: rows, "last": int(opens[-1]) if len(opens) else since}

    def _row(self, at: int, step: int) -> list[Any]:
        price = 100 + np.sin(at / 1e6)
        texts = [f"{price + change:.1f}" for change in (0, 1, -1, 0.5, 0.2)]
        return [at, *texts, f"{1 + step / 60:.8f}", 7]


def _first_half(rows: Rows) -> Rows:
    return rows[: max(1, len(rows) // 2)]
