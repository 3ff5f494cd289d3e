"""Everything the outside world may change, read once, at the edge.

Order of precedence, strongest first: TP_* variables, .env, files of secrets, pipeline.toml, the
defaults below.
Nested values are joined by two underscores: TP_MARKETS__SAMPLE__HORIZON=10.
"""

import re
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

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
    PydanticBaseSettingsSource,
    SettingsConfigDict,
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
from trading_pipeline.settings_sources import (
    ENV_FILE,
    by_strength,
    check_sources,
    config_path,
    place_of,
    places_of,
)

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
    # Credentials are those of its service's own variables, such as AWS_ACCESS_KEY_ID.
    storage: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9+]+://[^@?]+$",
        description="where machines share it, such as s3://BUCKET/PREFIX; default: they do not",
    )
    executor: Literal["in_process", "multiprocess", "ray", "kubernetes"] = Field(
        default="in_process", description="where the steps of a run are executed"
    )
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
        given = (init_settings, env_settings)
        return by_strength(settings_cls, *given, dotenv=dotenv_settings)

    @classmethod
    def read(cls, **overrides: Any) -> "Settings":
        """The settings, or a SettingsError that names each bad one and where it comes from."""
        check_sources(set(cls.model_fields))
        try:
            return cls(**overrides)
        except ValidationError as error:
            faults = (
                f"{place_of(fault['loc'])}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
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
            raise SettingsError(f"{places_of(name)}: {error}") from error

    def for_panel(self, home: Path, name: str, entry: MarketSettings) -> Path:
        """Write `home`/pipeline.toml with this one market; its path."""
        path = home / "pipeline.toml"
        plain = entry.model_dump(mode="json", exclude_none=True)
        write_settings(path, {"home": str(home), "markets": {name: plain}})
        return path
