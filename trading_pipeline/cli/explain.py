"""The command that says why: what was known, decided and done about a symbol at a bar."""

import json
import math
from dataclasses import asdict
from typing import Annotated, Any

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import Capital, MarketName, Preset
from trading_pipeline.errors import SettingsError


def explain(
    at: Annotated[
        str,
        typer.Option(
            help="The bar that was decided on: its day, 2011-08-08 (of several bars the last one), "
            "or the instant it opens, 2024-01-02T15:00; UTC unless an offset is given.",
            show_default=False,
        ),
    ],
    symbol: Annotated[
        str | None, typer.Option(help="One symbol in full; without it, one line for each.")
    ] = None,
    market: MarketName = "sample",
    preset: Preset = None,
    capital: Capital = 100_000.0,
    all_features: Annotated[
        bool, typer.Option("--all-features", help="All features, not the most unusual ones alone.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything as one JSON document, for machines.")
    ] = False,
) -> None:
    """Say why an order was made, or none: features, prediction, rules, target, order, fill.

    The strategy of the backtest is run again on the stored predictions, which takes a moment, and
    its records are read; nothing is written. Numbers are those of orders.csv, fills.csv and
    vetoes.csv beside the report, for the capital that the report was made with.

    - `trading-pipeline explain --at 2011-08-08 --symbol AAPL` why AAPL was, or was not, traded
    - `trading-pipeline explain --at 2011-08-08` the whole decision of that close
    - `trading-pipeline explain --at 2011-08-08 --symbol AAPL --json | jq .steps`

    How to read it: *From score to target* goes step by step from the network's score to the weight
    asked for. A step marked `cuts` is a limit that bound, beside its figure and the limit. What a
    rule refused is under *Vetoes*. A decision is filled at the next open: *What became of it*.
    """
    stamp, day = _instant(at)
    run, data, window = _rerun(market, preset, capital)
    k = run.bar(stamp, day)
    if symbol is None:
        _print_bar(run, k, as_json)
        return
    from trading_pipeline.core.explain.explanation import explain as why
    from trading_pipeline.core.learning.dataset import burn_in

    _print_symbol(
        why(run, k, run.column(symbol), data.grid, burn_in(window), window), all_features, as_json
    )


def _instant(text: str) -> tuple[Any, bool]:
    """The UTC instant meant, and whether it is a whole day."""
    import pandas as pd

    try:
        stamp = pd.Timestamp(text)
    except ValueError:
        stamp = pd.NaT
    if pd.isna(stamp):
        raise SettingsError(
            f"--at {text!r} is no date; write it like 2011-08-08 or 2024-01-02T15:00"
        )
    naive = stamp.tz is None
    day = naive and ":" not in text
    return (stamp.tz_localize("UTC") if naive else stamp.tz_convert("UTC")), day


def _rerun(name: str, preset: str | None, capital: float) -> tuple[Any, Any, int]:
    """The strategy run again, the dataset it was decided on, and the bars of a window."""
    from trading_pipeline.adapters.terminal import working
    from trading_pipeline.core.backtest.rerun import Rerun
    from trading_pipeline.definitions import home_of, plan_of
    from trading_pipeline.steps.freshness import predicted

    settings = settings_of(name, preset)
    plan = plan_of(settings, name)
    home = home_of(settings)
    with working(f"{name}: the strategy once more"):
        data, folds = predicted(home, plan)
        predictions = home.predictions(plan.market).read(folds)
        run = Rerun.of(data.panel, predictions, data.eligible, plan.market, capital)
    return run, data, plan.recipe.model.n_steps


def _print_bar(run: Any, k: int, as_json: bool) -> None:
    """Every symbol of a bar."""
    from trading_pipeline.cli.explain_text import instant, lines_of
    from trading_pipeline.core.explain.explanation import overview

    lines, bar = overview(run, k), run.book.timestamps[k]
    log = run.book.log[k]
    title = (
        f"{run.market.name}, decided at the close of {instant(bar)}: equity {log['equity']:,.2f}, "
        f"drawdown {log['drawdown']:.1%}, Kelly cap {log['kelly_cap']:.0%}"
    )
    if as_json:
        _print_json({"market": run.market.name, "bar": bar, "symbols": [asdict(x) for x in lines]})
        return
    _print([lines_of(lines, title)])


def _print_symbol(why: Any, all_features: bool, as_json: bool) -> None:
    """One symbol in full."""
    from trading_pipeline.cli.explain_text import Section, instant, sections_of

    if as_json:
        _print_json(_plain(why))
        return
    title = f"{why.symbol} in {why.market}, decided at the close of {instant(why.bar)}"
    answer = Section(title, ("",), [(why.answer,)])
    _print([answer, *sections_of(why, all_features)])


def _print(sections: list[Any]) -> None:
    """Tables in a terminal, aligned text elsewhere."""
    from rich.console import Console

    from trading_pipeline.cli.explain_text import plain_text, rich_table

    console = Console(highlight=False)
    for section in sections:
        if console.is_terminal:
            console.print(rich_table(section))
            console.print()
        else:
            typer.echo(f"{plain_text(section)}\n")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """As JSON takes it: instants as ISO text, missing numbers as null, no limit as "inf"."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
