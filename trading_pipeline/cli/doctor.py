"""The command that looks whether everything that is needed is there."""

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.filesize import decimal

from trading_pipeline.adapters.keys import OF_BROKERS, OF_SOURCES
from trading_pipeline.errors import SettingsError, TradingPipelineError

FINE, NOTE, MEND = "ok", "note", "MEND"
ILL = 1  # exit code: something has to be mended
SKEW = 5  # seconds that a clock may be wrong by: signed requests are refused not much later
ROOM = 2 * 2**30  # bytes on the disk below which it is said
_INSTALL = "install trading-pipeline again; in a checkout `make install` takes the locked versions"
_ASKED = 8.0  # seconds that a venue is asked for its time


class Line(NamedTuple):
    """One thing that was looked at."""

    state: str
    what: str
    said: str
    todo: str = ""  # the next step, where there is one


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask no venue for its time.")] = False,
) -> None:
    """Look whether everything that is needed is there, and say what to do where it is not.

    Versions, settings, keys (whether they are set, never what they are), storage, ledger and other
    databases, shared storage, the clock of this machine against those of the venues, and the GPU,
    if a market wants one. What only
    some markets need is a note, unless a market with `nightly = true` does.

    Exit codes: 0 all that is needed is there, 1 something has to be mended (MEND).
    """
    ill = False
    for line in _lines(offline):
        typer.echo(f"{line.state:<5}{line.what}: {line.said}")
        if line.todo:
            typer.echo(f"     -> {line.todo}")
        ill = ill or line.state == MEND
    if ill:
        raise typer.Exit(ILL)


def _lines(offline: bool) -> Iterator[Line]:
    yield _python()
    yield from _packages()
    try:
        settings = _settings()
    except SettingsError as error:
        yield Line(MEND, "settings", str(error), "mend that, and run this again: the rest needs it")
        return
    yield _read_from(settings)
    yield from _keys(settings)
    yield _storage(settings.home)
    yield _ledger(settings)
    yield from _databases(settings.home)
    yield from _elsewhere(settings)
    yield from _clocks(settings, offline)
    yield _gpu(settings)


def _settings() -> Any:
    from trading_pipeline.settings import Settings

    settings = Settings.read()
    for name in settings.markets:
        settings.market(name)
    return settings


def _python() -> Line:
    from trading_pipeline.adapters.code_version import code_version

    found = ".".join(map(str, sys.version_info[:3]))
    return Line(FINE, "version", f"trading-pipeline {code_version()}, Python {found}")


def _packages() -> Iterator[Line]:
    """What is installed beside what the project asks for."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    wanted = [Requirement(each) for each in requires("trading-pipeline") or ()]
    known, wrong = {}, []
    for each in wanted:
        if each.marker and not each.marker.evaluate({"extra": ""}):
            continue
        try:
            known[each.name] = version(each.name)
        except PackageNotFoundError:
            wrong.append(f"{each.name} is not installed")
            continue
        if not each.specifier.contains(known[each.name], prereleases=True):
            wrong.append(f"{each.name} is {known[each.name]}, and {each.specifier} is needed")
    shown = [f"{name} {known[name]}" for name in ("dagster", "torch", "duckdb") if name in known]
    if wrong:
        yield Line(MEND, "packages", "; ".join(wrong), _INSTALL)
    else:
        yield Line(FINE, "packages", f"{', '.join(shown)}, and {len(known) - len(shown)} others")


def _read_from(settings: Any) -> Line:
    from trading_pipeline.settings_sources import ENV_FILE, config_path

    path, env = config_path(), Path(ENV_FILE)
    files = [str(each) for each in (path, env) if each.is_file()]
    names = ", ".join(settings.markets) or "none"
    if settings.markets:
        return Line(FINE, "settings", f"{' and '.join(files)}; markets: {names}")
    where = f"there is no {path} in {Path.cwd()}" if not path.is_file() else f"{path} has no market"
    todo = (
        "run this where pipeline.toml is, or set TP_CONFIG; `demo` makes one where there is none, "
        "and `walk-forward` needs none"
    )
    return Line(NOTE, "settings", where, todo)


def _keys(settings: Any) -> Iterator[Line]:
    """Whether keys are set that some market wants; what they are is nobody's business."""
    for keys in dict.fromkeys([*OF_SOURCES.values(), *OF_BROKERS.values()]):
        markets = [
            name
            for name, each in settings.markets.items()
            if keys in (OF_SOURCES.get(each.source), OF_BROKERS.get(each.broker))
        ]
        if not markets:
            continue
        what = f"keys of {keys.venue}"
        try:
            keys.texts(*keys.held(settings))
            yield Line(FINE, what, f"set, for {', '.join(markets)}")
        except TradingPipelineError as error:
            must = any(settings.markets[name].nightly for name in markets)
            missing = f"needed by {', '.join(markets)}"
            yield Line(MEND if must else NOTE, what, missing, str(error))


