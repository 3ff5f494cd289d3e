"""The strategy once more with one thing changed: costs, capital, profile, delay, or seed.

The same predictions, sized and guarded as ever. Letters: K bars, T rows of the panel, N symbols.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trading_pipeline.core.backtest.baselines import BENCHMARK, RULE_BASELINES, Span
from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.paths import Paths, trade_paths
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.kelly import kelly_evidence
from trading_pipeline.core.trading.profiles import PROFILES, profile_of
from trading_pipeline.core.trading.terms import Terms

MULTIPLES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the costs of trading
CAPITALS = tuple(10.0**power for power in range(7))  # multiples of the account's own
SQUARE_ROOT_LAW = 1.0  # its coefficient, for a market whose costs have no impact: of order one
CUT = 0.05  # share of the orders that the participation cap cuts where capacity is reached
_TRADING = ("fee", "maker_fee", "fee_per_share", "minimum_fee", "slippage", "impact")
_PREDICTED = ("score", "half_life", "forecast")  # of the inputs


@dataclass(frozen=True, kw_only=True, eq=False)
class Variants:
    """The strategy, each time with one thing changed."""

    one_bar_late: BacktestResult  # the latency check: decided on yesterday's scores
    multiples: tuple[float, ...]  # M, of the costs of trading, increasing from 0
    at_costs: Paths  # (M, K)
    benchmark_at_costs: Paths  # (M, K) of the benchmark, at the same costs
    capitals: tuple[float, ...]  # C, quote currency, increasing from the account's own
    at_capitals: Paths  # (C, K), with impact
    cut_from: float | None  # capital at which volume cuts one order in twenty; None: no limit
    impact: float  # coefficient of the square-root law at those capitals


def variants_of(
    basis: Basis, terms: Terms, strategy: BacktestResult, benchmark: BacktestResult
) -> Variants:
    """Trade the strategy a bar late, at other costs and with other capital.

    At other costs it knows what it pays: the no-trade region and Kelly's evidence follow, as they
    would for whoever had to pay that. Rates of holding (borrow, funding, debit) stay.

    Args:
        terms: of the strategy. strategy, benchmark: what they came to under them, which is what
            they come to at 1 times the costs.
    """
    multiples = tuple(each for each in MULTIPLES if bearable(terms.costs, each))
    capitals = tuple(each * terms.capital for each in CAPITALS)
    impact = terms.costs.impact or SQUARE_ROOT_LAW
    moved = replace(terms, costs=replace(terms.costs, impact=impact))
    return Variants(
        one_bar_late=one_bar_late(basis, terms),
        multiples=multiples,
        at_costs=at_costs(basis, terms, multiples, strategy),
        benchmark_at_costs=benchmark_at_costs(basis, terms, multiples, benchmark),
        capitals=capitals,
        at_capitals=at_capitals(basis, moved, capitals),
        cut_from=cut_from(strategy, basis.panel, basis.start, terms),
        impact=impact,
    )


def one_bar_late(basis: Basis, terms: Terms) -> BacktestResult:
    """The strategy on all that was predicted at the bar before, with the evidence of just that.

    Scores that are good for one bar alone have earned nothing by then, and whoever came late would
    have seen it.
    """
    late: dict[str, Any] = {name: _a_bar_late(getattr(basis.inputs, name)) for name in _PREDICTED}
    own = kelly_evidence(basis.panel, basis.prepared, replace(basis.inputs, **late), terms)
    return basis.trade(terms, **late, kelly=own.share)


def _a_bar_late(values: np.ndarray | None) -> np.ndarray | None:
    """(T, ...), each row a bar later; None stays."""
    if values is None:
        return None
    return np.concatenate([np.full((1, *values.shape[1:]), np.nan), values[:-1]])


def at_costs(
    basis: Basis, terms: Terms, multiples: tuple[float, ...], strategy: BacktestResult
) -> Paths:
    """The strategy at these multiples of the costs of trading, each with its own evidence."""
    under = _at_other_costs(terms, multiples)
    others = trade_paths(basis, under, [_share(basis, each) for each in under])
    return others.with_result(strategy, multiples.index(1.0))


def benchmark_at_costs(
    basis: Basis, terms: Terms, multiples: tuple[float, ...], benchmark: BacktestResult
) -> Paths:
    """The benchmark, which nothing manages, at these multiples of the costs of trading."""
    span = Span(basis.start, basis.stop, terms.bars_per_year)
    weights = RULE_BASELINES[BENCHMARK](basis.panel, basis.eligible, span)
    inputs = replace(basis.inputs, score=None, forecast=None, weights=weights)
    under = _at_other_costs(replace(terms, profile=None), multiples)
    others = trade_paths(basis, under, [_no_evidence(basis)] * len(under), inputs=inputs)
    return others.with_result(benchmark, multiples.index(1.0))


def _at_other_costs(terms: Terms, multiples: tuple[float, ...]) -> list[Terms]:
    """Under each of the multiples but 1."""
    return [
        replace(terms, costs=costs_times(terms.costs, each)) for each in multiples if each != 1.0
    ]


def at_capitals(basis: Basis, terms: Terms, capitals: tuple[float, ...]) -> Paths:
    """The strategy with this much money each; its evidence does not depend on that."""
    kelly = basis.inputs.kelly
    shares = [_no_evidence(basis) if kelly is None else kelly] * len(capitals)
    return trade_paths(basis, [replace(terms, capital=each) for each in capitals], shares)


def profiles_of(
    basis: Basis, market: Market, terms: Terms, own: BacktestResult
) -> dict[str, BacktestResult]:
    """The strategy under each of PROFILES: its own result under the market's own one.

    The others are as they come: `limits` of the market belong to the profile that it names. A
    profile that may not be short is none for a neutral mandate, and is left out.
    """
    results = {}
    for name in PROFILES:
        if name == market.profile:
            results[name] = own
            continue
        profile = profile_of(replace(market, profile=name, limits={}))
        if terms.mandate == "neutral" and profile.long_only:
            continue
        under = replace(terms, profile=profile)
        results[name] = basis.trade(under, kelly=_share(basis, under))
    return results


def bearable(costs: Costs, multiple: float) -> bool:
    """Whether costs may be so many times what they are: `Costs` refuses what nobody pays."""
    try:
        costs_times(costs, multiple)
    except ValueError:
        return False
    return True


def costs_times(costs: Costs, multiple: float) -> Costs:
    """The costs of trading so many times over; rates of holding stay as they are."""
    known = {name: getattr(costs, name) for name in _TRADING}
    changed: dict[str, Any] = {k: v * multiple for k, v in known.items() if v is not None}
    return replace(costs, **changed)


def cut_from(result: BacktestResult, panel: Panel, start: int, terms: Terms) -> float | None:
    """The capital at which the participation cap cuts one order in twenty; None: there is no cap.

    Orders grow with the capital and the volume does not: where 95 % of the fills took less than a
    share s of their bar's volume, that is capital × cap / s.

    Args:
        result: of `terms`, from row `start` of the panel on.
    """
    fills = result.events[(result.events["slot"] == 0) & (result.events["quantity"] != 0)]
    volume = panel.volume[start + fills["bar"], fills["symbol"]]
    known = volume > 0
    if not known.any() or np.isinf(terms.costs.participation):
        return None
    taken = np.abs(fills["quantity"][known]) / volume[known]
    return float(terms.capital * terms.costs.participation / np.quantile(taken, 1 - CUT))


def _share(basis: Basis, terms: Terms) -> np.ndarray:
    """(T,) of the tilt that evidence allows under these terms."""
    return kelly_evidence(basis.panel, basis.prepared, basis.inputs, terms).share


def _no_evidence(basis: Basis) -> np.ndarray:
    return np.full(len(basis.panel.timestamps), np.nan)
