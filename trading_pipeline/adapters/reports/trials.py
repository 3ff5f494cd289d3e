"""The trials of a ledger as a table for a terminal."""

import pandas as pd

from trading_pipeline.adapters.store.trials import Tried
from trading_pipeline.core.market.quality.finding import counted


def trials_text(tried: list[Tried]) -> str:
    """A row for each trial, grouped by panel, and how many there are on each."""
    if not tried:
        return "No trials yet: nothing was evaluated."
    rows = [_row(each) for each in sorted(tried, key=lambda each: each.trial.panel)]
    table = pd.DataFrame(rows).to_string(index=False, justify="left")
    panels = pd.Series([each.trial.panel for each in tried]).value_counts(sort=False)
    counts = ", ".join(f"{count:,} on {panel}" for panel, count in panels.items())
    return f"{table}\n\n{counted(len(tried), 'trial')}: {counts}"


def _row(each: Tried) -> dict[str, str]:
    trial, sharpe = each.trial, each.trial.sharpe
    return {
        "panel": trial.panel,
        "market": trial.market or "?",
        "kind": trial.kind,
        "configuration": f"{trial.config_hash[:12]} {trial.name}".strip(),
        "Sharpe": "n/a" if sharpe is None else f"{sharpe:.2f}",
        "first": f"{each.first:%Y-%m-%d %H:%M}",
        "last": f"{each.last:%Y-%m-%d %H:%M}",
        "times": f"{each.evaluations:,}",
        "returns": "kept" if each.returns else "not kept",
    }
