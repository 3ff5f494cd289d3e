"""An account held against its broker: what each believes it has, and whether to trade on."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.trading.trader import Trader

CASH = "cash"
# Of equity. A dividend is booked on its ex-date and paid weeks later: that much may always differ.
THRESHOLD = 0.01
_SAME = 1e-9  # of a quantity: decimals of the wire
_SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 25.0, 50.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconciliation:
    """`differences`: symbol ('cash' for money), ours, theirs, share (of equity, > 0; infinite where
    nobody knows what the difference is worth), the largest first; empty where all agree."""

    differences: pd.DataFrame
    threshold: float

    @property
    def largest(self) -> float:
        """Share of equity, >= 0."""
        return float(self.differences["share"].max()) if len(self.differences) else 0.0

    @property
    def halts(self) -> bool:
        """Whether the account must not trade before somebody has looked at it."""
        return self.largest > self.threshold

    def told(self) -> str:
        """The differences in words, a line each, and what they may come from."""
        return "\n".join(
            f"{row['symbol']}: {row['ours']:,.10g} here, {row['theirs']:,.10g} at the broker "
            f"({row['share']:.2%} of equity): {row['why']}"
            for row in self.explained()
        )

    def explained(self) -> list[dict[str, Any]]:
        """The differences, each with `why`: what it may come from."""
        rows = self.differences.to_dict("records")
        return [{str(key): each for key, each in row.items()} | {"why": _why(row)} for row in rows]

    def offsets(self) -> dict[str, float]:
        """What the broker has more, by symbol and 'cash'."""
        table = self.differences
        return dict(zip(table["symbol"], (table["theirs"] - table["ours"]).tolist(), strict=True))


def reconcile(
    trader: Trader, positions: Mapping[str, float], cash: float, *, threshold: float = THRESHOLD
) -> Reconciliation:
    """Compare what an account holds with what its broker says.

    Args:
        trader: at its last close; what it has no price for is worth nobody knows what.
        positions, cash: of `Broker.positions` and `Broker.cash`; cash of the quote currency.
    """
    held = trader.holdings().set_index("symbol")["quantity"].to_dict()
    rows = [
        (symbol, ours, theirs, abs(theirs - ours) * trader.price(symbol))
        for symbol in sorted(held | dict(positions))
        if not _alike(ours := held.get(symbol, 0.0), theirs := positions.get(symbol, 0.0))
    ]
    own = float(trader.account["cash"][0])
    if abs(cash - own) >= 0.005:  # half a cent
        rows.append((CASH, own, cash, abs(cash - own)))
    table = pd.DataFrame(rows, columns=["symbol", "ours", "theirs", "worth"])
    worth = table.pop("worth").astype(float).fillna(inf)
    share = worth / trader.equity if trader.equity > 0 else np.full(len(table), inf)
    table = table.assign(share=share).astype({"ours": float, "theirs": float, "share": float})
    table = table.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    return Reconciliation(differences=table, threshold=threshold)


def _why(row: Mapping[Any, Any]) -> str:
    """What a difference may come from, as far as it tells."""
    if row["symbol"] == CASH:
        return (
            "dividends are booked here on their ex-date and paid weeks later; interest, borrow and "
            "fees are the broker's own"
        )
    if row["ours"] == 0:
        return "not traded by this session, or in an execution that was not told"
    ratio = row["theirs"] / row["ours"]
    if any(_alike(ratio, each) for split in _SPLITS for each in (split, 1 / split)):
        return "a split that only one of the two has booked, or an execution that was not told"
    return "an execution that was not told, or a correction by the broker"


def _alike(ours: float, theirs: float) -> bool:
    return abs(theirs - ours) <= _SAME * max(1.0, abs(ours), abs(theirs))
