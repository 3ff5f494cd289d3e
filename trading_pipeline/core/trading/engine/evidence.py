"""What a book of weights earns that follows the same targets as an account, without an account."""

import math
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.trading.engine.compiled import entry_point, kernel
from trading_pipeline.core.trading.engine.dtypes import (
    Account,
    Array,
    Decision,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.loop import Known, Prices, span_of
from trading_pipeline.core.trading.engine.targets import managed_targets


class Shadow(NamedTuple):
    """Records of a book that never trades for money: only their sizing fields are used."""

    account: Array[Account]  # (1,)
    positions: Array[Position]  # (N,)
    rows: Array[Decision]  # (N,)
    weights: np.ndarray  # (N,) held, of a whole of 1
    untraced: np.ndarray  # (0, S)


class ShadowBar(NamedTuple):
    """What `shadow_bar` is told of one bar."""

    open: np.ndarray  # (N,), and so are the next
    close: np.ndarray
    eligible: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    volatility: np.ndarray
    forecast: np.ndarray
    beta: np.ndarray
    recent: np.ndarray  # (N, K) returns
    span: tuple[int, int]  # of them that are of the last bars
    groups: np.ndarray
    half_life: float


@entry_point
def run_shadow(
    rules: Array[Parameters],
    shadow: Shadow,
    prices: Prices,
    known: Known,
    rows: tuple[int, int],
    earned: np.ndarray,
) -> None:
    """`shadow_bar` of every bar of rows [start, stop), into `earned` (T,)."""
    for t in range(rows[0], rows[1]):
        earned[t] = shadow_bar(
            rules, shadow, prices.open[t], prices.close[t], known.eligible[t], known.score[t],
            known.weight[t], known.volatility[t], known.forecast[t], known.beta[t], known.recent,
            span_of(t), known.groups[t], known.half_life[t],
        )  # fmt: skip


@entry_point
def shadow_bar(
    rules: Array[Parameters],
    shadow: Shadow,
    open_: np.ndarray,
    close: np.ndarray,
    eligible: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    volatility: np.ndarray,
    forecast: np.ndarray,
    beta: np.ndarray,
    recent: np.ndarray,
    span: tuple[int, int],
    groups: np.ndarray,
    half_life: float,
) -> float:
    """The return of one bar after costs; 0 of the first. Arguments as those of `decide_bar`.

    Targets decided at a close are traded at the next open, in weights, whatever the lots and the
    volume: old weights earn the night and new ones the day.
    """
    account = shadow.account[0]
    account.kelly, account.drawdown_share = 1.0, 1.0
    earned = _live(rules[0], shadow, open_, close, recent, span[1] - 1)
    for n in range(len(shadow.weights)):
        shadow.rows[n].weight = shadow.weights[n]
    managed_targets(
        rules[0], account, shadow.positions, close, eligible, score, weight, volatility, forecast,
        beta, recent, span, groups, half_life, shadow.rows, shadow.untraced,
    )  # fmt: skip
    return earned


@kernel
def _live(
    rules: Parameters,
    shadow: Shadow,
    open_: np.ndarray,
    close: np.ndarray,
    recent: np.ndarray,
    t: int,
) -> float:
    """The return of one bar; weights drift with prices, and become the targets at its open."""
    night, day, traded = 0.0, 0.0, 0.0
    for n in range(len(shadow.weights)):
        inside = _inside(open_[n], close[n])
        night += shadow.weights[n] * ((1 + recent[n, t]) / (1 + inside) - 1)
    for n in range(len(shadow.weights)):
        inside = _inside(open_[n], close[n])
        drifted = shadow.weights[n] * (1 + recent[n, t]) / (1 + inside) / (1 + night)
        target = drifted if math.isnan(close[n]) else shadow.rows[n].target
        traded += abs(target - drifted)
        day += target * inside
        shadow.weights[n] = target * (1 + inside)
    for n in range(len(shadow.weights)):
        shadow.weights[n] /= 1 + day
    return (1 + night) * (1 + day) - 1 - rules.cost * traded


@kernel
def _inside(open_: float, close: float) -> float:
    """The return within a bar; 0 without one."""
    return 0.0 if math.isnan(close) else close / open_ - 1
