"""What the demo can prove on the spot, whatever the verdict on the edge is."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from trading_pipeline.core.features.catalog import CATALOG, compute_features
from trading_pipeline.core.leakage.experiment import find_leaks
from trading_pipeline.core.market.market import Market
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.lineage import INPUTS
from trading_pipeline.steps.rebuild import read_report
from trading_pipeline.steps.session import journalled_orders
from trading_pipeline.steps.streams import session_stream

_SETTINGS = ("configuration", "seeds")  # that a report has in it: nothing stored to compare with
BARS = 40  # replayed on paper; about a second for every six


def planted_leak(home: Home, market: Market) -> str:
    """Shift one feature by a bar, so that it knows tomorrow, and see the leakage check find it."""
    bars = read_panel(home, market).adjusted_bars()
    recent = bars[bars["timestamp"] >= bars["timestamp"].max() - pd.DateOffset(years=3)]

    def leaking(some: pd.DataFrame) -> pd.DataFrame:
        table = compute_features(some, calendar=market.calendar)
        return table.assign(ret_1=table.groupby("symbol")["ret_1"].shift(-1))

    lookbacks = {each.name: each.lookback for each in CATALOG}
    leaks = find_leaks(leaking, recent.reset_index(drop=True), lookbacks, count=1)
    caught = sorted({f"{each.check} of {each.column}" for each in leaks})
    if not caught:
        return "NOT CAUGHT: a feature shifted by one bar passed the leakage check"
    return f"caught: a feature shifted by one bar ({'; '.join(caught)})"


def traced_figure(home: Home, market: Market) -> str:
    """Take one figure of the report back to all that it was made from, file by file."""
    from trading_pipeline.steps.trace import SAME, trace

    summary = read_report(home.report(market) / "report.json")
    found = trace(summary, "strategy.sharpe.value", home)
    now = {each.what: each.now for each in found.sources if each.what not in _SETTINGS}
    for fold in found.folds:
        now[f"checkpoint of {fold.key}"] = fold.checkpoint
        now[f"predictions of {fold.key}"] = fold.predictions
    other = [f"{what} {said}" for what, said in now.items() if not said.startswith(SAME)]
    if other:
        return f"NOT TRACED: {'; '.join(other)}"
    return (
        f"traced: a Sharpe ratio of {found.value:.2f}, to the bars, the code and "
        f"{len(found.folds)} checkpoints, all as they were"
    )


def paper_equals_backtest(
    home: Home, market: Market, capital: float, run_session: Callable[[dict[str, Any]], object]
) -> str:
    """Replay the first bars on paper, and compare the orders with those of the report.

    The session is named after what the report was made from: another report is another session,
    and the same one is only looked up.

    Args:
        run_session: runs a paper session of these terms to its end.
    """
    folder = home.report(market)
    summary = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    session = f"demo-{summary['lineage'][INPUTS][:12]}"
    ordered = pd.read_csv(folder / "orders.csv")
    stamps = pd.read_csv(folder / "equity.csv")["timestamp"]
    last = stamps.iloc[min(BARS, len(stamps) - 1)]
    run_session({"session": session, "capital": capital, "end": str(last)[:10]})
    with home.ledger() as ledger:
        papered = journalled_orders(ledger, session_stream(market.name, session))
    names = ["decided_at", "symbol", "side", "quantity"]
    mine, theirs = (_before(table, last)[names] for table in (papered, ordered))
    if mine.equals(theirs):
        return f"equal: {len(theirs)} orders of the first {BARS} days, on paper and in the backtest"
    return f"NOT EQUAL: {len(mine)} orders on paper, {len(theirs)} in the backtest"


def _before(orders: pd.DataFrame, last: str) -> pd.DataFrame:
    """Orders decided before the bar `last`, in one spelling of the instants."""
    stamps = pd.to_datetime(orders["decided_at"], utc=True)
    kept = orders.assign(decided_at=stamps.dt.as_unit("us"))[stamps < pd.Timestamp(last)]
    return kept.astype({"quantity": float, "symbol": str, "side": str}).reset_index(drop=True)
