"""Everything the outside world may change, read once, at the edge.

Order of precedence, strongest first: TP_* variables, .env, files of secrets, pipeline.toml, the
defaults below.
Nested values are joined by two underscores: TP_MARKETS__SAMPLE__HORIZON=10.
"""

import logging
import os
import re
import tomllib
from dataclasses import asdict, fields, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SettingsParsingError

from trading_pipeline.adapters.brokers.factory import BINANCE_TESTNET, BROKERS, SIMULATED
from trading_pipeline.adapters.sources.address import secure_address
from trading_pipeline.adapters.store.settings_file import write_settings
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.core.market.exchanges import canonical_calendar
from trading_pipeline.core.market.market import TIMEFRAMES, Costs, Market, usual_terms
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.errors import SettingsError

_say_once = cache(logging.getLogger(__name__).warning)
_NOT_FIELDS = {"TP_CONFIG", "TP_LOG_LEVEL", "TP_SECRETS"}
COIN_SOURCES = ("binance", "ccxt")
LIVE_SOURCES = ("alpaca", *COIN_SOURCES)  # venues over the network
_OF_SOURCE = {  # settings that only some sources read
    "path": ("parquet",),
    "exchange": ("ccxt",),
    "feed": ("alpaca",),
    "url": LIVE_SOURCES,
    "trading_url": ("alpaca",),
    "delay": ("alpaca",),
    "per_minute": ("alpaca",),
}
_OF_RUNNING = ("nightly", "divergence", "broker", "broker_url")
_OF_TRAINING = ("model", "preset", "processes", "device", "precision", "position_state")
_SECRETS = ("alpaca_key", "alpaca_secret", "binance_key", "binance_secret", "alert_urls")
ENV_FILE = ".env"


def months(span: Any) -> Any:
    """'5y' is 60 months, '6mo' is 6; a number is months already."""
    if isinstance(span, str) and (match := re.fullmatch(r"(\d+)\s*(y|mo)", span.strip())):
        return int(match[1]) * (12 if match[2] == "y" else 1)
    if isinstance(span, str):
        raise ValueError(f"a span is written like '5y' or '6mo', was {span!r}")
    return span


