"""The command line. Every command runs the same Dagster jobs as the web UI, on the same data.

Exit codes: 0 done, 2 refused with one line that says why, 130 stopped by Ctrl-C or SIGTERM.
"""

import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from trading_pipeline.adapters.terminal import Bars, say, working
from trading_pipeline.errors import SettingsError, TradingPipelineError

REFUSED, INTERRUPTED = 2, 130  # 130 is what shells report of a program that Ctrl-C ended


class Commands(TyperGroup):
    """Deliberate errors become one line and exit code 2, an interruption 130; no tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TradingPipelineError as error:
            say(f"error: {error}", style="red")
            raise typer.Exit(REFUSED) from None
        except KeyboardInterrupt:
            say("stopped; nothing is half-written, and the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "From bars to an honest backtest: causal features, an xLSTM-Transformer trained "
        "walk-forward, a simulation with costs and risk rules, and paper trading.\n\n"
        "Start with `trading-pipeline demo` (no key, no network), then judge your own data with "
        "`trading-pipeline walk-forward --data-path PANEL.parquet`."
    ),
)


def _finite(amount: float) -> float:
    if not math.isfinite(amount):
        raise typer.BadParameter("must be a finite amount of money")
    return amount


MarketName = Annotated[str, typer.Option("--market", "-m", help="An entry of pipeline.toml.")]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Size of the network and its budget: tiny (minutes), small (CPU), full (GPU)."
    ),
]
Capital = Annotated[
    float,
    typer.Option(min=1.0, callback=_finite, help="Starting capital, in quote currency."),
]


@app.command()
def demo(preset: Preset = None, capital: Capital = 100_000.0) -> None:
    """Run the whole chain on four real US shares, and say honestly what came out.

    Downloads nothing: the bars come with a Python package. Bars, features, a model for every year,
    predictions, backtest, report. A second run does only what is not up to date.
    """
    _chain(_settings(), "sample", preset, capital, next_steps=True)


@app.command()
def download(
    market: MarketName = "sample",
    source: Annotated[
        str | None, typer.Option(help="All markets of this source, or `all`.")
    ] = None,
) -> None:
    """Fetch the bars that are missing, check them, and compute their features.

    A night that runs again after a failure does not double anything.
    """
    settings = _settings()
    with _runner(settings) as run:
        from trading_pipeline.definitions import plan_of
        from trading_pipeline.defs import runs

        for name in _markets(settings, market, source):
            with working(f"{name}: bars and features"):
                days = runs.download(run, plan_of(settings, name))
            say(f"{name}: {f'{days[0]} to {days[1]} stored' if days else 'up to date'}")


@app.command()
def train(market: MarketName = "sample", preset: Preset = None) -> None:
    """Train a model for every walk-forward fold that lacks one, and predict the fold with it.

    A model sees nothing of the fold it is asked about, nor of what comes after.
    """
    settings = _settings(market, preset)
    with _runner(settings) as run:
        from trading_pipeline.definitions import plan_of
        from trading_pipeline.defs import runs

        done = runs.train(run, plan_of(settings, market))
    say(f"{market}: {f'trained {len(done)} folds' if done else 'all folds are up to date'}")


@app.command()
def backtest(
    market: MarketName = "sample", preset: Preset = None, capital: Capital = 100_000.0
) -> None:
    """Trade the out-of-sample predictions with costs and risk rules, and write the report."""
    settings = _settings(market, preset)
    with _runner(settings) as run:
        from trading_pipeline.definitions import plan_of
        from trading_pipeline.defs import runs

        with working(f"{market}: backtest"):
            runs.backtest(run, plan_of(settings, market), capital)
        _print_summary(run.home.report(plan_of(settings, market).market))


@app.command("walk-forward")
def walk_forward(
    data_path: Annotated[
        Path, typer.Option(help="Parquet file or folder: timestamp, symbol, OHLC, volume.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where everything goes.", show_default="walk-forward/STEM")
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Take the settings of this entry of pipeline.toml.")
    ] = None,
    preset: Preset = None,
    capital: Capital = 100_000.0,
) -> None:
    """Judge a panel of your own: the whole chain on any Parquet file or folder.

    Without --market the timeframe and the calendar come from the stamps, costs are 10 bp of fee
    and 5 bp of slippage, and a short history shrinks the spans (and says so).
    """
    settings, name = _panel_settings(data_path, out, market, preset)
    os.environ.pop("DAGSTER_HOME", None)  # a panel of one's own has an instance of its own
    _chain(settings, name, None, capital)


@app.command("paper-trade")
def paper_trade(
    source: Annotated[str, typer.Option(help="The market to replay, or its source.")] = "sample",
    capital: Capital = 100_000.0,
    session: Annotated[
        str, typer.Option(help="Name of the session; the same name resumes where it stopped.")
    ] = "paper",
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day to decide on.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day to replay.")
    ] = None,
    bars_per_second: Annotated[
        float, typer.Option(min=0.0, help="Speed of the replay; 0 is as fast as possible.")
    ] = 0.0,
) -> None:
    """Trade the bars one by one through the same kernels as the backtest, journalled.

    Every decision is in the ledger before it is acted on. Ctrl-C stops cleanly; the same command
    resumes. The orders are those of the backtest of the same period and checkpoints.
    """
    settings = _settings()
    name = next(iter(_markets(settings, source, None if source in settings.markets else source)))
    with _runner(settings, alone=False) as run:
        from trading_pipeline.definitions import plan_of
        from trading_pipeline.defs.paper import run_session

        summary = run_session(
            run,
            plan_of(settings, name),
            {
                "session": session,
                "capital": capital,
                "start": f"{start:%Y-%m-%d}" if start else "",
                "end": f"{end:%Y-%m-%d}" if end else "",
                "bars_per_second": bars_per_second,
            },
        )
    _print(summary)


@app.command()
def home() -> None:
    """Create DAGSTER_HOME below TP_HOME, with its dagster.yaml, and print its path."""
    from trading_pipeline.defs.instance import prepare_home

    _print(str(prepare_home(_settings().home)))


def main() -> None:
    """Entry point. SIGTERM, which a container or a system sends to end us, is a Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    app(prog_name="trading-pipeline")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _chain(
    settings: Any, name: str, preset: str | None, capital: float, next_steps: bool = False
) -> None:
    """Bars to report, doing only what is not up to date, then the summary."""
    from trading_pipeline.definitions import plan_of
    from trading_pipeline.defs import runs

    settings = _with_preset(settings, name, preset)
    plan = plan_of(settings, name)
    with _runner(settings) as run:
        with working(f"{name}: bars, checks, features"):
            runs.download(run, plan)
        runs.train(run, plan)
        with working(f"{name}: backtest, baselines, 1,000 random portfolios, report"):
            runs.backtest(run, plan, capital)
        _print_summary(run.home.report(plan.market))
        if next_steps:
            _print_proofs(run, plan, capital)
            _print(_NEXT)


