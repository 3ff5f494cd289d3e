"""What a better forecast of volatility is worth in sizing: a planted market whose volatility comes
in spells, traded by the 63-bar deviation and by the best forecast there is.

The log volatility of each symbol, and that of all, is an AR(1); returns beyond the market are
spell × (noise + k × signal), and scores say what they expect in units of the 63-bar σ√h. Printed
with standard errors over seeds: how often calibration would take the forecast, and one that knows
nothing; how far each book's daily active return scatters in units of the tracking error that was
meant, as a whole and how unevenly over quarters; and its information ratio before costs.

    python benchmarks/volatility_sizing.py [--seeds 10]
"""

import argparse
from datetime import date
from typing import NamedTuple

import numpy as np
from markets import FREEDOM, HORIZON, panel_of_returns

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.learning.calibration import forecasts_better
from trading_pipeline.core.learning.targets import future_volatility
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline.core.market.synthetic import DAYS_PER_YEAR, autoregression
from trading_pipeline.core.trading.terms import Terms

SYMBOLS, BARS, WARMUP = 60, 7 * DAYS_PER_YEAR, 260
IC = 0.05
SPELL = 21  # bars, half-life of a spell
DEPTH = 0.4  # standard deviation of a symbol's log volatility
COMMON = 0.3  # the same of what all symbols share
QUARTER = 63
FREE = Costs(fee=0.0, slippage=0.0, borrow=0.0, debit=0.0)
# No rule but the sizing that is measured.
PLAIN = {"band": 0.0, "starting_cap": 1.0, "kelly_floor": 1.0}
PLAIN |= dict.fromkeys(("symbol_cap", "group_cap", "gross_cap", "net_cap", "breaker"), 50.0)
PLAIN |= dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "drawdown_limit"), 50.0)
PLAIN |= dict.fromkeys(("stop_loss", "take_profit"), 50.0)


class Spells(NamedTuple):
    """A market, its scores, and the best forecast of the volatility of its bars."""

    panel: Panel
    score: np.ndarray  # (T, N)
    forecast: np.ndarray  # (T, N) per bar, over the horizon


def spells(seed: int) -> Spells:
    """A planted market whose volatility comes in spells."""
    rng = np.random.default_rng(seed)
    shape = BARS, SYMBOLS
    log_own = DEPTH * autoregression(rng, *shape, SPELL)
    log_all = COMMON * autoregression(rng, BARS, 1, SPELL)
    sigma = 0.01 + 0.02 * rng.uniform(size=SYMBOLS)
    signal = autoregression(rng, *shape, HORIZON)
    keep = 2 ** (-1 / HORIZON)
    reach = (1 - keep**HORIZON) / (1 - keep) / np.sqrt(HORIZON)
    noise = rng.standard_t(FREEDOM, shape) / np.sqrt(FREEDOM / (FREEDOM - 2))
    noise[1:] += IC / reach * signal[:-1]
    market = rng.normal(0.0003, 0.01, (BARS, 1))
    # The volatility of a bar is settled at the close before.
    weather = np.exp(np.vstack([np.zeros((1, 1)), log_all[:-1]]))
    spell = np.exp(np.vstack([np.zeros((1, SYMBOLS)), log_own[:-1]]))
    panel = panel_of_returns(weather * (market + sigma * spell * noise), rng)
    own, all_ = ahead(log_own, DEPTH), ahead(log_all, COMMON)
    expected = IC * signal * sigma * np.sqrt(own * all_)  # beyond the market, over √h
    forecast = np.sqrt((sigma**2 * own + 0.01**2) * all_)
    return Spells(panel, expected / volatility(panel), forecast)


def ahead(log_volatility: np.ndarray, deviation: float) -> np.ndarray:
    """Mean of exp(2 × log volatility) over the next h bars, given the last one of an AR(1)."""
    kept = 2 ** (-np.arange(HORIZON) / SPELL)[:, None, None]
    expected = 2 * kept * log_volatility + 2 * deviation**2 * (1 - kept**2)
    mean: np.ndarray = np.exp(expected).mean(axis=0)
    return mean


class Figures(NamedTuple):
    """What one book did."""

    ratio: float  # realised over meant tracking error
    uneven: float  # standard deviation over quarters of the log of it
    information: float  # ratio, a year


def traded(market: Market, drawn: Spells, forecast: np.ndarray | None) -> Figures:
    """One book's figures; its active return is all it earns, or what it earns beyond no scores."""
    score = np.where(np.arange(BARS)[:, None] < WARMUP, np.nan, drawn.score)
    basis = Basis.of(drawn.panel, score, drawn.panel.traded, market, volatility=forecast)
    terms = Terms.of(market, 1e6)
    book = basis.trade(terms)
    active = np.diff(book.equity) / book.equity[:-1]
    if market.mandate != "neutral":
        alone = basis.trade(terms, score=np.full(score.shape, np.nan)).equity
        active -= np.diff(alone) / alone[:-1]
    meant = book.log["tracking"][:-1] * book.log["exposure"][:-1]
    scaled = (active[1:] / meant[1:])[: (len(active) - 1) // QUARTER * QUARTER]
    quarters = np.sqrt((scaled.reshape(-1, QUARTER) ** 2).mean(axis=1))
    ratio = active.mean() / active.std() * np.sqrt(DAYS_PER_YEAR)
    return Figures(float(np.sqrt((scaled**2).mean())), float(np.log(quarters).std()), ratio)


def chosen(drawn: Spells, seed: int) -> tuple[bool, bool]:
    """Whether a validation of a year takes the forecast, and whether it takes σ with errors."""
    sigma = volatility(drawn.panel)
    rows = slice(WARMUP, WARMUP + DAYS_PER_YEAR)
    realised = (future_volatility(drawn.panel.adjusted_close, HORIZON) / sigma)[rows]
    errors = np.exp(0.02 * np.random.default_rng(seed).normal(size=realised.shape))
    best = (drawn.forecast / sigma)[rows]
    return (
        forecasts_better(best, realised, HORIZON),
        forecasts_better(errors, realised, HORIZON),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    markets = [spells(seed) for seed in seeds]
    taken = np.mean([chosen(each, seed) for seed, each in enumerate(markets)], axis=0)
    print(f"taken by calibration: the forecast {taken[0]:.0%}, nothing {taken[1]:.0%}")
    print(f"{'':32}{'realised / meant':>22}{'uneven':>18}{'information ratio':>20}")
    for mandate in ("neutral", "long_only"):
        market = Market(
            name="spells",
            source="parquet",
            symbols=markets[0].panel.symbols,
            start=date(2008, 1, 1),
            horizon=HORIZON,
            mandate=mandate,
            shortable=mandate == "neutral",
            costs=FREE,
            limits=PLAIN,
        )
        books = [
            (traded(market, each, None), traded(market, each, each.forecast)) for each in markets
        ]
        figures = np.array(books)  # (seeds, 2, 3)
        for name, values in (
            ("63-bar deviation", figures[:, 0]),
            ("forecast", figures[:, 1]),
            ("difference", figures[:, 1] - figures[:, 0]),
        ):
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            cells = zip(values.mean(axis=0), error, strict=True)
            print(f"{mandate:10} {name:22}", *(f"{mean:+8.3f} ± {e:.3f}    " for mean, e in cells))


if __name__ == "__main__":
    main()
