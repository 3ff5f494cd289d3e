"""The command that fetches bars."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.keys import OF_SOURCES
from trading_pipeline.adapters.terminal import say, since, working
from trading_pipeline.cli.markets import markets_of, settings_of
from trading_pipeline.cli.options import MarketName
from trading_pipeline.cli.runner import runner_of
from trading_pipeline.core.market.market import TIMEFRAMES
from trading_pipeline.errors import SettingsError, TradingPipelineError

_ASIDE = "set_aside.parquet"
IN_PART = 3  # exit code: what could be had is stored, and something could not


def _timeframe(name: str | None) -> str | None:
    if name is not None and name not in TIMEFRAMES:
        raise typer.BadParameter(f"must be one of {', '.join(TIMEFRAMES)}")
    return TIMEFRAMES[name] if name else None


def download(
    market: MarketName = "sample",
    source: Annotated[
        str | None,
        typer.Option(
            help="All markets of this source (sample, parquet, alpaca, binance, ccxt), or `all`."
        ),
    ] = None,
    timeframe: Annotated[
        str | None,
        typer.Option(
            "--timeframe",
            "--interval",
            callback=_timeframe,
            help="Only markets of such bars: 1d, 4h, 1h, 30m, 15m, 5m, 1m, or 1Day, 1Hour, ...",
        ),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="First day to look at; a market's own start is the earliest."
        ),
    ] = None,
    refetch: Annotated[
        bool, typer.Option("--refetch", help="Ask a venue for everything again.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a venue that is down, as a night does.")
    ] = False,
) -> None:
    """Fetch the bars that are missing or unsettled, check them, and compute their features.

    Markets are entries of `pipeline.toml`. A venue is asked for the bars that its calendar expects
    and the store lacks, and for those of the last days, which it may still correct; so a download
    that runs again after a failure doubles nothing and fetches nothing twice. Where it corrected
    one, the old value is kept as a revision. `--refetch` looks for corrections in all of history.

    A venue that answers nothing for a minute is given up with one error; with `--wait` each of its
    questions is asked again for up to a quarter of an hour. What is stored stays.

    Alpaca needs keys: TP_ALPACA_KEY and TP_ALPACA_SECRET, in `.env` or the environment.

    - `trading-pipeline download --source all --start 2019-01-01`
    - `trading-pipeline download --source alpaca --timeframe 1Day`
    - `trading-pipeline download --source binance --interval 1d`

    Exit code 3: what could be had is stored, and a symbol or a market could not.
    """
    if start and start.replace(tzinfo=UTC) > datetime.now(UTC):
        raise SettingsError(f"no bar opens from {start:%Y-%m-%d} on yet; give an earlier --start")
    settings = settings_of()
    names = markets_of(settings, market, source, timeframe)
    if len(names) == 1 and (keys := OF_SOURCES.get(settings.markets[names[0]].source)):
        keys.texts(*keys.held(settings))  # refused before anything is loaded
    with runner_of(settings, wait=wait) as run:
        whole = [_download(run, settings, name, start, refetch, len(names) == 1) for name in names]
    if not all(whole):
        raise typer.Exit(IN_PART)


def _download(
    run: Any, settings: Any, name: str, start: datetime | None, refetch: bool, alone: bool
) -> bool:
    """One market; whether all of it came. Of several, one that is refused does not stop others."""
    from trading_pipeline.definitions import plan_of
    from trading_pipeline.defs import runs

    plan = plan_of(settings, name)
    first = start.date() if start else None
    if first and first < plan.market.start:
        say(f"note: {name} begins on {plan.market.start}; `start` in pipeline.toml moves that")
    try:
        with working(f"{name}: bars, checks, features"):
            days = runs.download(run, plan, first, refetch)
    except TradingPipelineError as error:
        if alone:
            raise
        say(f"error: {name}: {error}", style="red")
        return False
    stored = list(run.home.bars(plan.market).files())
    unchanged = f"unchanged since {since(*stored)}"
    if days is None and not stored:
        say(f"{name}: no bars; it ends before {first}, so nothing was downloaded")
        return True
    if days is None:
        say(f"{name}: up to date, {unchanged}")
        return True
    return _report(name, runs.landed(run, plan.market), unchanged)


def _report(name: str, landed: Any, unchanged: str = "") -> bool:
    """Say what came, and what did not; whether all of it did."""
    from trading_pipeline.core.market.quality.finding import counted

    news = [
        f"{count:,} bars {what}"
        for what in ("added", "changed", "removed")
        if (count := getattr(landed, what))
    ]
    until = f"; {landed.rows:,} stored, the newest of {landed.last[:16]} UTC"
    say(f"{name}: {', '.join(news) or f'no news, {unchanged}'}{until}")
    if landed.severe or landed.warnings:
        found = counted(landed.severe, "severe finding"), counted(landed.warnings, "warning")
        say(
            f"{name}: {' and '.join(found)} about all of these bars; "
            f"`trading-pipeline quality --market {name}` names them",
            style="red" if landed.severe else "yellow",
        )
    for line in landed.set_aside:
        say(f"{name}: {line}; they are gaps now, and raw/{name}/history/{_ASIDE} has all of them")
    for symbol, reason in sorted(landed.failed.items()):
        say(f"failed: {name} {symbol}: {reason}", style="red")
    return not landed.failed
