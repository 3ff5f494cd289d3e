"""A book of a known Sharpe ratio, traded for thousands of years under the limits of a profile.

What `limits.py` finds the limits with. The market's daily returns are GARCH(1,1) with Student-t
innovations (Bollerslev, 1987), with or without the leverage effect, by which falls raise volatility
(Glosten, Jagannathan and Runkle, 1993). Parameters are those of the S&P 500 index from 1999 to
2018, the series that `arch` ships, by maximum likelihood: alpha 0.10 (standard error 0.01), beta
0.89 (0.01), 6.5 (0.6) degrees of freedom; with the leverage effect 0, 0.90, 0.18 after a fall, 7.5.

The book holds the market up to a volatility target. Forecast is the deviation of the last 63
returns, and at least half that of the last 252. Changes of exposure below 5 % of equity wait. H
histories of D days.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

SHARPE = 0.5  # a year, before costs
YEAR = 252  # bars: of the slow forecast, of the window of a peak, and of a year of shares
FAST = 63  # bars of the forecast
LATELY = 5  # bars of the circuit breaker
MARKET_VOLATILITY = 0.16  # a year
REGION = 0.05  # of equity: smaller changes of what is held of that market are not traded
OFF = math.inf


@dataclass(frozen=True)
class World:
    """How daily returns come about, and how many of them make a week, a month and a year."""

    name: str
    alpha: float = 0.10
    beta: float = 0.89
    leverage: float = 0.0  # on top of alpha after a fall
    freedom: float = 6.5  # degrees, of the innovations; inf: normal
    days: tuple[int, int, int] = (5, 21, YEAR)


WORLDS = (
    World("GARCH, Student t"),
    World("GJR, Student t", alpha=0.0, beta=0.90, leverage=0.18, freedom=7.5),
    World("independent, Student t", alpha=0.0, beta=0.0),
    World("independent, normal", alpha=0.0, beta=0.0, freedom=OFF),
    World("365 days, GARCH, Student t", days=(7, 30, 365)),
    World("365 days, the same with 3.5 degrees", freedom=3.5, days=(7, 30, 365)),
)
NAME = World("one name", freedom=4.0)  # single shares have fatter tails than their index


class Limits(NamedTuple):
    """Fractions of equity; the breaker in multiples of the usual volatility."""

    daily: float = OFF
    weekly: float = OFF
    monthly: float = OFF
    drawdown: float = OFF
    breaker: float = OFF


class Book(NamedTuple):
    """A book's histories, H of D days each."""

    market: np.ndarray  # (H, D) returns of the market in units of its volatility, drift included
    wanted: np.ndarray  # (H, D) exposure that meets a volatility target of 1 a day
    turbulence: np.ndarray  # (H, D) known before the day
    days: tuple[int, int, int]  # in a week, a month and a year


class Traded(NamedTuple):
    """What became of a book under limits."""

    earned: np.ndarray  # (H, D) returns
    size: np.ndarray  # (H, D) what drawdown control left of the exposure
    tripped: np.ndarray  # (H, 3) days, weeks and months with a breach
    turnover: np.ndarray  # (H,) a year, of equity, where the market's volatility is 16 %


def simulated(world: World, histories: int, years: int, seed: int) -> np.ndarray:
    """(H, D) daily returns without drift, of variance 1, with a year more to warm up."""
    rng = np.random.default_rng(seed)
    days = (years + 2) * world.days[2]
    if math.isinf(world.freedom):
        draws = rng.standard_normal((histories, days))
    else:
        draws = rng.standard_t(world.freedom, (histories, days))
        draws /= math.sqrt(world.freedom / (world.freedom - 2))
    _garch(draws, world.alpha, world.beta, world.leverage)
    return draws[:, world.days[2] :]


@numba.njit(cache=True)
def _garch(draws: np.ndarray, alpha: float, beta: float, leverage: float) -> None:
    """Innovations become returns, in place: Glosten, Jagannathan and Runkle (1993)."""
    constant = 1 - alpha - beta - leverage / 2
    for path in draws:
        variance = 1.0
        for t in range(len(path)):
            path[t] *= math.sqrt(variance)
            weight = alpha + (leverage if path[t] < 0 else 0.0)
            variance = constant + weight * path[t] ** 2 + beta * variance