def _print_proofs(run: Any, plan: Any, capital: float) -> None:
    """Whatever the verdict is, these can be shown to anyone."""
    from trading_pipeline.defs import proofs

    _print("\nWhat is proven, seen just now")
    with working("planting a leak, and replaying the first weeks on paper"):
        lines = [
            proofs.planted_leak(run, plan),
            proofs.paper_equals_backtest(run, plan, capital),
        ]
    for line in lines:
        _print(f"  {line}")


_NEXT = """
What next:
  make ui                                          the graph, the runs, the pictures
  trading-pipeline paper-trade --source sample     the same decisions, bar by bar, journalled
  trading-pipeline walk-forward --data-path FILE   your own bars (columns: see README)
(commands live in .venv/bin; `. .venv/bin/activate` puts them on the path)"""


def _print_summary(folder: Path) -> None:
    import json

    from trading_pipeline.adapters.reports.text import summary_text

    _print(summary_text(json.loads((folder / "report.json").read_text())))
    _print(f"\nReport: {folder / 'report.html'}")


@contextmanager
def _runner(settings: Any, alone: bool = True) -> Iterator[Any]:
    """A runner for the settings, with progress bars in a terminal.

    Commands that change bars, models or reports are `alone`: a second one waits for the first.
    """
    from trading_pipeline.definitions import build
    from trading_pipeline.defs.resources import ConfiguredSources, Home
    from trading_pipeline.defs.runs import runner

    with Bars() as bars:
        definitions = build(settings, bars)
        paths = {name: str(each.path) for name, each in settings.markets.items() if each.path}
        located = Home(root=str(settings.home.absolute()), ledger_url=settings.ledger_url)
        with runner(definitions, located, ConfiguredSources(paths), say, alone) as run:
            yield run


def _settings(market: str | None = None, preset: str | None = None) -> Any:
    from trading_pipeline.settings import Settings

    settings = Settings.read()
    return _with_preset(settings, market, preset) if market else settings


def _with_preset(settings: Any, name: str, preset: str | None) -> Any:
    settings.market(name)
    if preset is None:
        return settings
    entry = settings.markets[name].model_copy(update={"preset": _known_preset(preset)})
    return settings.model_copy(update={"markets": {**settings.markets, name: entry}})


def _known_preset(preset: str) -> str:
    if preset not in ("tiny", "small", "full"):
        raise SettingsError(f"--preset must be tiny, small or full, was {preset!r}")
    return preset


def _panel_settings(
    data_path: Path, out: Path | None, market: str | None, preset: str | None
) -> tuple[Any, str]:
    """Settings of a market made from a panel, written to its folder for the UI to read."""
    from trading_pipeline.adapters.sources.parquet import ParquetSource
    from trading_pipeline.core.learning.adhoc import market_name, market_of_panel
    from trading_pipeline.core.model.config import ModelConfig
    from trading_pipeline.settings import MarketSettings

    settings = _settings()
    source = ParquetSource(data_path)
    bars = source.bars(source.symbols(), *source.span())
    name = market_name(data_path.resolve().stem)
    size = preset or (settings.markets[market].preset if market in settings.markets else "small")
    made, notes = market_of_panel(
        bars,
        name,
        ModelConfig.preset(_known_preset(size)).n_steps,
        settings.market(market) if market else None,
        where=str(data_path),
    )
    home = (out or Path("walk-forward") / name).absolute()
    entry = MarketSettings.of(made, path=data_path.absolute(), preset=size)
    for note in notes:
        say(f"note: {note}")
    config = settings.for_panel(home, name, entry)
    say(f"note: settings written to {config}; TP_CONFIG={config} make ui shows its graph")
    return settings.model_copy(update={"home": home, "markets": {name: entry}}), name


def _markets(settings: Any, market: str, source: str | None) -> list[str]:
    """The markets meant: one by its name, or all of a source."""
    if source is None:
        settings.market(market)
        return [market]
    names = [name for name, each in settings.markets.items() if source in (each.source, "all")]
    if not names:
        known = ", ".join(sorted({each.source for each in settings.markets.values()})) or "none"
        raise SettingsError(f"no market of source {source!r} in pipeline.toml; it has {known}")
    return names


def _print(text: str) -> None:
    typer.echo(text)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
