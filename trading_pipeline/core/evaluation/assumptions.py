"""On what terms the figures of a report are to be read, a sentence each."""

from trading_pipeline.core.evaluation.confidence import CONFIDENCE
from trading_pipeline.core.market.market import Market


def assumptions(market: Market, capital: float) -> list[str]:
    """Costs, rates, days, and what an account starts with, in quote currency."""
    costs = market.costs
    return [
        f"Each trade pays a fee of {costs.fee * 1e4:g} bp and slippage of "
        f"{costs.slippage * 1e4:g} bp; shorts pay {costs.borrow:.2%} a year.",
        f"Sharpe ratios are over a zero rate; idle cash earns 0, debit cash pays "
        f"{costs.debit:.1%} a year.",
        f"Statistics are of daily closes, {_year(market)}; starting "
        f"capital {capital:,.0f}; a prediction looks {market.horizon} bars ahead.",
        "The Sharpe ratio of a book that never trades counts as 0 in a difference.",
    ]


def how_sure(replications: int, block: int) -> str:
    """What intervals are made of; the mean block is in days."""
    return (
        f"Intervals are at {100 * CONFIDENCE:.0f} %: a stationary bootstrap of {replications:,} "
        f"histories, the same days for all books, in blocks of {block} days on average; for "
        "volatility, turnover, exposure, information coefficients, heads and the alpha over all "
        "rules, errors of Newey and West."
    )


def _year(market: Market) -> str:
    """'252 days a year', or how many days and bars of a year were counted."""
    if market.measured_bars_per_year is None:
        return f"{market.days_per_year} days a year"
    return (
        f"{market.days_per_year} days and {market.bars_per_year:,} bars a year, as counted in the "
        f"bars, which the calendar {market.calendar} does not fit"
    )
