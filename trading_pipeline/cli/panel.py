"""A panel of the user's own: its bars, and settings made from them."""

import json
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.errors import SettingsError


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
    from trading_pipeline.settings_markets import MarketSettings

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
    say(f"note: settings written to {config}; TP_CONFIG={config} trading-pipeline ui shows them")
    own = {"home": home, "storage": None, "markets": {name: entry}}  # no other machine's business
    return settings.model_copy(update=own), name


def bars_of(
    home: Any,
    settings: Any,
    path: Path | None,
    market: str | None,
    calendar: str | None,
    strict: bool,
) -> Any:
    """Of a file, or of a market; a market that is named beside a file has the settings.

    A folder of the home in which a market's bars are stored is that market.
    """
    from trading_pipeline.steps.panel_file import PanelBars

    entry = market if path is None else stored_in(home, settings, path, market)
    if entry is not None:
        return PanelBars.stored(home, settings.market(entry))
    if path is None:
        raise SettingsError(
            "whose bars? Give --data-path PANEL.parquet, or --market NAME for the stored bars of "
            "an entry of pipeline.toml"
        )
    known = settings.market(market) if market else None
    return PanelBars.of_file(read_panel(path, strict, calendar, known), known, calendar)


def stored_in(home: Any, settings: Any, path: Path, market: str | None) -> str | None:
    """The market whose bars are stored in a folder; None for a folder or file of anyone's own.

    Raises:
        SettingsError: it is the folder of several markets' bars, and none is named.
    """
    raw, place = (home.path / "raw").resolve(), path.resolve()
    if place.parent == raw and place.name in settings.markets:
        return place.name if market in (None, place.name) else None
    if place != raw or not raw.is_dir() or any(raw.glob("*.parquet")):
        return None
    found = sorted(each.name for each in raw.iterdir() if any(each.glob("*.parquet")))
    stored = [name for name in found if name in settings.markets]
    if market is None and len(stored) > 1:
        raise SettingsError(
            f"{path} has the bars of {', '.join(stored)}, and a model is of one market: give "
            f"--data-path {path / stored[-1]}, or --market {stored[-1]} as well"
        )
    return market or next(iter(stored), None)


def refuse_files_of_others(folder: Path, origin: str) -> None:
    """A report of a command replaces another one of it, and nothing else.

    Args:
        origin: what its own reports say of themselves.
    """
    from trading_pipeline.adapters.reports.report_files import FILES

    try:
        summary = json.loads((folder / FILES["json"]).read_text(encoding="utf-8"))
        ours = summary["origin"] == origin
    except (OSError, ValueError, LookupError, TypeError):
        ours = False
    theirs = [] if ours else [file for file in FILES.values() if (folder / file).exists()]
    if theirs:
        raise SettingsError(
            f"{folder / theirs[0]} is not from this command; choose another folder with --out"
        )
