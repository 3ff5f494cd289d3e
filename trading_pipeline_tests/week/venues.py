"""Venues that go by the clock of the test: shares at Alpaca, coins at Binance."""

from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca, asset
from trading_pipeline_tests.fakes.binance import INTERVALS, FakeBinance, Pair, ms
from trading_pipeline_tests.fakes.stocks import NEW_YORK
from trading_pipeline_tests.week.moving_clock import MovingClock

SHARES = ("AAA", "BBB", "CCC", "DDD")
COINS = ("ADA/USDT", "BTC/USDT", "ETH/USDT")
_FIRST, _LAST = pd.Timestamp("2021-01-04", tz="UTC"), pd.Timestamp("2025-06-30", tz="UTC")
_NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_TOGETHER = {"o": "first", "h": "max", "l": "min", "c": "last", "v": "sum", "n": "sum"}


def daily_shares() -> dict[str, pd.DataFrame]:
    """By symbol, o, h, l, c, v, n, vw and the opening and closing instants by session; made up."""
    days = trading_calendar("XNYS", "1d")
    sessions = days.sessions(_FIRST, _LAST)
    chance = np.random.default_rng(7)
    market = chance.normal(3e-4, 0.008, len(sessions))
    return {symbol: _walk(days, sessions, market, chance) for symbol in SHARES}


def _walk(
    days: Any, sessions: pd.DatetimeIndex, market: np.ndarray, chance: np.random.Generator
) -> pd.DataFrame:
    own = market + chance.normal(0, 0.01, len(sessions))
    close = 80 * np.exp(np.cumsum(own))
    begin = np.concatenate([[80.0], close[:-1]]) * np.exp(chance.normal(0, 0.003, len(sessions)))
    spread = 1 + np.abs(chance.normal(0, 0.004, len(sessions)))
    table = pd.DataFrame(
        {
            "o": begin,
            "h": np.maximum(begin, close) * spread,
            "l": np.minimum(begin, close) / spread,
            "c": close,
            "v": chance.integers(1_000_000, 3_000_000, len(sessions)),
            "n": chance.integers(1_000, 9_000, len(sessions)),
        },
        index=sessions,
    ).round(4)
    vw = ((table["h"] + table["l"] + table["c"]) / 3).round(4)
    return table.assign(vw=vw, opens=days.opens_of(sessions), closes=days.closes_of(sessions))


class Alpaca(FakeAlpaca):
    """Daily bars of a few shares, each told from its opening bell on, and moving until the close.

    `changed` are bars that are told otherwise: by symbol and session, what their fields become.
    """

    def __init__(self, clock: MovingClock) -> None:
        self.moving = clock
        self.table, self.changed = daily_shares(), dict[tuple[str, str], dict[str, float]]()
        super().__init__(clock.now())
        self.assets = {name: asset(name) for name in SHARES}
        self.actions = {}

    @property
    def now(self) -> pd.Timestamp:
        return pd.Timestamp(self.moving.now()).floor("us")

    @now.setter
    def now(self, given: Any) -> None:
        """It goes by the clock."""

    def _rows(self, symbol: str, query: dict[str, str]) -> list[dict[str, Any]]:
        now = self.now
        whole = self.table[symbol]
        seen = whole[whole["opens"] <= now].copy()
        if len(seen) and seen["closes"].iloc[-1] > now:  # it is open still
            seen.loc[seen.index[-1], ["c", "vw"]] = seen["o"].iloc[-1]
        local = seen.index.tz_localize(None)
        seen = seen.drop(columns=["opens", "closes"])
        if query["timeframe"] == "1Month":
            local = local.to_period("M").start_time
            months = seen.assign(month=local).groupby("month")
            seen = months.agg(_TOGETHER).assign(vw=months["vw"].mean().round(4))
            local = pd.DatetimeIndex(seen.index)
        stamps = local.tz_localize(NEW_YORK).tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = seen.assign(t=stamps).to_dict(orient="records")
        if query["timeframe"] != "1Month":
            for row, day in zip(rows, local.strftime("%Y-%m-%d"), strict=True):
                row |= self.changed.get((symbol, day), {})
        return rows

    def told(self, last: str) -> pd.DataFrame:
        """Timestamp, symbol, prices and volume of the days up to `last`, as they were told."""
        parts = [
            table.rename(columns=_NAMES).rename_axis("timestamp").reset_index().assign(symbol=name)
            for name, table in self.table.items()
        ]
        bars = pd.concat(parts, ignore_index=True)
        days = bars["timestamp"].dt.strftime("%Y-%m-%d")
        for (symbol, day), fields in self.changed.items():
            for field, number in fields.items():
                bars.loc[(bars["symbol"] == symbol) & (days == day), _NAMES[field]] = number
        return bars[days <= last]


class Binance(FakeBinance):
    """Daily candles of a few coins, the open one among them."""

    def __init__(self, clock: MovingClock) -> None:
        self.moving = clock
        super().__init__(pairs=tuple(Pair(name.partition("/")[0]) for name in COINS))

    @property
    def now(self) -> str:
        return self.moving.now().isoformat()

    @now.setter
    def now(self, given: Any) -> None:
        """It goes by the clock."""

    def told(self, first: str, last: str) -> pd.DataFrame:
        """Timestamp, symbol, prices and volume of the days from `first` to `last`."""
        step, days = INTERVALS["1d"], pd.date_range(first, last, tz="UTC")
        rows = [
            (day, pair.name, *map(float, self._kline(pair, ms(day), step)[1:6]))
            for pair in self.pairs.values()
            for day in days
        ]
        names = ["timestamp", "symbol", "open", "high", "low", "close", "volume"]
        return pd.DataFrame(rows, columns=names)
