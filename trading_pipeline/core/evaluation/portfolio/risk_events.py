"""When a rule that protects the account acted, from the tables of a backtest."""

from collections.abc import Iterable

import pandas as pd

from trading_pipeline.core.trading.engine.reasons import REASONS

# What sizes an order, or refuses one for reasons of bookkeeping, is no event: it happens at most
# bars, and stands in orders.csv and vetoes.csv. Every other name is one, so that a rule that is
# added later is seen.
ORDINARY = frozenset(("order", "", *(row.name for row in REASONS.values() if not row.protects)))
# In this order; others follow in the order of their names.
_KNOWN = (
    *("daily_loss", "weekly_loss", "monthly_loss", "drawdown_half", "drawdown_flat", "turbulence"),
    *("stop_loss", "trailing_stop", "take_profit", "participation", "stale", "delisted"),
    *("kill_switch", "bankrupt"),
)


def risk_events(orders: pd.DataFrame, fills: pd.DataFrame, vetoes: pd.DataFrame) -> pd.DataFrame:
    """Columns at, rule, symbols (how many it acted on); sorted, one row per bar and rule.

    Args:
        orders: decided_at, symbol, reasons (names joined by '|'); fills: filled_at, symbol,
            reasons; vetoes: decided_at, symbol, rule. A table may be empty and lack columns.
    """
    parts = [
        _acted(vetoes, "decided_at", "rule"),
        _acted(orders, "decided_at", "reasons"),
        _acted(fills, "filled_at", "reasons"),
    ]
    acted = pd.concat(parts, ignore_index=True)
    events = acted.groupby(["at", "rule"], as_index=False)["symbol"].nunique()
    return events.rename(columns={"symbol": "symbols"})


def in_order(names: Iterable[str], known: Iterable[str] = _KNOWN) -> list[str]:
    """Names, of rules or other, as the report lists them: those it knows first."""
    found = set(names)
    first = [name for name in known if name in found]
    return [*first, *sorted(found.difference(first))]


def _acted(table: pd.DataFrame, at: str, names: str) -> pd.DataFrame:
    """One row per bar, symbol and risk rule named in a column of names joined by '|'."""
    if table.empty or names not in table:
        return pd.DataFrame({"at": pd.DatetimeIndex([], tz="UTC"), "symbol": [], "rule": []})
    rows = pd.DataFrame(
        {"at": table[at], "symbol": table["symbol"], "rule": table[names].str.split("|")}
    ).explode("rule")
    return rows[~rows["rule"].isin(ORDINARY)]
