"""The command that judges a model of anyone's own, by what it predicted."""

from pathlib import Path
from typing import Annotated

import typer

from trading_pipeline.adapters.terminal import say, working
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import CalendarName, Capital, Strict, market_option
from trading_pipeline.cli.panel import bars_of, refuse_files_of_others


def judge(
    predictions: Annotated[
        Path, typer.Option(help="Parquet file or folder: timestamp, symbol, score.")
    ],
    data_path: Annotated[
        Path | None,
        typer.Option(
            help="Bars that they are of: Parquet file or folder.", show_default="those of --market"
        ),
    ] = None,
    market: Annotated[
        str | None,
        market_option(
            "An entry of pipeline.toml: its stored bars, or its settings for --data-path."
        ),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, help="Bars that a score looks ahead.", show_default="the market's"),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Fit the unit of the scores; each only on dates before it."
        ),
    ] = False,
    capital: Capital = 100_000.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report.", show_default="judge/STEM")
    ] = None,
    calendar: CalendarName = None,
    strict: Strict = False,
) -> None:
    """Judge a model of your own: its scores, traded and weighed as the network's are.

    A row is a score that was known at the close of the bar `timestamp` for `symbol`; the fill is at
    the next open. `score` is the return expected beyond the other symbols' over the horizon, in
    units of σ√h (σ: deviation of the last 63 returns); ranks, z-scores and returns need
    --calibrate, which costs the first year. `volatility` (of a bar) and `half_life` (of the scores,
    in bars) may be there. Example:

    - `panel[["timestamp", "symbol"]].assign(score=momentum).to_parquet("mine.parquet")`
    - `trading-pipeline judge --predictions mine.parquet --data-path panel.parquet --calibrate`

    The same rules, costs, baselines, random portfolios (1,000, or as many as about a minute allows)
    and verdicts as of a walk-forward; the report goes to --out, and the trial is counted: each
    table and each setting is one. Nothing can show that a table is out of sample, and the report
    says so; gross leaks are found and named.
    `simulate` trades orders instead, and gives no verdict. Exit code 2: refused, with file, row and
    rule.
    """
    from trading_pipeline.adapters.reports.summary_text import summary_text
    from trading_pipeline.core.evaluation.summary import FOREIGN
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.judge import judge as judged

    settings = settings_of()
    home, folder = home_of(settings), out or Path("judge") / predictions.resolve().stem
    refuse_files_of_others(folder, FOREIGN)
    with working(f"{predictions}: backtest, baselines, random portfolios, report"):
        bars = bars_of(home, settings, data_path, market, calendar, strict)
        done = judged(home, predictions, bars.looking_ahead(horizon), folder, capital, calibrate)
    for note in done.notes:
        say(f"note: {note}")
    typer.echo(summary_text(done.evaluated.summary))
    typer.echo(f"\nReport: {folder / 'report.html'}")