def sound_book(market: np.ndarray, world: World) -> Book:
    """A book on these returns (H, D + 252) whose drift gives the Sharpe ratio before costs."""
    slow, fast = rolling(market, YEAR, deviation), rolling(market, FAST, deviation)
    wanted = 1 / np.maximum(fast, slow / 2)[:, YEAR - 1 : -1]
    squares = market**2
    lately = rolling(squares, LATELY, _mean)
    before = np.roll(rolling(squares, FAST - LATELY, _mean), LATELY, axis=1)
    turbulence = np.sqrt(lately / before)[:, YEAR - 1 : -1]
    traded = market[:, YEAR:]
    drift = SHARPE / math.sqrt(world.days[2]) * (wanted * traded).std() / wanted.mean()
    return Book(traded - traded.mean() + drift, wanted, turbulence, world.days)


def rolling(values: np.ndarray, window: int, statistic: Callable[..., np.ndarray]) -> np.ndarray:
    """(H, D) of the last `window` values; NaN before."""
    sums, squares = (
        np.cumsum(np.pad(each, ((0, 0), (1, 0))), axis=1) for each in (values, values**2)
    )
    known = np.full(values.shape, np.nan)
    total, square = (each[:, window:] - each[:, :-window] for each in (sums, squares))
    known[:, window - 1 :] = statistic(total, square, window)
    return known


def _mean(total: np.ndarray, square: np.ndarray, window: int) -> np.ndarray:
    return total / window


def deviation(total: np.ndarray, square: np.ndarray, window: int) -> np.ndarray:
    return np.sqrt((square - total**2 / window) / (window - 1))


def trade(book: Book, target: float, limits: Limits, window: bool = False) -> Traded:
    """The book at a volatility target (a year) under limits, which act one day after they trip.

    The peak of the drawdown sinks towards the equity in a year, or with `window` it is the highest
    equity of the last 252 bars.
    """
    histories, days = book.market.shape
    week, month, year = book.days
    traded = Traded(
        np.empty((histories, days)),
        np.empty((histories, days)),
        np.zeros((histories, 3)),
        np.zeros(histories),
    )
    sigma = MARKET_VOLATILITY / math.sqrt(year)  # exposures are to a market that moves by 1 a day
    exposure = book.wanted * (target / math.sqrt(year))
    _trade(
        book.market,
        exposure,
        book.turbulence,
        (1, week, month),
        year,
        limits,
        window,
        REGION * sigma,
        *traded,
    )
    return traded._replace(turnover=traded.turnover * year / days / sigma)


@numba.njit(cache=True)
def _trade(
    market: np.ndarray,
    exposure: np.ndarray,
    turbulence: np.ndarray,
    lengths: tuple[int, int, int],
    year: int,
    limits: Limits,
    window: bool,
    region: float,
    earned: np.ndarray,
    size: np.ndarray,
    tripped: np.ndarray,
    turnover: np.ndarray,
) -> None:
    """Exposure is what is wanted, times the drawdown rule's size; after a breach it only falls."""
    for h in range(len(market)):
        held, peak, peak_at = 0.0, 1.0, 0
        equity = np.ones(len(market[h]) + 1)
        marks, breached = np.ones(3), np.zeros(3, np.bool_)
        for t in range(len(market[h])):
            if not window:
                peak = max(equity[t], peak + (equity[t] - peak) / year)
            elif equity[t] >= peak:
                peak, peak_at = equity[t], t
            elif t - peak_at >= YEAR:
                peak_at = t - YEAR + 1 + int(np.argmax(equity[t - YEAR + 1 : t + 1]))
                peak = equity[peak_at]
            size[h, t] = 1.0
            if not math.isinf(limits.drawdown):
                drawdown = 1 - equity[t] / peak
                size[h, t] = min(max(1 - drawdown / limits.drawdown, 0.0), 1.0)
            wanted = exposure[h, t] * size[h, t]
            # Today's exposure was decided at the last close, within the period that closed there.
            if turbulence[h, t] >= limits.breaker or breached.any():
                wanted = min(wanted, held)
            if abs(wanted - held) > region:
                turnover[h] += abs(wanted - held)
                held = wanted
            earned[h, t] = held * market[h, t]
            equity[t + 1] = equity[t] * (1 + earned[h, t])
            for p in range(3):
                if t % lengths[p] == 0:
                    marks[p], breached[p] = equity[t], False
                if not breached[p] and 1 - equity[t + 1] / marks[p] >= limits[p]:
                    breached[p] = True
                    tripped[h, p] += 1


def index_book() -> Book:
    """The index, with the drift that it had taken out and that of a sound book put in."""
    from arch.data import sp500

    closes = sp500.load()["Adj Close"].to_numpy()
    returns = np.diff(np.log(closes))[None]
    return sound_book(returns / returns.std(), WORLDS[0])
