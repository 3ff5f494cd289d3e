"""Where the settings are read from: variables, .env, files of secrets, pipeline.toml.

Which of them said a value that is refused, what may stand in which, and the names of before.
"""

import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.errors import SettingsError

ENV_FILE = ".env"
_FIRST = Path(__file__).with_name("pipeline.toml")  # in a checkout, the one that lies there
_NOT_FIELDS = {"TP_CONFIG", "TP_SECRETS"}  # they say where the settings are
_SECRETS = ("alpaca_key", "alpaca_secret", "binance_key", "binance_secret", "alert_urls")
_say_once = cache(logging.getLogger(__name__).warning)


def by_strength(
    settings_cls: type[BaseSettings],
    *given: PydanticBaseSettingsSource,
    dotenv: PydanticBaseSettingsSource,
) -> tuple[PydanticBaseSettingsSource, ...]:
    """All sources, strongest first: those `given`, .env, files of secrets, pipeline.toml.

    Raises:
        SettingsError: pipeline.toml holds a key, or a file of secrets has a name that none has.
    """
    toml = _NoSecrets(settings_cls, config_path())
    names = toml.market_names()
    files = InitSettingsSource(settings_cls, _secrets_in_files())
    said = *(_Reworded(each, names) for each in given), _OwnNames(dotenv, names)
    return *said, files, _Reworded(toml)


def check_sources(fields: set[str]) -> None:
    """Refuse what cannot be read, and variables that are none of the `fields`.

    Raises:
        SettingsError: says which, and what to do.
    """
    _refuse_unknown_variables(fields)
    _refuse_missing_file()
    _refuse_other_bytes()


def config_path() -> Path:
    """Where pipeline.toml is, whether or not there is one."""
    return Path(_said("TP_CONFIG") or "pipeline.toml")


def write_first_settings() -> Path | None:
    """Write the pipeline.toml that this package brings, unless there is one; its path, if so.

    Raises:
        StoreError: the file cannot be written.
    """
    path = config_path()
    if path.exists() or _said("TP_CONFIG"):
        return None
    replace_file(path, lambda draft: draft.write_bytes(_FIRST.read_bytes()))
    return path


def where_markets_are(asked: str, known: Iterable[str]) -> str:
    """What to do about a market that is none of those known."""
    path, names = config_path().absolute(), ", ".join(sorted(known))
    there = "run from the folder of pipeline.toml, or set TP_CONFIG"
    if not names and not path.is_file():
        return f"there is no {path}; {there}, or let `trading-pipeline demo` make one here"
    return f"{path} has {names or 'none'}. Add a [markets.{asked}] entry, {there}."


def place_of(entry: tuple[int | str, ...]) -> str:
    """Which source said a value that was refused: the strongest that says it, or what holds it."""
    names = ["__".join(map(str, entry[:depth])).upper() for depth in range(len(entry), 0, -1)]
    names = [full for name in names for full in (f"TP_{name}", name) if _is_ours(full)]
    for place, said in (("", os.environ), (f"{ENV_FILE}: ", _in_env_file())):
        variables = {name.upper() for name in said}
        if found := next((name for name in names if name in variables), None):
            return f"{place}{found}"
    return _in_config(tuple(map(str, entry)))


