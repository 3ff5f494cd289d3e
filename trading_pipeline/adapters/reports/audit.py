"""An audit of a written report: do its tables add up?"""

import json
from pathlib import Path

import numpy as np
import pandas as pd


def audit(folder: Path, tolerance: float) -> list[str]:
    """What does not add up in a report's files; empty if everything does.

    Cash at every bar must be the capital, less what the fills cost with their fees, plus the cash
    flows so far; and equity must be that cash plus the value held.

    Args:
        folder: a report's, as `write_report` leaves it.
        tolerance: fraction of the capital; text files keep every digit, but sums round.
    """
    missing = [name for name in ("report.json", *_TABLES) if not (folder / name).exists()]
    if missing:
        return [f"{folder} lacks {', '.join(missing)}; materialize backtest_report again"]
    books = pd.read_csv(folder / "equity.csv", parse_dates=["timestamp"])
    capital = float(books["equity"].iloc[0])
    cash = capital + _moved(folder, books["timestamp"])
    findings = []
    for name, gap in (
        ("cash is not what fills and cash flows leave", books["cash"] - cash),
        ("equity is not cash and holdings", books["equity"] - books["cash"] - books["holdings"]),
    ):
        if (wrong := np.flatnonzero(~(gap.abs() <= tolerance * capital))).size:
            at, by = books["timestamp"][wrong[0]], gap[wrong[0]]
            findings.append(f"{name}: off by {by:.2f} at {at} ({wrong.size} bars are)")
    period = json.loads((folder / "report.json").read_text(encoding="utf-8"))["period"]
    if pd.Timestamp(period["end"]) != books["timestamp"].iloc[-1]:
        findings.append(f"report.json ends on {period['end']}, equity.csv does not")
    return findings


_TABLES = ("equity.csv", "fills.csv", "cash_flows.csv")


def _moved(folder: Path, stamps: pd.Series) -> np.ndarray:
    """Cash that has moved by the end of each bar, (T,)."""
    fills = pd.read_csv(folder / "fills.csv", parse_dates=["filled_at"])
    flows = pd.read_csv(folder / "cash_flows.csv", parse_dates=["at"])
    paid = -(fills["quantity"] * fills["price"] + fills["fee"])
    moves = pd.concat(
        [
            pd.DataFrame({"at": pd.to_datetime(fills["filled_at"], utc=True), "amount": paid}),
            pd.DataFrame({"at": pd.to_datetime(flows["at"], utc=True), "amount": flows["amount"]}),
        ]
    )
    by_bar = moves.groupby("at")["amount"].sum().reindex(stamps, fill_value=0.0)
    total: np.ndarray = by_bar.to_numpy().cumsum()
    return total
