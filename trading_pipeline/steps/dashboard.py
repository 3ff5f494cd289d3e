"""What the live page shows of a market's paper session: its state as one plain value."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.evaluation.portfolio.expected import expected_band
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.rules import rule_name, rule_names
from trading_pipeline.steps.status import Status, status_of, word_on_recipe
from trading_pipeline.steps.streams import session_of

_POINTS = 400  # of the curve, more than a screen shows
_DECISIONS = 12  # the newest ones
_EVENTS = 1_000  # among which they are looked for; a bar of many fills has many


class Dashboard:
    """Reads a session again and again; what was read of its history is kept."""

    def __init__(self, ledger: Ledger, market: Market, session: str, report: Path) -> None:
        """
        Args:
            session: its name; empty is the one that the market is meant to have, or its newest.
            report: folder of the market's backtest report, whether or not there is one.
        """
        self.ledger, self.market, self.session, self.report = ledger, market, session, report
        self._lock = Lock()  # a server asks from several threads
        self._stream, self._seq = "", 0
        self._at, self._equity = list[str](), list[float]()

    def state(self, now: datetime) -> dict[str, Any]:
        """Everything that the page shows, as JSON takes it.

        Raises:
            LedgerError: there is no such session, or the ledger cannot be read.
        """
        with self._lock:
            known = status_of(self.ledger, self.market, self.session, now)
            return {
                "market": self.market.name,
                "session": session_of(known.stream),
                "now": now.isoformat(),
                **_account(known),
                "recipe": word_on_recipe(self.report),
                "decisions": self._decisions(known.stream),
                **self._curve(known.stream),
            }

    def _decisions(self, stream: str) -> list[dict[str, Any]]:
        """The newest ones, newest first."""
        newest = self.ledger.last(stream, "decision")
        if newest is None:
            return []
        found = self.ledger.read(stream, after=max(0, newest.seq - _EVENTS), kind="decision")
        return [
            {
                "at": each.at.isoformat(),
                "halted": bool(each.payload["halted"]),
                "orders": [_order(row) for row in each.payload["orders"]],
                "refused": [_refused(row) for row in each.payload["vetoes"]],
            }
            for each in reversed(found[-_DECISIONS:])
        ]

    def _curve(self, stream: str) -> dict[str, Any]:
        """Equity bar by bar, its highest fall, and the band of the backtest."""
        if stream != self._stream:
            self._stream, self._seq, self._at, self._equity = stream, 0, [], []
        for mark in self.ledger.read(stream, after=self._seq, kind="mark"):
            self._seq = mark.seq
            self._at.append(mark.at.isoformat())
            self._equity.append(float(mark.payload["equity"]))
        opened = self.ledger.first(stream)
        capital = float(opened.payload["capital"]) if opened else 0.0
        equity = np.array(self._equity, dtype=np.float64)
        shown = np.unique(np.linspace(0, max(len(equity) - 1, 0), _POINTS).round().astype(int))
        shown = shown[shown < len(equity)]
        returns = backtest_returns(self.report)
        band = None
        if returns is not None:
            made = expected_band(returns, shown.astype(np.float64))
            band = {
                name: np.round(capital * each, 2).tolist() for name, each in made._asdict().items()
            }
        fall = 1 - equity / np.maximum.accumulate(equity) if len(equity) else np.zeros(1)
        return {
            "capital": capital,
            "bars": len(equity),
            "at": [self._at[k] for k in shown],
            "curve": np.round(equity[shown], 2).tolist(),
            "band": band,
            "deepest": float(fall.max()),
        }


def backtest_returns(report: Path) -> np.ndarray | None:
    """Log returns a bar of the backtest in a report's folder, (T,); None: there is none."""
    try:
        equity = pd.read_csv(report / "equity.csv", usecols=["equity"])["equity"].to_numpy()
    except (OSError, ValueError):
        return None
    returns: np.ndarray = np.diff(np.log(equity[equity > 0]))
    return returns if len(returns) > 1 else None


def _account(known: Status) -> dict[str, Any]:
    """How the session stands, without its history."""
    silent = known.heartbeat.total_seconds() if known.heartbeat is not None else None
    return {
        "holder": known.holder,
        "wanted": known.wanted,
        "intent": known.intent,
        "intent_said": known.intent_said,
        "heartbeat": silent,
        "last_bar": known.last_bar.isoformat() if known.last_bar else None,
        "next_bar": known.next_bar.isoformat() if known.next_bar else None,
        "equity": known.equity,
        "cash": known.cash,
        "drawdown": known.drawdown,
        "risk": known.risk,
        "limits": {rule_name(rule): text for rule, text in known.limits.items()},
        "positions": [
            {"symbol": name, "quantity": held, "value": known.values.get(name)}
            for name, held in sorted(known.positions.items())
        ],
        "orders": [_order(row) for row in known.orders],
    }


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("symbol", "side", "quantity", "type", "limit_price", "stop_price")
    said = {"reasons": rule_names(row["reasons"]), "answer": row.get("answer", "")}
    return {name: row[name] for name in names} | said


def _refused(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: row[name] for name in ("symbol", "figure", "limit")}
    return known | {"rule": rule_name(row["rule"])}
