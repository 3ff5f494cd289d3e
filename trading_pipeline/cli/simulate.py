"""The command that trades a table of orders."""

from pathlib import Path
from typing import Annotated

import typer

from trading_pipeline.adapters.terminal import say, working
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import CalendarName, Capital, DataPath, Strict, market_option
from trading_pipeline.cli.panel import read_panel
from trading_pipeline.core.trading.profiles import PROFILES


def _known_profile(name: str | None) -> str | None:
    if name is not None and name not in PROFILES:
        raise typer.BadParameter(f"must be one of {', '.join(PROFILES)}")
    return name


def simulate(
    orders: Annotated[Path, typer.Option(help="CSV or Parquet file, one order a row.")],
    data_path: DataPath,
    market: Annotated[
        str | None,
        market_option("Take costs, shorts and calendar of this entry of pipeline.toml."),
    ] = None,
    capital: Capital = 100_000.0,
    profile: Annotated[
        str | None,
        typer.Option(
            callback=_known_profile,
            help=f"Limits of losses, and stops, that hold as well: {', '.join(PROFILES)}.",
            show_default="none",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files.", show_default="simulate/STEM")
    ] = None,
    calendar: CalendarName = None,
    strict: Strict = False,
) -> None:
    """Trade a table of orders of your own on a panel, with costs, stops and fills as a backtest.

    An order is decided at the close of the bar `decided_at` and filled at the next open, or within
    the next bars at its limit or stop. Columns: `decided_at`, `symbol`, `side` (buy, sell),
    `quantity`; and where they apply `type` (market, limit, stop), `limit_price`, `stop_price`,
    `bars` (that it waits; 1), and `stop_loss` and `take_profit`, the levels of a bracket. Times are
    UTC; a date alone is the last bar of that day. Example:

    - orders.csv: `decided_at,symbol,side,quantity,type,limit_price,bars,stop_loss`
    - buy at the next open: `2024-01-02,AAPL,buy,10,,,,180`
    - wait five bars for 170: `2024-01-08,MSFT,buy,5,limit,170,5,`
    - `trading-pipeline simulate --orders orders.csv --data-path panel.parquet`

    Prints what became of the orders; writes outcomes, fills, trades, equity, vetoes and cash flows
    as CSV files, and a picture of the equity. Without --market costs are 10 bp of fee and 5 bp of
    slippage, and nothing is sold short. Exit code 2: refused, with file, line and rule.
    """
    from trading_pipeline.adapters.reports.simulation import simulation_text, write_simulation
    from trading_pipeline.steps.simulate import simulate_order_file

    template = settings_of(market).market(market) if market else None
    folder = out or Path("simulate") / orders.stem
    with working(f"{orders} on {data_path}"):
        panel = read_panel(data_path, strict, calendar, template)
        done = simulate_order_file(
            orders, panel, capital=capital, profile=profile, template=template, calendar=calendar
        )
        title = f"{orders.name} on {data_path.name}: equity after costs"
        write_simulation(folder, done.result, done.outcomes, orders.stem, title)
    for note in done.notes:
        say(f"note: {note}")
    typer.echo(simulation_text(done.result, done.outcomes))
    typer.echo(f"Files: {folder}")
