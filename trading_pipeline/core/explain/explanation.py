"""Why a decision is what it is, and what became of it: one symbol at one bar of a backtest.

    run = Rerun.of(panel, predictions, eligible, market, capital)
    why = explain(run, run.bar(at, day=True), run.column("AAPL"), features, lookback, window)

Nothing here decides anything: the strategy is run again, and its own records are read.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.explain.account import AccountAtClose, account_of
from trading_pipeline.core.explain.answer import answer_of
from trading_pipeline.core.explain.order import (
    ExplainedOrder,
    ReasonText,
    Veto,
    order_of,
    reasons_of,
    vetoes_at,
)
from trading_pipeline.core.explain.outcome import (
    FillOutcome,
    Held,
    Trade,
    became,
    held_at,
    trades_with,
)
from trading_pipeline.core.explain.sizing import SizingStep, sizing_steps
from trading_pipeline.core.features.catalog import CATALOG
from trading_pipeline.core.features.feature import Feature
from trading_pipeline.core.market.bars import price_text
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.eligibility import Condition, eligibility_at
from trading_pipeline.errors import BarsError


@dataclass(frozen=True)
class Priced:
    """A bar: raw prices, NaN where the symbol has none."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    change: float  # total return since its close before, adjusted
    sigma: float  # volatility of a bar: of its last 63 returns


@dataclass(frozen=True)
class FeatureValue:
    """A feature at the bar, beside the past year of the same symbol (the bar included)."""

    name: str
    family: str
    meaning: str
    value: float  # NaN: missing
    z_score: float  # NaN: too few values, or all alike
    percentile: float  # share of the year's values at or below this one, (0, 1]
    bars: int  # of that year that have a value


