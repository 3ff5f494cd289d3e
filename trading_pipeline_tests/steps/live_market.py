"""A market of hourly coins at a loopback Binance, with a clock that moves, and scripted models."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import RLock
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.walk import MarketRow
from trading_pipeline.errors import LookAheadError
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.production import CANDIDATE, accept
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.fakes.binance import FakeBinance, Pair
from trading_pipeline_tests.fakes.venue import Venue

PAIRS = tuple(Pair(name, since="2021-01-01") for name in ("ADA", "BNB", "BTC", "ETH", "LTC", "XRP"))
MARKET = Market(
    name="hours",
    source="binance",
    symbols=tuple(pair.name for pair in PAIRS),
    start=date(2021, 1, 1),
    calendar="24/7",
    timeframe="1h",
    horizon=5,
    costs=Costs(min_notional=300.0),
    limits={"band": 0.0},
)
PLAN = Plan(MARKET, preset="tiny")
HOUR = pd.Timedelta(hours=1)
BEGIN = pd.Timestamp("2021-01-10 00:20", tz="UTC")  # 216 bars have closed, and are stored
LEARNED = "2021-01-09T12:00:00+00:00"  # the last target of the first model


def stamp(hour: int) -> pd.Timestamp:
    """The stamp of the bar that opens so many hours after the first one that is not stored."""
    return BEGIN.floor("1h") + hour * HOUR


class Moving:
    """Time at a venue and here, which passes only while somebody sleeps.

    ahead: how much later it is here. plans: what happens when it is a certain time at the venue.
    """

    def __init__(self, venue: Venue, begin: pd.Timestamp = BEGIN, ahead: float = 0.0) -> None:
        self.venue, self.now, self.ahead = venue, begin, timedelta(seconds=ahead)
        self.plans: list[tuple[pd.Timestamp, Callable[[], object]]] = []
        self._lock = RLock()
        self.tell()

    def tell(self) -> None:
        self.venue.now = self.now  # type: ignore[attr-defined]

    def at(self, instant: pd.Timestamp, what: Callable[[], object]) -> None:
        self.plans.append((instant, what))
        self.plans.sort(key=lambda plan: plan[0])

    def here(self) -> datetime:
        return (self.now + self.ahead).floor("us").to_pydatetime().astimezone(UTC)

    def time(self) -> float:
        return float(self.now.timestamp())

    def sleep(self, seconds: float) -> None:
        with self._lock:
            until = self.now + pd.Timedelta(seconds=seconds)
            while self.plans and self.plans[0][0] <= until:
                instant, what = self.plans.pop(0)
                self.now = max(self.now, instant)
                self.tell()
                what()
            self.now = max(self.now, until)
            self.tell()

    @property
    def patience(self) -> Patience:
        """Of a source: short, since the lease is renewed in real time only while it waits."""
        return Patience(
            tries=3,
            outage=20.0,
            timeout=30.0,
            sleep=self.sleep,
            clock=self.time,
            random=lambda: 1.0,
        )


def binance() -> FakeBinance:
    return FakeBinance(pairs=PAIRS, now=str(BEGIN))


def source_at(venue: FakeBinance, clock: Moving) -> CcxtSource:
    return CcxtSource("binance", "1h", venue.url, patience=clock.patience)


def furnish(home: Home, source: CcxtSource) -> None:
    """The bars so far, stored, and a model in service."""
    first = pd.Timestamp(MARKET.start, tz="UTC")
    bars = source.bars(MARKET.symbols, first, stamp(0))
    home.bars(MARKET).merge(bars, BEGIN.to_pydatetime(), identity=source.identity())
    serve(home, "a", LEARNED)


def serve(home: Home, name: str, last_target: str, plan: Plan = PLAN) -> str:
    """Put a model in service that says other things than one of another name; its SHA-256."""
    made = made_up(plan.recipe) | {"fingerprint": 64 * name, "last_target": last_target}
    digest = home.beside("production").checkpoints(plan.market).write(CANDIDATE, made)
    accept(home, plan, digest, "a test says so")
    return digest


class Scripted(Forecaster):
    """Says scores that were made up, from the bars up to the row and no others."""

    def _predictor(self, checkpoint: dict[str, Any]) -> Any:
        return Model(checkpoint, len(self.panel.symbols))

    def _needs(self) -> tuple[int, int]:
        return 1, 1

    def _asked(self, seen: MarketRow) -> Any:
        return self.predictor.say(self.panel.timestamps[seen.row], seen)


class Model:
    """What `Forecaster` asks of a predictor."""

    calibration = SimpleNamespace(half_life=4.0)

    def __init__(self, checkpoint: dict[str, Any], symbols: int) -> None:
        self.seed, self.symbols = ord(checkpoint["fingerprint"][0]), symbols
        self.last_target = pd.Timestamp(checkpoint["last_target"])
        self.asked = 0

    def restart(self, symbols: int) -> None:
        self.asked = 0

    def say(self, at: pd.Timestamp, seen: MarketRow) -> Any:
        """Hangs on how often it was asked, as a notional book would."""
        if at <= self.last_target:
            raise LookAheadError(f"asked about {at}")
        self.asked += 1
        drawn = np.random.default_rng((self.seed, self.asked, int(at.timestamp())))
        score = np.where(seen.eligible, drawn.normal(size=self.symbols), np.nan)
        return SimpleNamespace(score=score, volatility=seen.sigma)
