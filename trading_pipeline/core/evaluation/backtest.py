"""From the results of a backtest to the inputs of its evaluation."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.backtest.baselines import earned
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.run import Backtest
from trading_pipeline.core.evaluation.information_coefficient import (
    COEFFICIENTS,
    without,
    years_to_tell,
)
from trading_pipeline.core.evaluation.metrics import sharpe
from trading_pipeline.core.evaluation.performance import AccountView, daily_returns, day_closes
from trading_pipeline.core.evaluation.portfolio.earnings import earnings_of
from trading_pipeline.core.evaluation.portfolio.exposure import bound_of
from trading_pipeline.core.evaluation.portfolio.risk_events import risk_events
from trading_pipeline.core.evaluation.portfolio.tear_sheet import Holdings
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION, Panel, volatility
from trading_pipeline.core.market.quality.report import held_out
from trading_pipeline.core.trading.kelly import EVIDENCE_DAYS, MINIMUM_SYMBOLS, shares_in_force
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.core.trading.rules import rule_name

PLANTED = (
    "synthetic: the edge was planted. Nobody ever traded these bars, and what they tell about the "
    "next ones is far beyond any real market; a verdict on them is about the pipeline alone"
)
HINDSIGHT = "the symbols were chosen with hindsight: survivors only, so results are too good"


def view_of(result: BacktestResult) -> AccountView:
    """A simulated account as the evaluation sees it."""
    return AccountView(
        equity=result.equity,
        trades=result.trades(),
        turnover=result.turnover,
        exposure=result.exposure,
    )


def median_turnover(backtest: Backtest, market: Market) -> float | None:
    """A year's turnover of the random portfolio in the middle; None without any."""
    traded = backtest.random.turnover.mean(axis=1)
    return float(np.median(traded)) * market.bars_per_year if len(traded) else None


def holdings_of(result: BacktestResult) -> Holdings:
    """What a simulated account earned and did, for the parts of a report that name symbols."""
    name = "backtest"
    return Holdings(
        earnings=earnings_of(result),
        trades=result.trades(),
        events=risk_events(result.orders(name), result.fills(name), result.vetoes()),
        bound=bound_of(result),
    )


