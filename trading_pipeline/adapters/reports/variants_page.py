"""The section of the report that asks how far the result depends on one thing.

Tables state what report.json holds of it: costs, capital, profiles, sides and seeds.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from trading_pipeline.adapters.reports.html import bullets, number_cell, section, table, with_line
from trading_pipeline.adapters.reports.text import (
    capacity_sentence,
    costs_sentence,
    in_currency,
    rounded_money,
    written,
)
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.metrics import METRICS
from trading_pipeline.core.evaluation.verdict import titled

_OF_PROFILES = ("sharpe", "annual_return", "annual_volatility", "max_drawdown", "win_rate")
_OF_SIDES = ("sharpe", "annual_return", "annual_volatility", "max_drawdown")
_OF_PATHS = ("sharpe", "annual_return")


def one_thing_changed(summary: Summary) -> str:
    """The section, with a table for whatever was run."""
    sentences = [costs_sentence(summary), capacity_sentence(summary)]
    return section(
        "With one thing changed",
        "The same predictions traded once more, and below each value its 95 % interval on the same "
        "resampled days. Costs are those of trading: fees, slippage and impact.",
        bullets(sentence for sentence in sentences if sentence),
        _costs(summary),
        _capacity(summary),
        _profiles(summary),
        _sides(summary),
        _seeds(summary),
    )


def _costs(summary: Summary) -> str:
    costs = summary["costs"]
    if "multiples" not in costs:
        return ""
    rows = [
        [
            f"{row['multiple']:g}\N{NO-BREAK SPACE}×",
            number_cell("sharpe", row["sharpe_difference"], "+"),
            *_path(row),
        ]
        for row in costs["multiples"]
    ]
    late = costs["one_bar_late"]
    delay = f"{number_cell('sharpe', late['sharpe_difference'], '+')}<small>against on time</small>"
    name = with_line("One bar later", "Decided on yesterday's scores.")
    rows.append([name, delay, *_path(late)])
    against = f"Sharpe ratio against {escape(titled(summary['benchmark']))}"
    return f"<h3>Costs and delay</h3>{table(['Costs', against, *_path_heads()], rows)}"


def _capacity(summary: Summary) -> str:
    found = summary["capacity"]
    if found is None:
        return ""
    rows = [[rounded_money(row["capital"]), *_path(row)] for row in found["capitals"]]
    head = in_currency("Capital", summary)
    said = (
        "<p class='quiet'>With market impact by the square-root law, coefficient "
        f"{found['impact']:g}: orders of a tenth of a bar's volume lose a third of its volatility "
        "times that.</p>"
    )
    return f"<h3>Capital</h3>{said}{table([escape(head), *_path_heads()], rows)}"


def _profiles(summary: Summary) -> str:
    return _accounts("Risk profiles", "Profile", summary["profiles"], _OF_PROFILES)


def _sides(summary: Summary) -> str:
    """Nothing where only one side was held: it is the account."""
    sides = summary["sides"]
    if sides is None or not all(each["money"] for each in sides.values()):
        return ""
    return _accounts("Long and short apart", "Side", sides, _OF_SIDES)


def _seeds(summary: Summary) -> str:
    rows = [[escape(seed), *_path(row)] for seed, row in summary["seeds"].items()]
    if not rows:
        return ""
    return f"<h3>Each network by itself</h3>{table(['Seed', *_path_heads()], rows)}"


def _accounts(
    heading: str, of: str, accounts: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]
) -> str:
    """A row for each of some accounts, a column for each metric."""
    if not accounts:
        return ""
    rows = [
        [escape(name.capitalize()), *(number_cell(metric, numbers[metric]) for metric in metrics)]
        for name, numbers in accounts.items()
    ]
    return f"<h3>{heading}</h3>{table([of, *(METRICS[each].label for each in metrics)], rows)}"


def _path_heads() -> list[str]:
    return [METRICS[name].label for name in (*_OF_PATHS, "turnover")]


def _path(row: Mapping[str, Any]) -> list[str]:
    values = [number_cell(name, row[name]) for name in _OF_PATHS]
    return [*values, written("turnover", row["turnover"])]
