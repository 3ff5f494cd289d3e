"""What a reader asks first: of what this is a report, and what came out beside the benchmark."""

from html import escape

import pandas as pd

from trading_pipeline.adapters.reports.html import minus, number_cell, section, table
from trading_pipeline.adapters.reports.text import (
    Numbers,
    heading,
    ordinal,
    paired_sentence,
    period,
    written,
)
from trading_pipeline.adapters.reports.unfavourable import DIFFERENCES, unfavourable
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.metrics import METRICS, PAIRED
from trading_pipeline.core.evaluation.summary import WALK_FORWARD
from trading_pipeline.core.evaluation.verdict import titled

_NAMED = 8  # symbols
_BESIDE = ("annual_return", "sharpe", "max_drawdown")
_FEATURES = '<a href="features.html">The features: coverage, drift, what they said</a>'


def header(summary: Summary) -> list[str]:
    """Lines under the name of the market: symbols, dates, model, costs, and what it was made of."""
    lines = [_symbols(summary), period(summary), _terms(summary), _origin(summary)]
    links = [_FEATURES] if summary["origin"] == WALK_FORWARD else []
    return [*(escape(line) for line in lines if line), " ".join(links)]


def _symbols(summary: Summary) -> str:
    traded = summary["traded"]
    symbols, more = traded["symbols"], len(traded["symbols"]) - _NAMED
    named = ", ".join(symbols[:_NAMED]) + (f" and {more:,} others" if more > 0 else "")
    count = "1 symbol" if len(symbols) == 1 else f"{len(symbols):,} symbols"
    return (
        f"{named}: {count}, bars of {traded['timeframe']}, calendar {traded['calendar']}, "
        f"prices in {traded['currency'] or 'quote currency'}"
    )


def _terms(summary: Summary) -> str:
    """'network (preset tiny), long only, profile moderate; capital 100,000; a fee of 5 bp ...'."""
    traded, plan = summary["traded"], summary["lineage"].get("config", {}).get("plan", {})
    model = titled(summary["model"]) + (f" (preset {plan['preset']})" if "preset" in plan else "")
    impact = f", market impact with coefficient {traded['impact']:g}" if traded["impact"] else ""
    return (
        f"Model {model}, mandate {titled(traded['mandate'])}, profile {traded['profile']}; capital "
        f"{traded['capital']:,.0f} {traded['currency'] or ''}".rstrip()
        + f"; each trade pays a fee of {1e4 * traded['fee']:g} bp and slippage of "
        f"{1e4 * traded['slippage']:g} bp{impact}"
    )


def _origin(summary: Summary) -> str:
    """When it was made, from which bars, by which code."""
    lineage = summary["lineage"]
    made, data = lineage.get("made_at"), lineage.get("data")
    at = f"Made {pd.Timestamp(made):%Y-%m-%d %H:%M} UTC" if made else ""
    bars = (
        f"from {data['rows']:,} bars a symbol, {data['first'][:10]} to {data['last'][:10]}"
        if data
        else ""
    )
    code = f"by code {summary['code_version']}" if summary["code_version"] else ""
    hashed = f"data {summary['data_hash'][:12]}" if summary["data_hash"] else ""
    said = ", ".join(part for part in (f"{at} {bars}".strip(), code, hashed) if part)
    return said[:1].upper() + said[1:]


def beside_benchmark(summary: Summary) -> str:
    """Both books' return, Sharpe ratio, fall and end value; the rank; what speaks against it."""
    benchmark = summary["benchmark"]
    rows = [_beside(summary, name) for name in _BESIDE]
    ends = (_money_cell(summary["end_value"][name]) for name in ("strategy", benchmark))
    currency = summary["traded"]["currency"] or ""
    capital = escape(f"{summary['traded']['capital']:,.0f} {currency}".rstrip())
    rows.append([f"End value<small>Of {capital} at the start.</small>", *ends, ""])
    against = unfavourable(summary)
    said = "".join(f"<li>{minus(each)}</li>" for each in against)
    return section(
        f"Strategy and {titled(benchmark)}",
        "After costs, on the same days; below each value its 95 % interval: what the truth may be, "
        "and of the drawdown what another history of as many days would have shown.",
        f'<p class="lead">{minus(paired_sentence(summary))}</p>',
        table(["", "Strategy", escape(heading(benchmark)), "Difference"], rows, "beside"),
        _ranks(summary),
        f'<h3>Worse by more than chance explains</h3><p class="quiet">{DIFFERENCES.capitalize()}.'
        f"</p><ul>{said}</ul>"
        if against
        else "<p>No interval in this report that compares the strategy with a baseline lies wholly "
        "below zero.</p>",
    )


def _beside(summary: Summary, name: str) -> list[str]:
    benchmark = summary["benchmark"]
    books = (summary["strategy"], summary["baselines"][benchmark])
    paired = ""
    if name in PAIRED:
        paired = number_cell(name, summary["paired"][benchmark][f"{name}_difference"], "+")
    metric = METRICS[name]
    label = f"{metric.label}<small>{escape(metric.said)}</small>"
    return [label, *(number_cell(name, book[name]) for book in books), paired]


def _money_cell(numbers: Numbers) -> str:
    value, low, high = (numbers[end] for end in ("value", "low", "high"))
    ends = f"[{low:,.0f}, {high:,.0f}]" if low is not None and high is not None else ""
    return f"<span>{minus(f'{value:,.0f}')}</span><small>{minus(ends)}</small>"


def _ranks(summary: Summary) -> str:
    """Where the result stands among random portfolios, by Sharpe ratio and by return."""
    found, count = summary["random"], summary["random"]["portfolios"]
    shares = {
        "by Sharpe ratio": summary["random_percentile"],
        "by return a year": found["percentile_of_annual_return"],
    }
    if None in shares.values():
        return ""
    below = f"of {count:,} portfolios of random scores on the same bars"
    if (traded := found["turnover"]) is not None:
        below += f", that trade {written('turnover', traded)} a year"
    tiles = (
        f'<div class="tile"><span class="quiet">Among random portfolios, {by}</span>'
        f"<b>{ordinal(round(100 * share))} percentile</b>"
        f'<span class="quiet">{below}</span></div>'
        for by, share in shares.items()
    )
    return f'<div class="tiles">{"".join(tiles)}</div>'
