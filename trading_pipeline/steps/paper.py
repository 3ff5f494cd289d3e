"""A paper session that replays stored bars, one at a time, through the kernels of the backtest.

Each bar is lived through, then decided on: features from the bars up to here, the prediction of
the checkpoint of the fold it belongs to, the decision. The decision is in the ledger before
anything follows from it, together with the whole state of the account; so a session that is
killed anywhere goes on from its last event and makes the same orders.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from trading_pipeline.adapters.kill_switch import is_halted
from trading_pipeline.adapters.store.ledger import Entry, Ledger
from trading_pipeline.core.learning.soundness import check_checkpoint
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import json_number, to_json
from trading_pipeline.core.trading.trader import Bar, Decided, Filled, Trader
from trading_pipeline.errors import LedgerError, TradingError
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of, read_panel
from trading_pipeline.steps.plan import Plan

ORDER_COLUMNS = (
    "client_order_id",
    "decided_at",
    "symbol",
    "side",
    "quantity",
    "type",
    "limit_price",
    "stop_price",
    "reasons",
)


# Brings the orders that wait to the market of a bar, and says what became of them.
Execute = Callable[[Trader, Bar], Filled]


@dataclass(frozen=True)
class SessionBar:
    """One bar of a session, lived through and decided on."""

    at: pd.Timestamp
    filled: Filled
    decided: Decided
    equity: float


class ReplaySession:
    """One journalled account over rows of a panel."""

    def __init__(
        self,
        ledger: Ledger,
        market: Market,
        forecaster: Forecaster,
        *,
        session: str,
        capital: float,
        clock: Callable[[], datetime],
        execute: Execute = Trader.fill,
    ) -> None:
        """Open the session of that name, or go on where it stopped.

        Args:
            execute: simulated, unless a broker does it.

        Raises:
            LedgerError: the ledger knows the session with another market or capital, or it was
                opened by a version with other trading rules.
            TradingError: its state was written by such a version.
        """
        self.ledger, self.forecaster = ledger, forecaster
        self.clock, self.execute = clock, execute
        self.panel, self.stream = forecaster.panel, f"paper/{market.name}/{session}"
        self.terms = {
            "market": market.name,
            "capital": capital,
            "profile": market.profile,
            "symbols": list(market.symbols),
            "calendar": market.calendar,
            "timeframe": market.timeframe,
            "horizon": market.horizon,
            "mandate": market.mandate,
            "shortable": market.shortable,
            "costs": _numbers(asdict(market.costs)),
            "limits": _numbers(market.limits),
            "sectors": dict(market.sectors),
            "benchmark": dict(market.benchmark),
        }
        newest = ledger.last(self.stream)
        self.seq = newest.seq if newest else 0
        self._agree_on_terms()
        state = ledger.last(self.stream, "decision")
        self.trader = (
            Trader.from_dict(state.payload["state"])
            if state
            else Trader(self.panel.symbols, Terms.of(market, capital), session=session)
        )

    @property
    def resumed_at(self) -> pd.Timestamp | None:
        """The last bar that was decided on; None for a new session."""
        return self.trader.decided_at

    def run(self, first: int, last: int) -> Iterator[SessionBar]:
        """Rows `first` to `last`, those already decided on left out.

        The first row is decided on like any other; its fill step only marks the account.

        Raises:
            LedgerError: another process writes to the same session, or bars would be jumped over.
        """
        if self.resumed_at is not None:
            following = int(self.panel.timestamps.searchsorted(self.resumed_at)) + 1
            if first > following:
                raise LedgerError(
                    f"{self.stream} has lived through bars up to {self.resumed_at:%Y-%m-%d %H:%M}; "
                    f"it cannot go on at {self.panel.timestamps[first]:%Y-%m-%d %H:%M} without the "
                    "bars between. Start earlier, or give another --session."
                )
        for row in range(first, last + 1):
            stamp = self.panel.timestamps[row]
            if self.resumed_at is None or stamp > self.resumed_at:
                yield self._step(row)

    def _step(self, row: int) -> SessionBar:
        filled = self.execute(self.trader, Bar.of(self.panel, row))
        if is_halted(self.ledger, self.forecaster.market.name):
            self.trader.kill()
        else:
            self.trader.revive()
        decided = self.trader.decide(self.forecaster.signals(row))
        stamp, equity = self.panel.timestamps[row], self.trader.equity
        at = stamp.to_pydatetime()
        decision = {
            "orders": _rows(decided.orders),
            "vetoes": _rows(decided.vetoes),
            "equity": equity,
            "state": self.trader.to_dict(),
        }
        self._journal(
            [
                *(Entry("fill", at, each) for each in _rows(filled.fills)),
                *(Entry("cash_flow", at, each) for each in _rows(filled.cash_flows)),
                Entry("decision", at, decision),
            ]
        )
        return SessionBar(stamp, filled, decided, equity)

    def _journal(self, entries: list[Entry]) -> None:
        self.ledger.append_many(self.stream, entries, self.clock(), after=self.seq)
        self.seq += len(entries)

    def _agree_on_terms(self) -> None:
        opened = next(iter(self.ledger.read(self.stream, kind="opened")), None)
        if opened is None:
            at = self.panel.timestamps[0].to_pydatetime()
            self._journal([Entry("opened", at, self.terms)])
            return
        if opened.payload.keys() != self.terms.keys():
            raise LedgerError(
                f"{self.stream} was opened by a version with other trading rules, and cannot go on "
                "under these; give another --session to start anew"
            )
        if opened.payload != self.terms:
            raise LedgerError(
                f"{self.stream} was opened with {opened.payload}, not with {self.terms}; give the "
                "same options to resume it, or another --session to start anew"
            )


def journalled_orders(ledger: Ledger, stream: str) -> pd.DataFrame:
    """All orders that a session decided on, oldest first; columns of `BacktestResult.orders`."""
    rows = [
        order for event in ledger.read(stream, kind="decision") for order in event.payload["orders"]
    ]
    return pd.DataFrame(rows, columns=list(ORDER_COLUMNS))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [to_json(row) for row in table.to_dict("records")]


def _numbers(terms: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: None if each is None else json_number(each) for name, each in terms.items()}


def replay(
    ledger: Ledger,
    home: Home,
    plan: Plan,
    watch: Advance,
    *,
    session: str,
    capital: float,
    start: str = "",
    end: str = "",
    bars_per_second: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """Run a session over its rows; after each bar, the account in a few numbers.

    Args:
        session: the same name with the same terms goes on where it stopped.
        start, end: first and last day, YYYY-MM-DD; empty: all that checkpoints can trade.
        bars_per_second: 0 is as fast as possible.

    Raises:
        TradingError: a checkpoint is missing, or there is no such day. LedgerError: other terms.
    """
    panel = read_panel(home, plan.market)
    folds = _trained_folds(home, plan, panel)
    first, last = _span(panel, folds, start, end)
    history = _past_predictions(home, plan, panel, first)
    account = ReplaySession(
        ledger,
        plan.market,
        Forecaster(panel, plan.market, folds, lambda key: _load(home, plan, key), history),
        session=session,
        capital=capital,
        clock=lambda: datetime.now(UTC),
        execute=Trader.fill,  # a broker of adapters/brokers goes here
    )
    done = fills = vetoes = 0
    for bar in account.run(first, last):
        done, fills = done + 1, fills + len(bar.filled.fills)
        vetoes += len(bar.decided.vetoes)
        row = int(panel.timestamps.get_loc(bar.at))
        watch(row - first + 1, last - first + 1, f"{bar.at:%Y-%m-%d} equity {bar.equity:,.0f}")
        yield _summary(account, bar.at, done, fills, vetoes)
        if bars_per_second:
            time.sleep(1 / bars_per_second)
    if not done:
        yield _summary(account, account.resumed_at, 0, 0, 0)


def _past_predictions(home: Home, plan: Plan, panel: Panel, first: int) -> pd.DataFrame | None:
    """Predictions stored of bars before row `first`: the evidence that a session starts with."""
    store = home.predictions(plan.market)
    if not (folds := store.folds()):
        return None
    stored = store.read(folds)
    return stored[stored["timestamp"] < panel.timestamps[first]]


def _summary(
    session: ReplaySession, at: pd.Timestamp | None, bars: int, fills: int, vetoes: int
) -> dict[str, Any]:
    return {
        "stream": session.stream,
        "last_bar": str(at),
        "bars": bars,
        "fills": fills,
        "vetoes": vetoes,
        "equity": round(session.trader.equity, 2),
        "positions": len(session.trader.holdings()),
        "events": session.seq,
    }


def _trained_folds(home: Home, plan: Plan, panel: Panel) -> list[Fold]:
    """Folds up to the newest that has a checkpoint; a hole among them is refused."""
    known = home.checkpoints(plan.market).names()
    folds = folds_of(panel, plan.recipe)
    trained = [key for key in folds if key in known]
    wanted = [key for key in folds if trained and key <= trained[-1]]
    if missing := [key for key in wanted if key not in known]:
        raise TradingError(
            f"no checkpoint for fold {', '.join(missing)}; run `trading-pipeline train --market "
            f"{plan.market.name}` first"
        )
    return [folds[key] for key in wanted]


def _load(home: Home, plan: Plan, key: str) -> dict[str, Any]:
    """The checkpoint of a fold; that of other bars is taken, that of other settings refused."""
    checkpoint = home.checkpoints(plan.market).read(key)
    check_checkpoint(checkpoint, plan.recipe)
    return checkpoint


def _span(panel: Panel, folds: list[Fold], start: str, end: str) -> tuple[int, int]:
    """First and last row to live through."""
    if not folds:
        raise TradingError(
            "no fold has a checkpoint to trade with; run `trading-pipeline demo` or `train` first"
        )
    first, last = folds[0].test.first, folds[-1].test.last
    if start:
        first = max(first, int(panel.timestamps.searchsorted(_day(start))))
    if end:
        after = int(panel.timestamps.searchsorted(_day(end) + pd.Timedelta(days=1)))
        last = min(last, after - 1)
    if first > last:
        days = (
            f"{panel.timestamps[folds[0].test.first]:%Y-%m-%d} to {panel.timestamps[-1]:%Y-%m-%d}"
        )
        raise TradingError(f"nothing to replay there: checkpoints can trade {days}")
    return first, last


def _day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(text, tz="UTC")
    except ValueError as error:
        raise TradingError(f"{text!r} is not a day; write it like 2009-12-31") from error