def said_of_fault(fault: Mapping[str, Any]) -> str:
    """Where a value was said that pydantic refuses, its name, and why; of one that a market lacks,
    all that made its entry: a variable alone makes one, of a market that no file has."""
    said, entry = fault["msg"].removeprefix("Value error, "), tuple(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        said = "no such setting"
    lacks = fault["type"] == "missing" and entry[0] == "markets"
    place = places_of(entry[1]) if lacks else place_of(fault["loc"])
    name = ".".join(entry)
    is_variable = fault["type"] == "extra_forbidden" and place.endswith(name.upper())
    return f"{place}: {said}" if is_variable else f"{place}: {name}: {said}"


def _in_config(entry: tuple[str, ...]) -> str:
    """`pipeline.toml:12`, the line that says a value, or the entry that it is missing from."""
    path = config_path()
    try:
        line = line_of(path.read_text(encoding="utf-8-sig"), entry)
    except (OSError, UnicodeDecodeError):
        line = None
    return f"{path}:{line}" if line else str(path)


def line_of(text: str, entry: tuple[str, ...]) -> int | None:
    """The line of a TOML text, from 1, that says a value; that of what holds it, where none does.

    Args:
        entry: the names of tables and key, such as ("markets", "crypto", "horizon").
    """
    table: tuple[str, ...] = ()
    found, depth = None, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            said = table = _names(header[1])
        elif key := _KEY.match(line):
            said = table + _names(key[1])
        else:
            continue
        if len(said) > depth and entry[: len(said)] == said:
            found, depth = number, len(said)
    return found


_HEADER = re.compile(r"\s*\[{1,2}([^\]]+)\]")
_KEY = re.compile(r"\s*([^=#\[\]{}]+?)\s*=")


def _names(dotted: str) -> tuple[str, ...]:
    """The names in `markets."a.b".costs`, without quotes."""
    return tuple(each.strip("\"'") for each in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", dotted))


def places_of(market: str) -> str:
    """Where the entry of a market is from: the file, and the variables that change it."""
    said = {name.upper() for name in (*os.environ, *_in_env_file())}
    changed = sorted(name for name in said if name.startswith(f"TP_MARKETS__{market.upper()}__"))
    return ", ".join([_in_config(("markets", market)), *changed])


class _Reworded(PydanticBaseSettingsSource):
    """What a source says, under today's names; each source by itself, for one overrides another.

    Args:
        names: of markets, by what a variable calls them, whose letters have no case.
    """

    def __init__(
        self, source: PydanticBaseSettingsSource, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(source.settings_cls)
        self.source, self.names = source, names or {}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self.source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = self.source()
        if not isinstance(markets := values.get("markets"), dict):
            return values
        spelled = {self.names.get(name, name): each for name, each in markets.items()}
        return values | {"markets": {name: _reworded(name, each) for name, each in spelled.items()}}


class _OwnNames(_Reworded):
    """What .env says under TP_*; other programs, such as compose, keep their variables there."""

    def __call__(self) -> dict[str, Any]:
        known = set(self.settings_cls.model_fields)
        values = super().__call__()
        values = {name: each for name, each in values.items() if name.upper() not in _NOT_FIELDS}
        return {name: each for name, each in values.items() if name in known or _is_ours(name)}


class _NoSecrets(TomlConfigSettingsSource):
    """pipeline.toml, which is committed and shown: keys in it are refused."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        super().__init__(settings_cls, path)
        found = [name for name in _SECRETS if name in self.toml_data]
        if _may_hold_a_password(self.toml_data.get("ledger_url")):
            found.append("ledger_url")
        if found:
            variables = ", ".join(f"TP_{name.upper()}" for name in found)
            raise SettingsError(
                f"{path} holds {', '.join(found)}, and that file is committed. Set {variables} in "
                ".env or the environment instead; if the file was ever pushed, make a new key"
            )

    def market_names(self) -> dict[str, str]:
        """Those of the file, by their small letters; of two that differ in case alone, none."""
        if not isinstance(markets := self.toml_data.get("markets"), dict):
            return {}
        small = [name.lower() for name in markets]
        return {name.lower(): name for name in markets if small.count(name.lower()) == 1}

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return tomllib.loads(file_path.read_text(encoding="utf-8-sig"))  # as some editors write it


def _may_hold_a_password(url: object) -> bool:
    """Whether a database's address names a user or has a query; a file's has neither."""
    _, _, place = str(url or "").partition("://")
    return not str(url).startswith("sqlite") and ("@" in place or "?" in place)


def _is_ours(name: str) -> bool:
    """Whether .env has a name as TP_NAME: a typo of ours is refused, another's is left alone."""
    return name.upper().startswith("TP_")


def _secrets_in_files() -> dict[str, Any]:
    """Secrets that a container gets as files named like tp_alpaca_key, in the folder TP_SECRETS."""
    if not (folder := _said("TP_SECRETS")):
        return {}
    known = {f"tp_{name}": name for name in (*_SECRETS, "ledger_url")}
    files = [path for path in Path(folder).iterdir() if _is_ours(path.name)]
    if unknown := [str(path) for path in files if path.name.lower() not in known]:
        raise SettingsError(f"unknown secret {unknown[0]}; known: {', '.join(sorted(known))}")
    said = {known[path.name.lower()]: _text_of(path) for path in files}
    return {name: text for name, text in said.items() if text}  # an empty one is not set


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not text in UTF-8") from error


def _refuse_missing_file() -> None:
    """Without TP_CONFIG there may be no file: `walk-forward` runs from any folder."""
    if _said("TP_CONFIG") and not config_path().is_file():
        raise SettingsError(
            f"TP_CONFIG is {config_path()}, which is not a file; give pipeline.toml"
        )


def _refuse_other_bytes() -> None:
    """Name .env where it is not in UTF-8: UTF-16, as PowerShell's `>` writes it, or Latin-1."""
    path = Path(ENV_FILE)
    content = path.read_bytes() if path.is_file() else b""
    try:
        readable = "\0" not in content.decode()
    except UnicodeDecodeError:
        readable = False
    if not readable:
        raise SettingsError(
            f"{path} is not text in UTF-8; save it in UTF-8 (in PowerShell: "
            "(Get-Content .env) | Set-Content -Encoding utf8 .env)"
        )


def _said(variable: str) -> str | None:
    """What a variable says, or .env in its place."""
    return os.environ.get(variable) or _in_env_file().get(variable)


def _in_env_file() -> dict[str, str | None]:
    path = Path(ENV_FILE)
    try:
        return dotenv_values(path, encoding="utf-8-sig") if path.is_file() else {}
    except UnicodeDecodeError:  # `check_sources` says so
        return {}


def _reworded(name: str, entry: Any) -> Any:
    """The entry of a market without the names that it was written under before."""
    if not isinstance(entry, dict):
        return entry
    entry = dict(entry)
    if "book" in entry and "mandate" not in entry:
        entry["mandate"] = entry.pop("book")
        _say_once(
            f"{place_of(('markets', name, 'book'))}: `book` of {name} is called `mandate` now"
        )
    if isinstance(entry.get("benchmark"), str):
        place, value = place_of(("markets", name, "benchmark")), entry.pop("benchmark")
        if value != "equal_weight":
            raise SettingsError(
                f"{place}: markets.{name}: benchmark is a table of weights by symbol, not {value!r}"
            )
        _say_once(f"{place}: `benchmark` of {name} can be left out: equal weights are the default")
    return entry


def _refuse_unknown_variables(fields: set[str]) -> None:
    known = {f"TP_{name.upper()}" for name in fields} | _NOT_FIELDS
    for variable in sorted(os.environ):
        if variable.startswith("TP_") and variable.split("__")[0] not in known:
            raise SettingsError(f"unknown variable {variable}; known: {', '.join(sorted(known))}")
