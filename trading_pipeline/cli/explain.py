"""The command that says why: what was known, decided and done about a symbol at a bar."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import Capital, MarketName, Model, Preset
from trading_pipeline.core.market.market import unknown_symbol
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
    session: Annotated[
        str, typer.Option(help="A paper session, explained from what it recorded.")
    ] = "",
    preset: Preset = None,
    model: Model = None,
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
    vetoes.csv beside the report, for the capital that the report was made with. A paper session
    (`--session`) is run again on its recording, with its own capital and fills.

    - `trading-pipeline explain --at 2011-08-08 --symbol AAPL` why AAPL was, or was not, traded
    - `trading-pipeline explain --at 2011-08-08` the whole decision of that close
    - `trading-pipeline explain --at 2011-08-08 --symbol AAPL --json | jq .steps`
    - `trading-pipeline explain --at 2011-08-08 --symbol AAPL --session paper` why a session did so

    How to read it: *From score to target* goes step by step from the network's score to the weight
    asked for. A step marked `cuts` is a limit that bound, beside its figure and the limit. What a
    rule refused is under *Vetoes*. A decision is filled at the next open: *What became of it*.
    """
    if symbol is not None and not session:  # a session may have traded another list
        known = settings_of(market).market(market)
        if symbol not in known.symbols:
            raise unknown_symbol(market, symbol, known.symbols)
    stamp, day = _instant(at)
    from trading_pipeline.adapters.reports.explanation import overview_section, sections_of
    from trading_pipeline.core.explain.explanation import explain as why
    from trading_pipeline.core.explain.explanation import overview
    from trading_pipeline.core.learning.dataset import burn_in
    from trading_pipeline.core.trading.to_dict import to_json

    run, grid, window = (
        _session(market, preset, model, session)
        if session
        else _rerun(market, preset, model, capital)
    )
    k = run.bar(stamp, day)
    found: Any
    if symbol is None:
        bar = run.result.timestamps[k]
        lines = overview(run, k)
        found = {"market": run.market.name, "bar": bar, "symbols": lines}
        sections = [overview_section(run, k, lines)]
    else:
        found = why(run, k, run.column(symbol), grid, burn_in(window), window)
        sections = list(sections_of(found, all_features))
    if as_json:
        text = json.dumps(to_json(found), indent=2, ensure_ascii=False, allow_nan=False)
        typer.echo(text)
    else:
        print_sections(sections)


def _instant(text: str) -> tuple[Any, bool]:
    """The UTC instant meant, and whether it is a whole day."""
    import pandas as pd

    try:
        stamp = pd.Timestamp(datetime.fromisoformat(text))
    except ValueError:
        raise SettingsError(
            f"--at {text!r} is no date; write it like 2011-08-08 or 2024-01-02T15:00"
        ) from None
    naive = stamp.tz is None
    day = len(text) <= len("2011-08-08")
    return (stamp.tz_localize("UTC") if naive else stamp.tz_convert("UTC")), day


def _rerun(
    name: str, preset: str | None, model: str | None, capital: float
) -> tuple[Any, Any, int]:
    """The strategy run again, the features it was decided on, and the bars of a window."""
    from trading_pipeline.adapters.terminal import working
    from trading_pipeline.core.backtest.rerun import Rerun
    from trading_pipeline.definitions import home_of, plan_of
    from trading_pipeline.steps.freshness import predicted

    settings = settings_of(name, preset, model)
    plan = plan_of(settings, name)
    home = home_of(settings)
    with working(f"{name}: the strategy once more"):
        data, folds = predicted(home, plan)
        predictions = home.predictions(plan.market).read(folds)
        run = Rerun.of(data.panel, predictions, data.eligible, plan.market, capital)
    return run, data.grid, plan.recipe.model.n_steps


def _session(
    name: str, preset: str | None, model: str | None, session: str
) -> tuple[Any, Any, int]:
    """The same of a paper session: its account, and the features of the bars that it saw."""
    from trading_pipeline.adapters.terminal import working
    from trading_pipeline.core.features.grid import feature_grid
    from trading_pipeline.core.learning.dataset import features_of
    from trading_pipeline.definitions import home_of, plan_of
    from trading_pipeline.steps.past_session import PastSession, eligibility_of

    settings = settings_of(name, preset, model)
    plan, home = plan_of(settings, name), home_of(settings)
    market, window = plan.market, plan.recipe.model.n_steps
    with working(f"{name}: the session {session} once more"), home.ledger() as ledger:
        able = eligibility_of(window)
        past = PastSession.read(ledger, market, home.recordings(market), session, able)
        run = past.rerun(market)
        features = features_of(run.panel, market.calendar)
        grid = feature_grid(features, run.panel.timestamps, run.panel.symbols)
    return run, grid, window


def print_sections(sections: list[Any]) -> None:
    """Tables in a terminal, aligned text elsewhere."""
    from rich.console import Console

    from trading_pipeline.adapters.reports.explanation import plain_text, rich_table

    console = Console(highlight=False)
    for section in sections:
        if console.is_terminal:
            console.print(rich_table(section))
            console.print()
        else:
            typer.echo(f"{plain_text(section)}\n")
