"""What `train` and `backtest` do with one model of a panel, rather than one for each fold."""

import subprocess
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import typer

from trading_pipeline.adapters.terminal import ProgressBars, say, shown, since, working
from trading_pipeline.cli.panel import bars_of, refuse_files_of_others, stored_in
from trading_pipeline.errors import SettingsError

Given = tuple[str | None, str | None, bool]  # market, calendar, strict


def train_once(
    settings: Any,
    given: Given,
    data_path: Path | None,
    until: date | None,
    model_path: Path | None,
    asked: dict[str, Any],
) -> None:
    """Train one model on all bars up to a day, and write it to a file.

    Args:
        asked: preset, model and budget that go before those of the market's entry.
    """
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.single_model import NAME, train_once
    from trading_pipeline.steps.train import Host

    home = home_of(settings)
    path = model_path or shown(home.path) / "models" / f"{NAME}.pt"
    if path.suffix != ".pt":
        raise SettingsError(f"--model-path is a file to write, such as {NAME}.pt, was {path}")
    bars = bars_of(home, settings, data_path, *given)
    entry = stored_in(home, settings, data_path, given[0]) if data_path else given[0]
    plan = _plan(settings, bars.market, entry or given[0], asked)
    say(f"note: {_told(bars, until)}")
    with ProgressBars() as progress:
        host = Host(lambda label: progress.start(label, say), say, subprocess.run)
        made = train_once(home, plan, bars, until, path, host)
    learned = made.checkpoint["train_start"][:10], made.checkpoint["last_target"][:10]
    kept = "" if made.is_new else f", unchanged since {since(path)}"
    say(f"written: {path}, which learned from {learned[0]} to {learned[1]}{kept}")


def backtest_once(
    settings: Any,
    given: Given,
    data_path: Path | None,
    model_path: Path,
    start: datetime | None,
    out: Path | None,
    capital: float,
) -> None:
    """Test one model on bars that it has not seen, and write the report."""
    from trading_pipeline.adapters.reports.summary_text import summary_text
    from trading_pipeline.core.evaluation.summary import SINGLE_MODEL
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.single_model import Asked, backtest_once

    home = home_of(settings)
    bars = bars_of(home, settings, data_path, *given)
    folder = out or Path("backtest") / bars.market.name
    refuse_files_of_others(folder, SINGLE_MODEL)
    where = str(data_path or shown(home.path) / "raw" / bars.market.name)
    asked = Asked(model_path, start.date() if start else None, where)
    with ProgressBars() as progress, working(f"{where}: backtest, baselines, random portfolios"):
        watch = progress.start(f"{model_path}: predicting", say)
        done = backtest_once(home, bars, asked, folder, capital, watch)
    typer.echo(summary_text(done.summary))
    typer.echo(f"\nReport: {folder / 'report.html'}")


def _plan(settings: Any, market: Any, entry: str | None, asked: dict[str, Any]) -> Any:
    """How a market is worked on: as an entry says, if there is one, but for what is asked for."""
    from trading_pipeline.definitions import plan_of
    from trading_pipeline.steps.plan import Plan

    plan = replace(plan_of(settings, entry), market=market) if entry else Plan(market)
    return replace(plan, **{name: each for name, each in asked.items() if each is not None})


def _told(bars: Any, until: date | None) -> str:
    stamps, market = bars.panel.timestamps, bars.market
    learned = f", learned from up to {until}" if until else ""
    return (
        f"{len(market.symbols)} symbols, {market.timeframe} bars from {stamps[0]:%Y-%m-%d} to "
        f"{stamps[-1]:%Y-%m-%d}{learned}, horizon {market.horizon} bars, calendar {market.calendar}"
    )