@dataclass(frozen=True)
class Predicted:
    """What the network said; see `core.model.heads`."""

    fold: str
    score: float  # expected return in units of σ√h
    expected: float  # the same as a fraction, over h bars
    horizon: int
    p_down: float
    p_flat: float
    p_up: float
    position: float  # what the network would hold, [-1, 1]
    volatility: float  # forecast, per bar
    risk: float  # probability of a fall of more than 2σ√h within h bars


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that led to one decision, and all that followed."""

    market: str
    session: str  # on paper; empty: it is a backtest
    symbol: str
    bar: pd.Timestamp  # its opening, UTC
    decided_at: pd.Timestamp | None  # its close; None where the calendar does not know the bar
    answer: str  # in a sentence or two
    price: Priced
    features: tuple[FeatureValue, ...]
    prediction: Predicted | None
    eligible: bool
    eligibility: tuple[Condition, ...]
    steps: tuple[SizingStep, ...]
    account: AccountAtClose
    held: Held | None
    target: float  # weight
    order: ExplainedOrder | None
    reasons: tuple[ReasonText, ...]
    vetoes: tuple[Veto, ...]
    became: tuple[FillOutcome, ...]
    after: Held | None  # at the close of the next bar
    trades: tuple[Trade, ...]


def explain(
    run: Rerun, k: int, n: int, features: np.ndarray, lookback: int, window: int
) -> Explanation:
    """Explain the decision on symbol n at the close of bar k.

    Args:
        run: the strategy, run again.
        k: bar of the book that was decided on. n: column of the panel.
        features: (T, N, F) as stored, in the order of the catalog.
        lookback, window: of the universe's rule, as `eligibility_at` takes them.
    """
    row, panel, stamp = run.row(k), run.panel, run.result.timestamps[k]
    filled, order, vetoes = became(run, k, n), order_of(run, k, n), vetoes_at(run, k, n)
    reasons = reasons_of(run, k, n)
    return Explanation(
        market=run.market.name,
        session=run.session,
        symbol=panel.symbols[n],
        bar=stamp,
        decided_at=_instant(run, stamp),
        answer=answer_of(run, k, n, order, reasons, filled),
        price=_priced(run, row, n),
        features=_features(features[: row + 1, n], run.market.bars_per_year),
        prediction=_predicted(run, row, n),
        eligible=bool(run.basis.eligible[row, n]),
        eligibility=eligibility_at(panel, row, n, lookback, window),
        steps=sizing_steps(run, k, n),
        account=account_of(run, k, n),
        held=held_at(run, k, n),
        target=float(run.decided(k)[n]["target"]),
        order=order,
        reasons=reasons,
        vetoes=vetoes,
        became=filled,
        after=held_at(run, k + 1, n) if k + 1 < len(run.result.log) else None,
        trades=trades_with(run, k, n, filled),
    )


def _instant(run: Rerun, stamp: pd.Timestamp) -> pd.Timestamp | None:
    try:
        return trading_calendar(run.market.calendar, run.market.timeframe).close_of(stamp)
    except BarsError:  # a panel of somebody's own may have bars on holidays
        return None


def _priced(run: Rerun, row: int, n: int) -> Priced:
    panel = run.panel
    before = panel.adjusted_close[:row, n]
    before = before[np.isfinite(before)]
    change = panel.adjusted_close[row, n] / before[-1] - 1 if len(before) else math.nan
    raw = {
        name: float(getattr(panel, name)[row, n])
        for name in ("open", "high", "low", "close", "volume")
    }
    sigma = float(run.basis.prepared.volatility[row, n])
    return Priced(**raw, change=float(change), sigma=sigma)


def _features(values: np.ndarray, year: int) -> tuple[FeatureValue, ...]:
    """(T, F) values up to the bar, each feature beside its own past year."""
    return tuple(
        _feature(feature.name, feature.family, _meaning(feature), own)
        for feature, own in zip(CATALOG, values[-year:].T.astype(float), strict=True)
    )


def _meaning(feature: Feature) -> str:
    """Formula, parameters and unit."""
    given = "".join(f", {name} {value}" for name, value in feature.parameters.items())
    return f"{feature.formula}{given} ({feature.scale.unit})"


def _feature(name: str, family: str, meaning: str, year: np.ndarray) -> FeatureValue:
    value, known = float(year[-1]), year[np.isfinite(year)]
    z_score = share = math.nan
    if math.isfinite(value):
        share = float((known <= value).mean())
        deviation = float(known.std(ddof=1)) if len(known) > 1 else 0.0
        z_score = (value - float(known.mean())) / deviation if deviation > 0 else math.nan
    return FeatureValue(name, family, meaning, value, z_score, share, len(known))


def _predicted(run: Rerun, row: int, n: int) -> Predicted | None:
    table = run.predictions
    found = table[
        (table["timestamp"] == run.panel.timestamps[row])
        & (table["symbol"] == run.panel.symbols[n])
    ]
    if found.empty:
        return None
    said, horizon = found.iloc[-1], run.market.horizon
    unit = float(run.basis.prepared.volatility[row, n]) * math.sqrt(horizon)
    heads = ("p_down", "p_flat", "p_up", "position", "volatility", "risk")
    return Predicted(
        fold=str(said.get("fold", "")),
        score=float(said["score"]),
        expected=float(said["score"]) * unit,
        horizon=horizon,
        **{name: float(said.get(name, math.nan)) for name in heads},
    )


@dataclass(frozen=True)
class Line:
    """One symbol of a bar, for a person who wants to see the whole decision."""

    symbol: str
    score: float  # σ√h; NaN: none
    signal: float
    eligible: bool
    held: float  # weight at the close
    target: float  # weight
    order: str  # "buy 12", or nothing
    became: str  # of the order, or a barrier in the next bar
    reasons: tuple[str, ...]


def overview(run: Rerun, k: int) -> tuple[Line, ...]:
    """The whole decision at the close of bar k: every symbol in the panel's order."""
    row = run.row(k)
    return tuple(
        Line(
            symbol=symbol,
            score=float(run.basis.score[row, n]),
            signal=float(here["signal"]),
            eligible=bool(run.basis.eligible[row, n]),
            held=float(here["weight"]),
            target=float(here["target"]),
            order=f"{order.side} {order.quantity:,.10g}" if (order := order_of(run, k, n)) else "",
            became="; ".join(map(_shortly, became(run, k, n))),
            reasons=tuple(reason.name for reason in reasons_of(run, k, n)),
        )
        for n, (symbol, here) in enumerate(zip(run.panel.symbols, run.decided(k), strict=True))
    )


def _shortly(each: FillOutcome) -> str:
    what = "" if each.kind == "order" else f"{each.kind} "
    if not each.quantity:
        return f"{what}{'lapsed' if each.lapsed else 'cut to nothing'}"
    return f"{what}{each.quantity:+,.10g} at {price_text(each.price)}"
