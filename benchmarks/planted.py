"""Markets in which something known can be found, of a stated strength, or nothing.

100 symbols, 60 features of a bar, windows of 60 bars. Feature k of a symbol is an autoregression
with standard normal values, independent of all others: its coefficient is 0.0, 0.5 or 0.9 for k
modulo 3 of 0, 1 or 2. The return of the next bar, decided at t, is in units of σ

    return(t) = signal(t) + noise(t),

noise standard normal, and the signal of each pattern has a standard deviation that so is its
information coefficient for one bar (x_k(t) is feature k of the symbol):

    linear    0.05 x_2(t)
    product   0.075 x_5(t) × x_8(t)
    lagged    0.1 x_3(t - 20)
    mixed     these three, the product at 0.055 and the lagged one at 0.04
    order     0.1 sign(x_0(t - 20)) × sign(x_0(t - 40)), where x_0(t) is the return of the bar t,
              return(t - 1), and no more an autoregression
    noise     nothing

Targets are what the pipeline learns: the sum of the next h returns over √h, minus its mean over
symbols, clipped at ±4. `ideal` is its expectation when all features up to t are known.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.targets import CLIP, make_targets
from trading_pipeline.core.learning.validation import pearson_information_coefficient
from trading_pipeline.core.learning.walkforward import Fold, fold_rows
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel

SYMBOLS, FEATURES, BARS = 100, 60, 60
LEARNED, TESTED = 1260, 500  # dates: five years before the fold, two years in it
DAYS = BARS - 1 + LEARNED + TESTED + 21 + 2
PERSISTENCE = (0.0, 0.5, 0.9)
LAG = 20
ORDER = 0.1
PATTERNS: dict[str, dict[str, float]] = {  # and what of which strength each consists of
    "linear": {"linear": 0.05},
    "product": {"product": 0.075},
    "lagged": {"lagged": 0.1},
    "mixed": {"linear": 0.05, "product": 0.055, "lagged": 0.04},
    "order": {},
    "noise": {},
}
SIGMA = 0.02

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """A planted market."""

    samples: Samples
    ideal: Array  # (T, N), what could be known of the target; 0 where nothing is planted
    fold: Fold


def planted(pattern: str, seed: int, horizon: int = 1) -> Planted:
    """The market of a pattern; equal seeds share their features, whatever the pattern."""
    rng = np.random.default_rng(seed)
    x = _features(rng)
    noise = rng.normal(size=x.shape[:2])
    if pattern == "order":
        signal = _ordered(x, noise)
        ideal = _known_sum(signal, horizon, LAG) / np.sqrt(horizon)
    else:
        signal, ideal = _expected(x, pattern, horizon)
    return Planted(_samples(x, signal + noise, horizon), ideal, fold_of(horizon))


def fold_of(horizon: int) -> Fold:
    """Five years to learn from, and two to be asked about."""
    first = BARS - 1 + LEARNED
    return fold_rows("planted", BARS - 1, first, first + TESTED - 1, horizon)


def _features(rng: np.random.Generator) -> Array:
    x = rng.normal(size=(DAYS, SYMBOLS, FEATURES))
    phi = np.array([PERSISTENCE[k % 3] for k in range(FEATURES)])
    for day in range(1, DAYS):
        x[day] = phi * x[day - 1] + np.sqrt(1 - phi**2) * x[day]
    return x


def _expected(x: Array, pattern: str, horizon: int) -> tuple[Array, Array]:
    """The signal of the next bar, and of the mean of the next `horizon` ones times √h."""
    signal, ideal = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    for name, strength in PATTERNS[pattern].items():
        if name == "lagged":
            each = strength * _lagged(x[:, :, 3], LAG)
            signal += each
            ideal += _known_sum(each, horizon, LAG) / np.sqrt(horizon)
        else:
            phi = PERSISTENCE[2] if name == "linear" else PERSISTENCE[2] ** 2
            each = strength * (x[:, :, 2] if name == "linear" else x[:, :, 5] * x[:, :, 8])
            signal += each
            ideal += each * (1 - phi**horizon) / (1 - phi) / np.sqrt(horizon)
    return signal, ideal


def _lagged(values: Array, bars: int) -> Array:
    return np.concatenate([np.zeros_like(values[:bars]), values[:-bars]])


def _known_sum(signal: Array, horizon: int, lag: int) -> Array:
    """Sum over the next `horizon` bars of a signal that is known `lag` bars ahead, else 0."""
    total = signal.copy()
    for ahead in range(1, min(horizon, lag + 1)):
        total[:-ahead] += signal[ahead:]
    return total


def _ordered(x: Array, noise: Array) -> Array:
    """The signal of the order pattern; writes the bar's own return into feature 0."""
    signal = np.zeros_like(noise)
    x[0, :, 0] = 0.0
    for day in range(len(x)):
        if day:
            x[day, :, 0] = signal[day - 1] + noise[day - 1]
        if day >= 2 * LAG:
            signal[day] = ORDER * np.sign(x[day - LAG, :, 0] * x[day - 2 * LAG, :, 0])
    return signal


