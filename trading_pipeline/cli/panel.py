"""A panel of the user's own: its bars, and settings made from them."""

from pathlib import Path
from typing import Any

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of


def read_panel(path: Path, strict: bool, named: str | None, template: Any) -> Any:
    """`read_panel_file`; the rows set aside are named on the screen."""
    from trading_pipeline.core.market.set_aside import lines_of
    from trading_pipeline.steps.panel_file import read_panel_file

    file = read_panel_file(path, strict, named, template)
    for line in lines_of(file.aside):
        say(f"note: {line}", style="yellow")
    return file


def panel_settings(
    data_path: Path,
    out: Path | None,
    market: str | None,
    preset: str | None,
    model: str | None,
    calendar: str | None,
    strict: bool,
) -> tuple[Any, str]:
    """Settings of a market made from a panel, written to its folder for the UI to read."""
    from trading_pipeline.core.learning.adhoc import market_name, market_of_panel
    from trading_pipeline.core.model.config import ModelConfig
    from trading_pipeline.settings import MarketSettings

    settings = settings_of()
    template = settings.market(market) if market else None
    bars = read_panel(data_path, strict, calendar, template).bars
    name = market_name(data_path.resolve().stem)
    known = settings.markets[market] if market else None
    size = preset or (known.preset if known else "small")
    trader = model or (known.model if known else "network")
    made, notes = market_of_panel(
        bars,
        name,
        ModelConfig.preset(size).n_steps,
        template,
        calendar,
        where=str(data_path),
    )
    home = (out or Path("walk-forward") / name).absolute()
    entry = MarketSettings.of(made, path=data_path.absolute(), model=trader, preset=size)
    for note in notes:
        say(f"note: {note}")
    config = settings.for_panel(home, name, entry)
    say(f"note: settings written to {config}; TP_CONFIG={config} make ui shows its graph")
    own = {"home": home, "storage": None, "markets": {name: entry}}  # no other machine's business
    return settings.model_copy(update=own), name
