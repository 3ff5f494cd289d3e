"""The catalog as a page to read: docs/features.md is this text, and a test holds it to that."""

from collections.abc import Iterable

from trading_pipeline.core.features.catalog import CATALOG, LOOKBACK
from trading_pipeline.core.features.feature import FAMILIES, Feature

COLUMNS = ("feature", "formula", "parameters", "lookback", "unit", "range", "source")

_FAMILIES = {
    "price": "Returns, bars and extremes, in units of the symbol's own volatility.",
    "trend": "Where price stands against its averages, and how straight it runs.",
    "momentum": "How fast price has been moving, on bounded scales.",
    "volatility": "How much price moves, and whether that is changing.",
    "volume": "Whether trading confirms price.",
    "cross_section": "Where a symbol stands among all symbols with a bar at the same date.",
    "market": "What all symbols did together; the same for every symbol of a date.",
    "calendar": "Known in advance; the market's own clock.",
}

_NOTATION = """\
- `O`, `H`, `L`, `C`, `V` are open, high, low, close and volume of the bar, adjusted for splits and
  dividends; `TP` is the typical price, (H + L + C) / 3. `[t]` is the bar that the value belongs to,
  and is left out where every term is of that bar.
- **σ** is the standard deviation of the last 63 close-to-close log returns. A move over n bars is
  divided by σ √n, so that 1 is an ordinary move whatever the symbol and the span. **ATR** is
  Wilder's average true range.
- **Parameters** are given to the formula by name. `memory` is how many bars an average that never
  quite forgets is restarted on, so that a value is the same wherever the history starts.
- **Lookback** is how many bars a value is made of, its own included; the longest is {lookback}.
- **Range** is what the value is clipped into. A bounded indicator reaches its ends by itself.
- **Unit**: none is a price, a number of shares or a currency. All prices, or all volumes, of a
  symbol can be multiplied by a constant, and no feature changes.
"""

_PROPERTIES = """\
- **Causal.** A value uses bars at or before its own. Cutting off the future, or replacing it by
  noise, changes no bit of the past; this is checked on the real bars before anything is trained.
- **Missing stays missing.** A value is missing (NaN) before the symbol has its lookback, and where
  there is no answer: shares of volume while nothing is traded, ranks of fewer than eight symbols.
  Nothing is filled in, forwards or backwards. Over a gap, a symbol's own bars follow one another.
- **A market that has not moved** reads neutral: the middle of a bounded scale, 0 elsewhere; both
  Aroon lines read 1, for its newest bar is a highest and a lowest one.
- **Scaling.** Indicators are computed in float64 and stored as float32, unscaled. What a network
  sees is scaled with figures of its own training window, which travel in its checkpoint.
- **Proven.** Every feature equals TA-Lib, pandas, scipy or a worked example to 1e-9; those that
  depend on the path equal TA-Lib on the same window.
"""

_INTRO = """\
# Features

<!-- Written by `make docs` from the catalog in trading_pipeline/core/features; do not edit. -->

{count} features of every bar, in the order of the columns of the feature store. The catalog is the
schema: the table in DuckDB, the inputs of the network and this page are all made from it, and
stored features of another catalog are never mixed with these.

## How to read the tables

{notation}
## What is true of all of them

{properties}
How well they are covered, how far they drift and what they had to do with returns is on
`features.html` beside each backtest report. `trading-pipeline features` prints these tables.
"""


def catalog_page() -> str:
    """The whole page, Markdown, one table a family."""
    written = _NOTATION.format(lookback=LOOKBACK)
    parts = [_INTRO.format(count=len(CATALOG), notation=written, properties=_PROPERTIES)]
    for family in FAMILIES:
        mine = [feature for feature in CATALOG if feature.family == family]
        parts.append(
            f"\n## {family.replace('_', ' ').capitalize()}\n\n{_FAMILIES[family]}\n\n{_table(mine)}"
        )
    return "".join(parts)


def notation() -> list[str]:
    """What letters and columns of the formulas mean: a line of Markdown each."""
    return _lines(_NOTATION.format(lookback=LOOKBACK))


def properties() -> list[str]:
    """What is true of every feature: a line of Markdown each."""
    return _lines(_PROPERTIES)


def _lines(bullets: str) -> list[str]:
    return [" ".join(line.split()) for line in bullets.removeprefix("- ").split("\n- ")]


def cells(feature: Feature) -> tuple[str, ...]:
    """One feature in words, by `COLUMNS`."""
    parameters = ", ".join(f"{name} {value}" for name, value in feature.parameters.items())
    return (
        feature.name,
        feature.formula,
        parameters,
        str(feature.lookback),
        feature.scale.unit,
        f"[{feature.scale.low:g}, {feature.scale.high:g}]",
        feature.source,
    )


def _table(features: Iterable[Feature]) -> str:
    rows: list[tuple[str, ...]] = [COLUMNS, ("---",) * 3 + ("---:",) + ("---",) * 3]
    for feature in features:
        name, formula, *rest = map(_escaped, cells(feature))
        rows.append((f"`{name}`", formula, *rest))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _escaped(text: str) -> str:
    """What Markdown would read as a column or as emphasis is escaped; |r| is common in formulas."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
