"""Whether what is stored is what it says it is: cheap looks at files and journals, in words.

Each returns what is wrong; nothing where there is nothing to look at yet.
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store import production
from trading_pipeline.adapters.store.predictions import COLUMNS
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import BrokenChain, CheckpointError, StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.streams import is_of_session

_ROUNDING = 1e-6
_WITHIN = {"p_down": (0, 1), "p_flat": (0, 1), "p_up": (0, 1), "risk": (0, 1), "position": (-1, 1)}
_PARTS = 1e-9  # of the capital


def prediction_faults(home: Home, market: Market, fold: str | None) -> list[str]:
    """Of the predictions of a fold, or of all that are stored: rules of the table."""
    store = home.predictions(market)
    faults = []
    for key in [fold] if fold else store.folds():
        try:
            faults += [f"{key}: {fault}" for fault in table_faults(store.read([key]), key)]
        except StoreError as error:
            faults.append(str(error))
    return faults


def table_faults(rows: pd.DataFrame, fold: str) -> Iterator[str]:
    """Which rules of predictions the rows of a fold break; the first row of each."""
    if missing := [name for name in COLUMNS if name not in rows]:
        yield f"columns {', '.join(missing)} are missing"
        return
    total = rows[["p_down", "p_flat", "p_up"]].sum(axis=1)
    broken = {
        "(timestamp, symbol) is there twice": rows.duplicated(KEY),
        "the bar is of before the fold": rows["timestamp"] < pd.Timestamp(fold, tz=UTC),
        "fold is another one": rows["fold"] != fold,
        "score is no number": ~np.isfinite(rows["score"]),
        "volatility is not positive": ~(rows["volatility"] > 0),
        "half_life is not positive": ~(rows["half_life"] > 0),
        "p_down + p_flat + p_up is not 1": ~((total - 1).abs() < _ROUNDING),
        **{
            f"{name} is not within {low} and {high}": ~rows[name].between(
                low - _ROUNDING, high + _ROUNDING
            )
            for name, (low, high) in _WITHIN.items()
        },
    }
    for rule, rows_of in broken.items():
        if rows_of.any():
            first = rows[rows_of].iloc[0]
            yield (
                f"{rule} in {int(rows_of.sum()):,} of {len(rows):,} rows, first "
                f"{first['symbol']} at {first['timestamp']}"
            )


def service_faults(home: Home, market: Market) -> list[str]:
    """Of the model in service: it loads, and is the one that was decided on last."""
    from trading_pipeline.core.learning.inference import Predictor
    from trading_pipeline.steps.production import PRODUCTION, decided, model_of

    decision = production.in_service(decided(home, market))
    if decision is None:
        return []
    store = home.checkpoints(market)
    try:
        digest = store.verify(PRODUCTION)
        Predictor(model_of(home, market, decision.model))
    except CheckpointError as error:
        return [str(error)]
    if digest == decision.model:
        return []
    return [
        f"{store.path(PRODUCTION)} is {digest[:16]}, and {decision.model[:16]} was "
        f"{decision.kind}; the next night puts that back, and `trading-pipeline production` shows "
        "all decisions"
    ]


def journal_faults(home: Home, market: Market) -> tuple[int, list[str]]:
    """Of the journals of a market's paper sessions: how many events, and where a chain breaks."""
    if not home.has_ledger:
        return 0, []
    events, faults = 0, []
    with home.ledger() as ledger:
        for stream in ledger.streams():
            if not is_of_session(stream, market.name):
                continue
            try:
                events += ledger.verify(stream)
            except BrokenChain as error:
                faults.append(str(error))
    return events, faults


def divergence_faults(home: Home, market: Market) -> tuple[int, list[str]]:
    """Of the stored divergences: how many, and those whose parts are not the whole."""
    files = sorted((home.report(market) / "paper").glob("*.json"))
    faults = []
    for file in files:
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            parts, whole = math.fsum(told["parts"].values()), told["difference"]
            apart = max(abs(parts - whole), abs(told["paper"] - told["backtest"] - whole))
            if not apart <= _PARTS * told["capital"]:
                faults.append(f"{file}: its parts are {apart:,.6f} from the whole {whole:,.2f}")
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            faults.append(f"{file} cannot be read ({error!r}); materialize paper_divergence again")
    return len(files), faults


def refit_faults(home: Home, market: Market) -> list[str]:
    """Of the stored comparison of refits: every interval is there, within its own bounds."""
    from trading_pipeline.steps.refits import INTERVALS

    file = home.report(market) / "refits.json"
    if not file.exists():
        return []
    try:
        table = json.loads(file.read_text(encoding="utf-8"))["intervals"]
        if list(table) != list(INTERVALS):
            return [f"{file} compares {', '.join(table)}, not {', '.join(INTERVALS)}"]
        fits = [row["fits"] for row in table.values()]
        faults = [f"{file}: fewer trainings are listed after more"] if fits != sorted(fits) else []
        return faults + [
            f"{file}: {metric} of {name} is {row[metric]}, which is not within its own bounds"
            for name, row in table.items()
            for metric in ("sharpe", "rank_ic")
            if not _within_bounds(row[metric])
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return [f"{file} cannot be read ({error!r}); materialize refit_comparison again"]


def _within_bounds(estimate: Mapping[str, Any]) -> bool:
    """Of {value, low, high}, each null where it is not known."""
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    return low is None or high is None or (value is not None and low <= value <= high)
