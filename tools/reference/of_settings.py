"""Every setting: key, type, default and meaning, from the pydantic models and the profiles."""

from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from tables import NOTE, cell, table

from trading_pipeline import settings, settings_markets
from trading_pipeline.core.market.market import _USUAL_TERMS
from trading_pipeline.core.trading.profiles import LIMITS, PROFILES

_SECTIONS = {
    "Of everything": (settings.Settings, "At the top of `pipeline.toml`."),
    "`[markets.NAME]`": (settings_markets.MarketSettings, "One market."),
    "`[markets.NAME.costs]`": (
        settings_markets.CostSettings,
        "What trading costs. Fractions of the value "
        "traded, and not percent; what is of a year says so.",
    ),
    "`[markets.NAME.walk_forward]`": (
        settings_markets.WalkForwardSettings,
        'Spans of training and test, as `"5y"`, `"6mo"` or months.',
    ),
    "`[markets.NAME.divergence]`": (
        settings_markets.DivergenceSettings,
        "How far a paper session may be from the backtest.",
    ),
}
_INTRO = """\
Settings are read from `pipeline.toml` in the folder where a command runs (`TP_CONFIG` names
another file), from `.env` beside it, and from the environment. The strongest first: `TP_*`
variables, `.env`, files of secrets in the folder that `TP_SECRETS` names, `pipeline.toml`, the
defaults below. A variable is `TP_` and the key in capitals, with two underscores between the
parts: `TP_MARKETS__SAMPLE__HORIZON=10` is `horizon` below `[markets.sample]`.

Keys, secrets and addresses that may hold a password are refused in `pipeline.toml`. Unknown names
are refused everywhere, with the file and the name. The files `pipeline.toml` and `.env.example`
of the repository are commented examples.
"""


def settings_page() -> str:
    """Every key, with type, default and meaning."""
    parts = ["# Settings\n", f"{NOTE}\n", _INTRO]
    for title, (model, what) in _SECTIONS.items():
        rows = [_setting(name, field) for name, field in model.model_fields.items()]
        parts += [f"## {title}\n", f"{what}\n", table(("key", "type", "default", "meaning"), *rows)]
    return "\n".join([*parts, _usual_terms(), _limits(), _MAPS])


def _setting(name: str, field: Any) -> tuple[str, str, str, str]:
    if field.description is None:
        raise SystemExit(f"{name} has no meaning: write a docstring below it")
    text = cell(field.description)
    return (
        f"`{name}`",
        _kind(field.annotation),
        _default(field),
        text[0].upper() + text[1:].rstrip("."),
    )


_KINDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "date",
    Path: "path",
    SecretStr: "secret",
    tuple: "list of texts",
    dict: "table",
}


def _kind(annotation: Any) -> str:
    """A type as a user would say it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "span" if "months" in str(parts[1:]) else _kind(parts[0])
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in parts)
    if origin in (Union, UnionType):
        (known,) = [each for each in parts if each is not NoneType]
        return _kind(known)
    return _KINDS.get(origin or annotation, "table")


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:g}`"
    return f'`"{value}"`' if isinstance(value, str | Path) else ""


def _usual_terms() -> str:
    rows = [
        (calendar, timeframe, horizon, *(_span(months) for months in spans))
        for calendar, frames in _USUAL_TERMS.items()
        for timeframe, (horizon, *spans) in frames.items()
    ]
    head = ("calendar", "timeframe", "horizon, bars", "first training", "test", "window")
    return (
        "## What is usual\n\n"
        "Of `horizon` and `[markets.NAME.walk_forward]`, where nothing is said; "
        "every exchange has the spans of New York (`XNYS`).\n\n" + table(head, *rows)
    )


def _span(months: int) -> str:
    return f"{months // 12}y" if months % 12 == 0 else f"{months}mo"


def _limits() -> str:
    rows = [
        (f"`{name}`", *(f"{getattr(each, name):g}" for each in PROFILES.values()), meaning)
        for name, meaning in LIMITS.items()
    ]
    return (
        "## Limits\n\n"
        "Of a profile; `[markets.NAME.limits]` changes any of them, and `sweep` tries "
        "several. `inf` switches one off. Coins have a higher `symbol_cap` (0.15, 0.20, 0.30) and "
        "`breaker` (5.5).\n\n" + table(("limit", *PROFILES, "meaning"), *rows)
    )


_MAPS = """\
## Tables of your own names

```toml
[markets.us_equities.benchmark]   # what is held where scores say nothing, by weight
SPY = 1.0

[markets.us_equities.sectors]     # for a shared cap; if not given, groups are found
JPM = "banks"
BAC = "banks"

[markets.mine.options]            # what the class of a source of one's own is called with
folder = "csv"
```
"""