def _samples(x: Array, returns: Array, horizon: int) -> Samples:
    """`returns`, decided at each day, are from the next open to the one after, in σ."""
    padded = np.concatenate([np.zeros((1, SYMBOLS)), np.cumsum(returns, axis=0)])
    target = np.full_like(returns, np.nan)
    target[: DAYS - horizon + 1] = (padded[horizon:] - padded[:-horizon]) / np.sqrt(horizon)
    price = np.clip(target - target.mean(axis=1, keepdims=True), -CLIP, CLIP)
    moves = np.zeros_like(returns)  # nights are still: the open is the close of the day before
    moves[1:] = SIGMA * returns[:-1]

    def tensor(values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    return Samples(
        grid=tensor(x),
        usable=np.isfinite(price),
        price=tensor(price),
        direction=torch.from_numpy(
            np.where(np.isfinite(price), 1 + (price > 0.43).astype(int) - (price < -0.43), -1)
        ),
        next_return=tensor(SIGMA * returns),
        next_residual=tensor(returns - returns.mean(axis=1, keepdims=True)),
        volatility=tensor(np.sqrt(_mean_square(returns, horizon))),
        risk=tensor(target < -2),
        overnight=tensor(np.zeros_like(returns)),
        intraday=tensor(moves),
        sigma=tensor(np.full_like(returns, SIGMA)),
        timestamps=pd.bdate_range("2015-01-01", periods=DAYS, tz="UTC"),
        symbols=tuple(f"S{n:02}" for n in range(SYMBOLS)),
        features=tuple(f"feature_{n}" for n in range(FEATURES)),
    )


def _mean_square(returns: Array, horizon: int) -> Array:
    padded = np.concatenate([np.zeros((1, SYMBOLS)), np.cumsum(returns**2, axis=0)])
    result = np.full_like(returns, np.nan)
    result[: DAYS - horizon + 1] = (padded[horizon:] - padded[:-horizon]) / horizon
    return result


_NAMES, _SPAN, _TOLD, _PERSISTS = 60, 1500, 0.05, 0.9  # of the market of bars


def panel_of_bars(seed: int) -> Panel:
    """1,500 days behind the burn-in, whose next returns correlate with how volume surprises."""
    rng = np.random.default_rng(seed)
    days = burn_in(BARS) + _SPAN
    surprise = rng.normal(size=(days, _NAMES))
    for day in range(1, days):
        surprise[day] *= np.sqrt(1 - _PERSISTS**2)
        surprise[day] += _PERSISTS * surprise[day - 1]
    noise = np.sqrt(1 - _TOLD**2) * rng.normal(size=(days, _NAMES))
    moves = np.zeros((days, _NAMES))  # from the open of a day to that of the next
    moves[1:] = SIGMA * (_TOLD * surprise + noise)[:-1]  # decided at the close of the day before
    volume = np.full((days, _NAMES), 1e6)
    for day in range(20, days):
        volume[day] = volume[day - 20 : day].mean(axis=0) * np.exp(0.2 * surprise[day])
    opens = 100 * np.exp(np.cumsum(moves, axis=0) - moves)
    closes = opens * np.exp(moves)
    wicks = np.exp(np.abs(rng.normal(0, 0.2 * SIGMA, (2, days, _NAMES))))
    stamps = pd.bdate_range("2015-01-05", periods=days, tz="UTC").as_unit("us")
    keys = pd.MultiIndex.from_product([stamps, [f"S{n:02}" for n in range(_NAMES)]])
    columns = {
        "open": opens,
        "high": np.maximum(opens, closes) * wicks[0],
        "low": np.minimum(opens, closes) / wicks[1],
        "close": closes,
        "volume": volume,
    }
    table = keys.to_frame(index=False, name=["timestamp", "symbol"])
    table["symbol"] = table["symbol"].astype("str")
    return Panel.of(table.assign(**{name: each.ravel() for name, each in columns.items()}), None)


def walk(seed: int) -> float:
    """The information coefficient of the score on a fold of 750 days, by the code of the assets."""
    panel = panel_of_bars(seed)
    market = Market(
        name="planted",
        source="parquet",
        symbols=panel.symbols,
        start=date(2015, 1, 5),
        horizon=1,
    )
    recipe = Recipe.preset(market, "tiny", len(NAMES))
    data = Dataset.of(panel, features_of(panel, market.calendar), BARS)
    first, rows = burn_in(BARS), len(panel.timestamps)
    fold = fold_rows("planted", first, first + _SPAN // 2, rows - 1, 1)
    predicted = predict_rows(Predictor(train_fold(data, fold, recipe)), data, fold.test, fold.key)
    score = predicted.pivot_table(index="timestamp", columns="symbol", values="score")
    score = score.reindex(index=panel.timestamps, columns=list(panel.symbols)).to_numpy()
    target = make_targets(panel, data.sigma, data.eligible, 1).price
    tested = slice(fold.test.first, rows)
    return pearson_information_coefficient(score[tested], target[tested])