def coefficient_tables(
    panel: Panel, backtest: Backtest, target: NDArray[np.float64], market: Market
) -> dict[str, pd.DataFrame] | None:
    """A table of each of COEFFICIENTS, by its name: one row per scored date; None: there is none.

    Columns: date; scores; minus_sigma, momentum, reversal, of what needs no model, on the same
    symbols; beyond, of the scores without what the three explain of them; and those of the learned
    baselines that were traded, by their names.

    Args:
        target: (T, N), what came true, in units of sigma sqrt(h); NaN where it is not known yet.
    """
    rows = slice(backtest.start, backtest.stop)
    score, truth = backtest.score[rows], target[rows]

    def on_the_same(others: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        return {
            name: np.where(np.isfinite(score), values[rows], np.nan)
            for name, values in others.items()
        }

    simple = on_the_same(simple_scores(panel, market))
    beyond = without(score, list(simple.values()))
    scores = {"scores": score, **simple, "beyond": beyond, **on_the_same(backtest.learned)}
    tables = {
        metric: _of_dates(panel.timestamps[rows], scores, truth, of)
        for metric, of in COEFFICIENTS.items()
    }
    return tables if all(len(table) for table in tables.values()) else None


def _of_dates(
    dates: pd.DatetimeIndex,
    scores: Mapping[str, NDArray[np.float64]],
    truth: NDArray[np.float64],
    of: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
) -> pd.DataFrame:
    """One coefficient of every score, at the dates at which there is any."""
    table = pd.DataFrame({name: of(each, truth) for name, each in scores.items()})
    known = table.notna().any(axis=1)
    if (said := table["scores"].notna()).any():
        known = said  # all of them on the dates at which the scores said anything
    table.insert(0, "date", dates)
    return table[known].reset_index(drop=True)


def simple_scores(panel: Panel, market: Market) -> dict[str, NDArray[np.float64]]:
    """Scores (T, N) that anyone has without a model; NaN without history.

    Minus the volatility of a bar, the return of the last twelve months but one, and minus that of
    the last month.
    """
    year, month = market.bars_per_year, market.bars_per_year // 12
    return {
        "minus_sigma": -volatility(panel),
        "momentum": earned(panel, year, month),
        "reversal": -earned(panel, month, 0),
    }


def shortened(lines: list[str], shown: int = 10) -> list[str]:
    """The first lines, and how many there are more."""
    more = len(lines) - shown
    return lines if more <= 0 else [*lines[:shown], f"and {more} symbols more are held out in part"]


def warnings_of(panel: Panel, backtest: Backtest, market: Market) -> list[str]:
    """What a reader must know before believing the numbers."""
    warnings = [HINDSIGHT] if never_delisted(panel) else []
    if market.synthetic:
        warnings = [PLANTED]
    if panel.total_return_units:
        warnings.append(
            "no corporate actions are known: prices are taken as total-return units, pay no "
            "dividends, and lots and minimum orders are not those of the time"
        )
    warnings += shortened(held_out(panel))
    if len(panel.symbols) == 1:
        warnings.append(
            "of one symbol there is nothing to choose: every score is the market's alone, and the "
            "benchmark is held"
        )
    elif len(panel.symbols) < 20:
        a_year = market.bars_per_year / market.horizon
        years = years_to_tell(0.02, len(panel.symbols), a_year)
        few = (
            f"{len(panel.symbols)} symbols are too few to show a skill at choosing among them (an "
            f"information coefficient of 0.02 takes {years:.0f} years)"
        )
        if len(panel.symbols) < MIN_CROSS_SECTION and not _ever_differ(backtest.score):
            few += ": below 8 every score is the market's alone, and the benchmark is held"
        warnings.append(few)
    warnings += _raised_cap(backtest.strategy, market)
    warnings.append(_sizing(backtest, market))
    warnings += _rules_tripped(backtest)
    if backtest.variants is not None:
        ratios = (
            annual_sharpe(each, market)
            for each in (backtest.variants.one_bar_late, backtest.strategy)
        )
        late, own = (f"{each:.2f}" if np.isfinite(each) else "undefined" for each in ratios)
        if late != own:
            warnings.append(
                f"traded on yesterday's scores the Sharpe ratio is {late} instead of {own}"
            )
    return warnings


def _ever_differ(score: NDArray[np.float64]) -> bool:
    """Whether scores (T, N) prefer one symbol to another at any date."""
    low, high = np.where(np.isnan(score), np.inf, score), np.where(np.isnan(score), -np.inf, score)
    return bool((high.max(axis=1) > low.min(axis=1)).any())


def _raised_cap(result: BacktestResult, market: Market) -> list[str]:
    """Where symbols are so few that more may be put into one than the profile says."""
    profile, most = profile_of(market), float(result.log["symbol_cap"].max())
    if most <= profile.symbol_cap:
        return []
    return [
        f"one symbol may be {most:.1%} of the book and not {profile.symbol_cap:.1%}, as "
        f"the profile {profile.name} has it: there are too few to spread over"
    ]


def _sizing(backtest: Backtest, market: Market) -> str:
    """Which share of the tilt held, and how often: what past predictions allowed."""
    profile = profile_of(market)
    decided = slice(backtest.start, backtest.stop - 1)
    held = shares_in_force(backtest.evidence, profile)[decided]
    words = {
        "starting": f"{profile.starting_cap:.0%} of it, for want of {EVIDENCE_DAYS} days of past "
        f"predictions on {MINIMUM_SYMBOLS} symbols",
        "evidence": "what past predictions allowed",
        "floor": f"the floor of {profile.kelly_floor:.0%}, as past predictions were bad",
        "whole": "all of it",
    }
    shares = {text: float((held == name).mean()) for name, text in words.items()}
    parts = [f"on {share:.0%} of the bars {text}" for text, share in shares.items() if share > 0]
    if not parts:
        return "Kelly cap: no bar was decided on"
    return (
        "Kelly cap, how much is traded of the tilt, which is how far the scores ask to move from "
        f"the benchmark: {'; '.join(parts)}"
    )


def never_delisted(panel: Panel) -> bool:
    """Whether every symbol trades until the end: a universe of survivors."""
    return bool(panel.traded[-5:].any(axis=0).all())


def _rules_tripped(backtest: Backtest) -> list[str]:
    """How often each alarm of the account went off, and where nothing came of it."""
    final, own = backtest.strategy.log[-1], backtest.strategy.equity
    idle = {k for k, bare in backtest.without_rules.items() if np.array_equal(own, bare)}
    trips = (
        ("drawdown_half", "halving", int(final["halvings"])),
        ("drawdown_flat", "halving", int(final["flattenings"])),
        ("turbulence", "turbulence", int(final["breaks"])),
    )
    return [
        f"risk rule {rule_name(name)} tripped {'once' if count == 1 else f'{count} times'}"
        + (", and changed no order" if rule in idle else "")
        for name, rule, count in trips
        if count
    ]


def annual_sharpe(result: BacktestResult, market: Market) -> float:
    """Sharpe ratio of daily returns, a year, over a zero rate; NaN when nothing moved."""
    return float(sharpe(_returns(result), market.days_per_year))


def _returns(result: BacktestResult) -> NDArray[np.float64]:
    return daily_returns(result.equity, day_closes(result.timestamps))
