"""What a report is about: whose scores, on which market, at what costs, and what became of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.market.market import Market

if TYPE_CHECKING:
    from trading_pipeline.core.evaluation.summary import EvaluationInputs

_DOLLARS = ("XNYS", "XNAS", "XASE")  # calendars of markets whose prices are in US dollars


def subject(inputs: "EvaluationInputs", days: int) -> dict[str, object]:
    """Keys market, synthetic, traded, period, model, origin, choices, starts, validation."""
    market = inputs.market
    return {
        "market": market.name,
        "synthetic": market.synthetic,
        "traded": {
            "symbols": list(market.symbols),
            "currency": currency(market),
            "timeframe": market.timeframe,
            "calendar": market.calendar,
            "mandate": market.mandate,
            "profile": market.profile,
            "capital": inputs.capital,
            "fee": market.costs.fee,
            "slippage": market.costs.slippage,
            "impact": market.costs.impact,
        },
        "period": {
            "start": inputs.timestamps[0].isoformat(),
            "end": inputs.timestamps[-1].isoformat(),
            "bars": len(inputs.timestamps),
            "days": days,
        },
        "model": inputs.model,
        "origin": inputs.origin,
        "choices": dict(inputs.choices),
        "starts": dict(inputs.starts),
        "validation": {fold: each.to_dict() for fold, each in inputs.validation.items()},
    }


def currency(market: Market) -> str | None:
    """What prices are in: the quote of pairs such as BTC/USDT, US dollars in New York; or None."""
    quotes = {symbol.split(":")[0].partition("/")[2] for symbol in market.symbols}
    if len(quotes) == 1 and (quote := quotes.pop()):
        return quote
    return "USD" if market.calendar in _DOLLARS else None


def end_values(
    inputs: "EvaluationInputs", known: Mapping[str, Mapping[str, Estimate]], days: int
) -> dict[str, dict[str, float | None]]:
    """Equity at the end, of the strategy and of its benchmark, in quote currency.

    The interval is that of the return a year, compounded over as many days.
    """
    accounts = {"strategy": inputs.strategy, inputs.benchmark: inputs.baselines[inputs.benchmark]}
    years = days / inputs.market.days_per_year
    found = {}
    for name, account in accounts.items():
        a_year, start = known[name]["annual_return"], float(account.equity[0])
        low, high = (start * (1 + end) ** years for end in (a_year.low, a_year.high))
        found[name] = Estimate(float(account.equity[-1]), low, high).to_dict()
    return found
