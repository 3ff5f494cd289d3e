"""A table of orders that was traded: its result in a few lines, and as files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.reports.charts.pictures import draw_account
from trading_pipeline.adapters.reports.csv_file import write_csv
from trading_pipeline.adapters.reports.folder import write_among_others
from trading_pipeline.adapters.reports.text import spaced
from trading_pipeline.core.backtest.outcomes import OUTCOMES
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.evaluation.portfolio.drawdowns import fall_from_peak
from trading_pipeline.core.market.quality.finding import counted
from trading_pipeline.core.trading.rules import rule_name


def simulation_text(result: BacktestResult, outcomes: pd.DataFrame) -> str:
    """What became of the orders, and what the account came to; four lines or five."""
    equity, held = result.equity, (result.quantity[-1] != 0).sum()
    first, last = (f"{stamp:%Y-%m-%d}" for stamp in result.timestamps[[0, -1]])
    gain = spaced(f"{equity[-1] / equity[0] - 1:+.2%}")
    fall = spaced(f"{fall_from_peak(equity).min():.2%}")
    lines = [
        f"{counted(len(outcomes), 'order')}: {_counts(outcomes)}",
        f"{first} to {last}: equity {equity[0]:,.2f} -> {equity[-1]:,.2f}, return {gain}, worst "
        f"drawdown {fall}",
        f"Costs: fees {result.fees.sum():,.2f}, slippage {result.events['slippage'].sum():,.2f} "
        "(in the prices)",
    ]
    flows = result.cash_flows().groupby("kind")["amount"].sum()
    if len(flows):
        told = ", ".join(f"{kind} {amount:+,.2f}" for kind, amount in flows.items())
        lines.append(f"Cash flows: {told}")
    closed = counted(len(result.trades()), "trade")
    return "\n".join([*lines, f"{closed} closed; {counted(int(held), 'position')} held at the end"])


def _counts(outcomes: pd.DataFrame) -> str:
    """'3 filled, 2 refused (1 no shorts, 1 lot)'."""
    parts = []
    for outcome in OUTCOMES:
        why = outcomes.loc[outcomes["outcome"] == outcome, "reasons"]
        rules = (
            why.str.split("|")
            .explode()
            .value_counts(sort=False)
            .drop(["", "lapsed"], errors="ignore")
        )
        named = ", ".join(f"{count} {rule_name(rule)}" for rule, count in rules.items())
        if len(why):
            parts.append(f"{len(why)} {outcome}" + (f" ({named})" if named else ""))
    return ", ".join(parts)


def write_simulation(
    folder: Path, result: BacktestResult, outcomes: pd.DataFrame, session: str, title: str
) -> None:
    """Write outcomes, fills, trades, equity, vetoes and cash flows as CSV files, and a picture.

    The same inputs give the same bytes.

    Args:
        session: what ids of orders begin with.
        title: of the picture, equity.png.

    Raises:
        StoreError: one of the files is there, and is not from an earlier call; or the folder
            cannot be written.
    """
    account = {"equity": result.equity, "cash": result.cash, "holdings": result.net}
    tables = {
        "outcomes": outcomes,
        "fills": result.fills(session),
        "trades": result.trades(),
        "equity": pd.DataFrame({"timestamp": result.timestamps, **account}),
        "vetoes": result.vetoes(),
        "cash_flows": result.cash_flows(),
    }
    files: dict[str, Callable[[Path], object]] = {
        f"{name}.csv": partial(write_csv, table) for name, table in tables.items()
    }
    files["equity.png"] = lambda path: draw_account(path, result.timestamps, result.equity, title)
    write_among_others(folder, "outcomes.csv", list(outcomes), files)
