"""One decision at a close where every price is 100: what is aimed at, and how that came about."""

from dataclasses import replace
from math import inf, nan
from typing import Any, NamedTuple

import numpy as np

from trading_pipeline.core.trading.engine.compiled import own
from trading_pipeline.core.trading.engine.decide import decide_bar
from trading_pipeline.core.trading.engine.dtypes import Decision, Trace, new_account, new_positions
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import FREE

YEAR = 252
CAPITAL = 1e5
# Numbers of its own, and no cap, exposure or region but those that a test asks for.
OPEN = Profile(
    name="open",
    volatility_target=inf,
    tracking_error=0.04,
    gross_cap=1.0,
    net_cap=1.0,
    long_only=False,
    symbol_cap=1.0,
    kelly_fraction=0.25,
    starting_cap=1.0,
    band=0.0,
)
NEUTRAL = replace(OPEN, gross_cap=9.0, net_cap=9.0, symbol_cap=9.0, volatility_target=0.12)
ROOMY = replace(FREE, leverage=10)


class Close(NamedTuple):
    """What was decided, as records of numpy: (N,) rows, their stages (N,) by name, the account."""

    rows: Any
    stages: dict[str, np.ndarray]
    account: Any
    order_sigma: np.ndarray  # (N,) that stops of an order would be in

    @property
    def target(self) -> np.ndarray:
        return self.rows["target"]

    @property
    def aim(self) -> np.ndarray:
        return self.rows["aim"]


def returns_of(N: int, sigma: Any = 0.02, T: int = YEAR, seed: int = 1) -> np.ndarray:
    """(T, N) returns that share a market."""
    rng = np.random.default_rng(seed)
    own, common = rng.normal(0, 1, (T, N)), rng.normal(0, 1, (T, 1))
    return np.asarray((0.8 * own + 0.6 * common) * np.broadcast_to(sigma, N))


def close_of(
    N: int,
    profile: Profile | None = OPEN,
    *,
    score: Any = nan,
    weights: Any = nan,
    scored: bool = True,
    held: Any = 0.0,
    sigma: Any = 0.02,
    forecast: Any = nan,
    beta: Any = 1.0,
    recent: np.ndarray | None = None,
    eligible: Any = True,
    close: Any = 100.0,
    groups: Any = -1,
    kelly: float = nan,
    half_life: float = nan,
    **terms: Any,
) -> Close:
    """Decide on N symbols of which the weights `held` are held; numbers stand for all symbols."""

    def row(values: Any, kind: type = float) -> np.ndarray:
        return own(np.broadcast_to(values, N), kind)

    given = {"bars_per_year": YEAR, "horizon": 10, "capital": CAPITAL, "costs": ROOMY}
    given |= {"mandate": "long_only", "shortable": True, "profile": profile} | terms
    account, positions, rows = new_account(CAPITAL), new_positions(N), Decision.zeros(N)
    positions["last"], positions["quantity"] = 100.0, row(held) * CAPITAL / 100
    account["cash"] -= positions["quantity"].sum() * 100
    past = returns_of(N, sigma) if recent is None else recent
    trace = Trace.columns(N)
    decide_bar(
        parameters_of(Terms(**given), scored=scored), account, positions, row(close),
        row(eligible, bool), row(score), row(weights), row(sigma), row(forecast), row(beta),
        own(past.T), (0, len(past)), past.mean(axis=1), row(groups, np.int64),
        kelly, half_life, rows, trace,
    )  # fmt: skip
    stages = dict(zip(Trace.dtype.names, trace.T, strict=True))
    return Close(rows, stages, account[0], positions["order_sigma"])


def neutral(N: int, profile: Profile = NEUTRAL, **options: Any) -> Close:
    """The same for a neutral account."""
    return close_of(N, profile, mandate="neutral", **options)
