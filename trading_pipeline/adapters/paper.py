"""A paper session that replays stored bars, one at a time, through the kernels of the backtest.

Each bar is lived through, then decided on: features from the bars up to here, the prediction of
the checkpoint of the fold it belongs to, the decision. The decision is in the ledger before
anything follows from it, together with the whole state of the account; so a session that is
killed anywhere goes on from its last event and makes the same orders.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.kill_switch import is_halted
from trading_pipeline.adapters.store.ledger import Entry, Ledger
from trading_pipeline.core.backtest.run import evidence_of
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.inference import Predictor
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.groups import groups_at
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import json_number
from trading_pipeline.core.trading.trader import Bar, Decided, Filled, Signals, Trader
from trading_pipeline.errors import LedgerError

_RENAMED = {"book": "mandate"}  # terms of sessions that were opened under another name

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


@dataclass(frozen=True)
class Step:
    """One bar of a session."""

    at: pd.Timestamp
    filled: Filled
    decided: Decided
    equity: float


class Forecaster:
    """Features and predictions of one bar at a time, from the bars up to it and no others."""

    def __init__(
        self,
        panel: Panel,
        market: Market,
        folds: list[Fold],
        load: Callable[[str], Any],
        history: np.ndarray | None = None,
    ) -> None:
        """`load` gives the checkpoint of a fold's key; `history` (T, N) are scores of bars before
        the session, NaN where there are none: past predictions are evidence to size by."""
        self.panel, self.market, self.folds, self.load = panel, market, folds, load
        self.history = np.full(panel.close.shape, np.nan) if history is None else history.copy()
        self.fold: Fold | None = None
        self.predictor: Predictor | None = None
        self.next_row = 0

    def scores(self, row: int) -> tuple[np.ndarray, Dataset]:
        """(N,) scores at the close of `row`, and the dataset cut there.

        The model's notional book starts at its fold's first decision: after a restart within a
        fold, the rows before are predicted again, which gives the same answers.
        """
        fold = next(each for each in self.folds if each.test.first <= row <= each.test.last)
        if fold is not self.fold:
            self.predictor, self.fold = Predictor(self.load(fold.key)), fold
            self.predictor.restart(len(self.panel.symbols))
            self.next_row = fold.test.first
        assert self.predictor is not None
        data = self._dataset(row)
        for earlier in range(self.next_row, row + 1):
            self.history[earlier] = self.predictor.step(data, earlier).score
        self.next_row = row + 1
        return self.history[row], data

    def signals(self, row: int) -> Signals:
        """All that is decided on at the close of `row`, from the bars up to there."""
        score, data = self.scores(row)
        known = self.history[: row + 1]
        evidence = evidence_of(data.panel, known, data.sigma, data.eligible, self.market)
        return Signals.of(
            data.panel,
            row,
            eligible=data.eligible[row],
            volatility=data.sigma[row],
            score=score,
            groups=groups_at(data.panel, self.market, row),
            kelly=float(evidence.cap[row]),
        )

    def _dataset(self, row: int) -> Dataset:
        assert self.predictor is not None
        known = self.panel.until(row + 1)
        features = features_of(known, self.market.calendar)
        return Dataset.of(known, features, self.predictor.config.n_steps)


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
    ) -> None:
        """Open the session of that name, or go on where it stopped.

        Raises:
            LedgerError: the ledger knows the session with another market or capital.
        """
        self.ledger, self.forecaster, self.clock = ledger, forecaster, clock
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
            "costs": {name: _plain_term(value) for name, value in asdict(market.costs).items()},
            "limits": {name: _plain_term(value) for name, value in market.limits.items()},
            "sectors": dict(market.sectors),
        }
        newest = ledger.last(self.stream)
        self.seq = newest.seq if newest else 0
        state = ledger.last(self.stream, "decision")
        self.trader = (
            Trader.from_dict(state.payload["state"])
            if state
            else Trader(self.panel.symbols, Terms.of(market, capital), session=session)
        )
        self._agree_on_terms()

    @property
    def resumed_at(self) -> pd.Timestamp | None:
        """The last bar that was decided on; None for a new session."""
        return self.trader.decided_at

    def run(self, first: int, last: int) -> Iterator[Step]:
        """Rows `first` to `last`, those already decided on left out; a step for each.

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

    def _step(self, row: int) -> Step:
        filled = self.trader.fill(Bar.of(self.panel, row))
        if is_halted(self.ledger, self.forecaster.market.name):
            self.trader.kill()
        else:
            self.trader.revive()
        decided = self.trader.decide(self.forecaster.signals(row))
        at = self.panel.timestamps[row]
        self._journal(
            [
                *(Entry("fill", at.to_pydatetime(), plain(each)) for each in _rows(filled.fills)),
                *(
                    Entry("cash_flow", at.to_pydatetime(), plain(each))
                    for each in _rows(filled.cash_flows)
                ),
                Entry("decision", at.to_pydatetime(), self._decision(decided)),
            ]
        )
        return Step(at, filled, decided, self.trader.equity)

    def _decision(self, decided: Decided) -> dict[str, Any]:
        return {
            "orders": [plain(each) for each in _rows(decided.orders)],
            "vetoes": [plain(each) for each in _rows(decided.vetoes)],
            "equity": self.trader.equity,
            "state": self.trader.to_dict(),
        }

    def _journal(self, entries: list[Entry]) -> None:
        self.ledger.append_many(self.stream, entries, self.clock(), after=self.seq)
        self.seq += len(entries)

    def _agree_on_terms(self) -> None:
        opened = next(iter(self.ledger.read(self.stream, kind="opened")), None)
        if opened is None:
            at = self.panel.timestamps[0].to_pydatetime()
            self._journal([Entry("opened", at, self.terms)])
            return
        agreed = {_RENAMED.get(name, name): each for name, each in opened.payload.items()}
        if agreed != self.terms:
            raise LedgerError(
                f"{self.stream} was opened with {agreed}, not with {self.terms}; give the "
                "same options to resume it, or another --session to start anew"
            )


def journalled_orders(ledger: Ledger, stream: str) -> pd.DataFrame:
    """All orders that a session decided on, oldest first; columns of `BacktestResult.orders`."""
    rows = [
        order for event in ledger.read(stream, kind="decision") for order in event.payload["orders"]
    ]
    return pd.DataFrame(rows, columns=list(ORDER_COLUMNS))


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table's row as JSON takes it: instants as ISO text, missing numbers as null."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_term(value: float | None) -> float | str | None:
    """A number of the terms as JSON takes it: no infinity."""
    return None if value is None else json_number(value)


def _plain_value(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