Months = Annotated[int, BeforeValidator(months)]
Timeframe = Annotated[str, BeforeValidator(lambda name: TIMEFRAMES.get(name, name))]
Calendar = Annotated[str, AfterValidator(canonical_calendar)]
Url = Annotated[str, AfterValidator(secure_address)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


if TYPE_CHECKING:
    CostSettings = Costs  # whose fields it has, and whose defaults
else:
    CostSettings = create_model(
        "CostSettings",
        __base__=_Section,
        __doc__="`[markets.NAME.costs]`: what `Costs` says of each; some are a year's.",
        **{each.name: (each.type, each.default) for each in fields(Costs)},
    )


class DivergenceSettings(_Section):
    """`[markets.NAME.divergence]`: what `Tolerance` says; beyond it, somebody is told."""

    day: float = Field(default=Tolerance.day, gt=0)
    total: float = Field(default=Tolerance.total, gt=0)


class WalkForwardSettings(_Section):
    """`[markets.NAME.walk_forward]`: spans such as '5y' or '6mo'; embargo in bars.

    What is not given is usual for the calendar and the timeframe.
    """

    first_train: Months | None = None
    test: Months | None = None
    window: Months | None = None
    embargo: int = 0


class MarketSettings(_Section):
    """`[markets.NAME]`: one market; the same assets, jobs and schedules are made for each."""

    source: Literal["sample", "synthetic", "parquet", "alpaca", "binance", "ccxt"]
    path: Path | None = None  # of a parquet source: a file or a folder
    exchange: str | None = None  # of a ccxt source, as ccxt spells it: "kraken"
    feed: Literal["iex", "sip"] | None = None  # of Alpaca; iex, the free one, if not given
    url: Url | None = None  # a mirror or proxy of the venue's data
    trading_url: Url | None = None  # of Alpaca: keys of a live account have another one
    # Of Alpaca: minutes after a bar's close, and requests a minute, that a paid plan has otherwise.
    delay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    broker: Literal[*(SIMULATED, *BROKERS)] = SIMULATED  # type: ignore[valid-type]  # of paper trading
    broker_url: Url | None = None  # in place of the broker's own address
    symbols: tuple[str, ...]
    start: date
    end: date | None = None
    timeframe: Timeframe = "1d"
    # Of exchange_calendars, such as "XTKS" or "24/5"; if not given, 24/7 for coins and else XNYS.
    calendar: Calendar | None = None
    # As walk-forward counts them in bars that the calendar does not fit; else the calendar's.
    measured_bars_per_year: int | None = Field(default=None, ge=1)
    measured_days_per_year: int | None = Field(default=None, ge=1)
    mandate: str = "long_only"
    shortable: bool = False
    horizon: int | None = None  # bars; if not given, usual for calendar and timeframe
    profile: Literal["conservative", "moderate", "aggressive"] = "moderate"
    model: Literal["network", "ridge", "ridge_lags", "lightgbm", "lstm", "best"] = "network"
    preset: Literal["tiny", "small", "full"] = "small"
    processes: int = Field(default=1, ge=1)  # that share one training, a GPU each if there are any
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")  # to train on
    precision: Literal["float32", "bfloat16"] = "float32"  # of the encoders' matrix products
    position_state: bool = False  # whether the network sees its own notional book
    nightly: bool = False  # start the nightly schedule and the new-bars sensor by themselves
    costs: CostSettings = CostSettings()
    walk_forward: WalkForwardSettings = WalkForwardSettings()
    divergence: DivergenceSettings = DivergenceSettings()
    limits: dict[str, float] = Field(default_factory=dict)  # that differ from the profile's
    benchmark: dict[str, float] = Field(default_factory=dict)  # symbol -> weight; else equal ones
    sectors: dict[str, str] = Field(default_factory=dict)  # symbol -> name; else clusters are found

    @classmethod
    def of(cls, market: Market, *, path: Path, preset: str, model: str = "network") -> Self:
        """The entry of a market that was made from a panel."""
        return cls.model_validate(
            {
                **{name: value for name, value in asdict(market).items() if name != "name"},
                "path": path,
                "preset": preset,
                "model": model,
            }
        )

    def market(self, name: str) -> Market:
        """The same, as the value that the rest of the code works with."""
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):  # also a folder, a table, a part of assets
            raise SettingsError(
                f"markets.{name!r}: a market's name is made of letters, digits and underscores"
            )
        self._check_source(name)
        self._check_broker(name)
        try:
            market = Market(name=name, **self._terms())
            profile_of(market)  # its limits are checked now, and not in the middle of a night
            return market
        except ValueError as error:
            raise SettingsError(f"markets.{name}: {error}") from error

    def _check_source(self, name: str) -> None:
        """Refuse what the source lacks, and what it would not read."""
        for key, source in (("path", "parquet"), ("exchange", "ccxt")):
            if self.source == source and getattr(self, key) is None:
                raise SettingsError(f"markets.{name}: a {source} source needs `{key} = ...`")
        for key, sources in _OF_SOURCE.items():
            if getattr(self, key) is not None and self.source not in sources:
                raise SettingsError(
                    f"markets.{name}: `{key}` is for {' and '.join(sources)}, and the source is "
                    f"{self.source}; remove it"
                )

    def _check_broker(self, name: str) -> None:
        """Refuse a broker that does not trade what the source tells of."""
        if self.broker == SIMULATED:
            if self.broker_url is not None:
                raise SettingsError(
                    f"markets.{name}: `broker_url` is for a broker, and fills are simulated; "
                    "remove it, or set `broker`"
                )
            return
        if self.source not in BROKERS[self.broker]:
            raise SettingsError(
                f"markets.{name}: `broker = {self.broker!r}` needs live bars of the source "
                f"{' or '.join(BROKERS[self.broker])}, and the source is {self.source}; set "
                '`broker = "simulated"`, or remove it'
            )
        if self.broker == BINANCE_TESTNET and self.shortable:
            raise SettingsError(
                f"markets.{name}: nothing is sold short at a spot exchange; remove `shortable`"
            )

    def _terms(self) -> dict[str, Any]:
        """All of a market but its name, with what is usual where nothing is said."""
        plain = self.model_dump(exclude={*_OF_SOURCE, *_OF_TRAINING, *_OF_RUNNING})
        calendar = self.calendar or ("24/7" if self.source in COIN_SOURCES else "XNYS")
        horizon, spans = usual_terms(calendar, self.timeframe)
        given = {name: each for name, each in plain["walk_forward"].items() if each is not None}
        return plain | {
            "calendar": calendar,
            "horizon": horizon if self.horizon is None else self.horizon,
            "costs": Costs(**plain["costs"]),
            "walk_forward": replace(spans, **given),
        }


class _Reworded(PydanticBaseSettingsSource):
    """What a source says, under today's names; each source by itself, for one overrides another."""

    def __init__(self, source: PydanticBaseSettingsSource) -> None:
        super().__init__(source.settings_cls)
        self.source = source

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self.source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = self.source()
        if not isinstance(markets := values.get("markets"), dict):
            return values
        return values | {"markets": {name: _reworded(name, each) for name, each in markets.items()}}


class _OwnNames(_Reworded):
    """What .env says under TP_*; other programs, such as compose, keep their variables there."""

    def __call__(self) -> dict[str, Any]:
        known = set(self.settings_cls.model_fields)
        values = super().__call__()
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

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return tomllib.loads(file_path.read_text(encoding="utf-8-sig"))  # as some editors write it


def _may_hold_a_password(url: object) -> bool:
    """Whether a database's address names a user or has a query; a file's has neither."""
    _, _, place = str(url or "").partition("://")
    return not str(url).startswith("sqlite") and ("@" in place or "?" in place)


def _is_ours(name: str) -> bool:
    """Whether .env has a name as TP_NAME: a typo of ours is refused, another's is left alone."""
    return name.upper().startswith("TP_")