def _storage(home: Path) -> Line:
    """Whether files can be made where everything is kept; none is left behind."""
    place = home.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor"):
            free = shutil.disk_usage(place).free
    except OSError as error:
        todo = "make that folder yours, or set TP_HOME to one that is"
        return Line(MEND, "storage", f"{home} cannot be written ({error.strerror})", todo)
    room = f"{home} can be written, {decimal(free)} free"
    if free < ROOM:
        return Line(NOTE, "storage", room, "make room: a year of hourly bars and models takes some")
    return Line(FINE, "storage", room)


def _ledger(settings: Any) -> Line:
    from trading_pipeline.definitions import home_of

    home = home_of(settings)
    where = "PostgreSQL" if settings.ledger_url else str(settings.home / "ledger.sqlite")
    if not home.has_ledger:
        return Line(FINE, "ledger", f"{where} is made by the first command that writes to it")
    try:
        with home.ledger() as ledger:
            streams = len(ledger.streams())
    except TradingPipelineError as error:
        todo = "start the database, or correct TP_LEDGER_URL; a file can be put back from a copy"
        return Line(MEND, "ledger", str(error), todo)
    return Line(FINE, "ledger", f"{where} answers, {streams} streams")


def _databases(home: Path) -> Iterator[Line]:
    """Whether Dagster's records and the features can be read; nothing is said of those that are."""
    from trading_pipeline.adapters.store.features import FeatureStore

    for path in sorted((home / "dagster").glob("*/*.db")):
        try:
            with closing(sqlite3.connect(path, timeout=1)) as database:
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            todo = (
                f"end what holds it, or move {home / 'dagster'} away: bars, models and reports are "
                "not in there"
            )
            yield Line(MEND, "Dagster's records", f"{path} cannot be read ({error})", todo)
    try:
        FeatureStore(home / "features.duckdb", "", patience=0).made_of("")
    except TradingPipelineError as error:
        yield Line(NOTE, "features", str(error))


def _elsewhere(settings: Any) -> Iterator[Line]:
    """What work on other machines needs, where the settings ask for it."""
    from trading_pipeline.definitions import home_of
    from trading_pipeline.defs.executors import executor_named

    if settings.executor != "in_process":
        try:
            executor_named(settings.executor, {})
            yield Line(FINE, "executor", settings.executor)
        except TradingPipelineError as error:
            yield Line(MEND, "executor", str(error))
    if shared := home_of(settings).shared:
        try:
            shared.ask()
            yield Line(FINE, "shared storage", f"{shared.url} answers")
        except TradingPipelineError as error:
            yield Line(MEND, "shared storage", str(error))


def _clocks(settings: Any, offline: bool) -> Iterator[Line]:
    """This machine's clock beside those of the venues, each asked once."""
    from trading_pipeline.settings_markets import LIVE_SOURCES

    seen = set()
    for name, each in settings.markets.items():
        venue = (each.source, each.exchange, each.url, each.trading_url)
        if each.source in LIVE_SOURCES and venue not in seen:
            seen.add(venue)
            what = f"clock of {each.exchange or each.source}"
            keys = OF_SOURCES.get(each.source)
            no_keys = keys is not None and not all(keys.held(settings))
            if offline or no_keys:
                why = "it has no keys" if no_keys else "--offline"
                yield Line(NOTE, what, f"not asked: {why}")
            else:
                yield _clock(settings, name, what)


def _clock(settings: Any, name: str, what: str) -> Line:
    from trading_pipeline.adapters.sources.retry import Patience
    from trading_pipeline.definitions import sources_of
    from trading_pipeline.steps.home import ConfiguredSources

    once = Patience(tries=1, limit=_ASKED, outage=_ASKED, timeout=_ASKED)
    factory = replace(sources_of(settings).factories[name], patience=once)
    try:
        source: Any = ConfiguredSources({name: factory}).open(settings.market(name))
        theirs = source.clock(0.0)
    except TradingPipelineError as error:
        todo = (
            "is there a network, and a proxy to name in HTTPS_PROXY? `url` in the market's entry "
            "takes another address of the venue; keys that are refused are to be made anew"
        )
        said = str(error).removeprefix(f"{what.removeprefix('clock of ')} clock: ")
        return Line(MEND if settings.markets[name].nightly else NOTE, what, said, todo)
    off = (theirs.to_pydatetime() - datetime.now(UTC)).total_seconds()
    said = f"{abs(off):.1f} s {'ahead of' if off > 0 else 'behind'} this machine's"
    if abs(off) > SKEW:
        todo = "set this machine's clock: `timedatectl set-ntp true`, or what your system has"
        return Line(MEND, what, said, todo)
    return Line(FINE, what, said)


def _gpu(settings: Any) -> Line:
    wanted = [name for name, each in settings.markets.items() if each.device.startswith("cuda")]
    if not wanted:
        return Line(FINE, "GPU", "no market asks for one (`device`)")
    import torch

    if torch.cuda.is_available():
        return Line(FINE, "GPU", f"{torch.cuda.get_device_name(0)}, for {', '.join(wanted)}")
    todo = 'install the build of torch that suits it (docs/how-to/use-a-gpu.md), or device = "cpu"'
    return Line(MEND, "GPU", f"torch {torch.__version__} sees none; {', '.join(wanted)} ask", todo)