class Settings(BaseSettings):
    """The whole configuration. Unknown names are refused."""

    model_config = SettingsConfigDict(
        env_prefix="TP_",
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_file_encoding="utf-8-sig",  # as some editors write it
        env_ignore_empty=True,  # compose hands on what is not set as an empty text
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # what is refused may be a key
    )

    home: Path = Field(default=Path("data_storage"), description="where everything is kept")
    # It may hold a password, so it is as secret as a key.
    ledger_url: SecretStr | None = Field(default=None, description="default: SQLite below `home`")
    multiprocess: bool = Field(default=False, description="a process for each step of a run")
    alpaca_key: SecretStr | None = Field(default=None, description="never in pipeline.toml")
    alpaca_secret: SecretStr | None = Field(default=None, description="never in pipeline.toml")
    # Of its spot testnet; https://testnet.binance.vision gives them for nothing.
    binance_key: SecretStr | None = Field(default=None, description="never in pipeline.toml")
    binance_secret: SecretStr | None = Field(default=None, description="never in pipeline.toml")
    # Of apprise, separated by blanks: `tgram://TOKEN/CHAT mailtos://...`; passwords are in them.
    alert_urls: SecretStr | None = Field(default=None, description="beside the log")
    markets: dict[str, MarketSettings] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = _NoSecrets(settings_cls, config_path())
        given = (init_settings, env_settings)
        files = InitSettingsSource(settings_cls, _secrets_in_files())
        return *map(_Reworded, given), _OwnNames(dotenv_settings), files, _Reworded(toml)

    @classmethod
    def read(cls, **overrides: Any) -> "Settings":
        """The settings, or a SettingsError that names each bad one and where it comes from."""
        _refuse_unknown_variables(set(cls.model_fields))
        _refuse_missing_file()
        _refuse_other_bytes()
        try:
            return cls(**overrides)
        except ValidationError as error:
            faults = (
                f"{_place_of(fault['loc'])}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors()
            )
            raise SettingsError("; ".join(faults)) from error
        except SettingsParsingError as error:  # a variable that should hold JSON
            place = "a TP_* variable" if "EnvSettingsSource" in str(error) else ENV_FILE
            raise SettingsError(f"{place}: {error}") from error
        except OSError as error:
            raise SettingsError(f"{error.filename} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SettingsError(f"{config_path()} is not TOML in UTF-8: {error}") from error

    def market(self, name: str) -> Market:
        """The market of that name, or a SettingsError that lists the ones there are."""
        if name not in self.markets:
            known = ", ".join(sorted(self.markets)) or "none"
            raise SettingsError(
                f"no market {name!r}: {config_path().absolute()} has {known}. Add a "
                f"[markets.{name}] entry, run from the folder of pipeline.toml, or set TP_CONFIG."
            )
        try:
            return self.markets[name].market(name)
        except SettingsError as error:
            raise SettingsError(f"{_places_of(name)}: {error}") from error

    def for_panel(self, home: Path, name: str, entry: MarketSettings) -> Path:
        """Write `home`/pipeline.toml with this one market; its path."""
        path = home / "pipeline.toml"
        plain = entry.model_dump(mode="json", exclude_none=True)
        write_settings(path, {"home": str(home), "markets": {name: plain}})
        return path


def config_path() -> Path:
    return Path(os.environ.get("TP_CONFIG", "pipeline.toml"))


def _secrets_in_files() -> dict[str, Any]:
    """Secrets that a container gets as files named like tp_alpaca_key, in the folder TP_SECRETS."""
    if not (folder := os.environ.get("TP_SECRETS")):
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
    if "TP_CONFIG" in os.environ and not config_path().is_file():
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


def _place_of(entry: tuple[int | str, ...]) -> str:
    """Which source said a value that was refused: the strongest that says it, or what holds it."""
    names = ["__".join(map(str, entry[:depth])).upper() for depth in range(len(entry), 0, -1)]
    names = [full for name in names for full in (f"TP_{name}", name) if _is_ours(full)]
    for place, said in (("", os.environ), (f"{ENV_FILE}: ", _in_env_file())):
        variables = {name.upper() for name in said}
        if found := next((name for name in names if name in variables), None):
            return f"{place}{found}"
    return str(config_path())


def _places_of(market: str) -> str:
    """Where the entry of a market is from: the file, and the variables that change it."""
    said = {name.upper() for name in (*os.environ, *_in_env_file())}
    changed = sorted(name for name in said if name.startswith(f"TP_MARKETS__{market.upper()}__"))
    return ", ".join([str(config_path()), *changed])


def _in_env_file() -> dict[str, str | None]:
    path = Path(ENV_FILE)
    return dotenv_values(path, encoding="utf-8-sig") if path.is_file() else {}


def _reworded(name: str, entry: Any) -> Any:
    """The entry of a market without the names that it was written under before."""
    if not isinstance(entry, dict):
        return entry
    entry = dict(entry)
    if "book" in entry and "mandate" not in entry:
        entry["mandate"] = entry.pop("book")
        _say_once(
            f"{_place_of(('markets', name, 'book'))}: `book` of {name} is called `mandate` now"
        )
    if isinstance(entry.get("benchmark"), str):
        place, value = _place_of(("markets", name, "benchmark")), entry.pop("benchmark")
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
