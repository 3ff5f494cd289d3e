"""The settings of one market: `[markets.NAME]` and the sections below it."""

import re
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from trading_pipeline.adapters.brokers.factory import BINANCE_TESTNET, BROKERS, SIMULATED
from trading_pipeline.adapters.sources.address import secure_address
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.core.market.exchanges import canonical_calendar
from trading_pipeline.core.market.market import TIMEFRAMES, Costs, Market, usual_terms
from trading_pipeline.core.model.config import MODELS, TrainingConfig
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.errors import SettingsError

COIN_SOURCES = ("binance", "ccxt")
LIVE_SOURCES = ("alpaca", *COIN_SOURCES)  # venues over the network
SOURCES = ("sample", "synthetic", "parquet", *LIVE_SOURCES)
_OF_SOURCE = {  # settings that only some sources read
    "path": ("parquet",),
    "exchange": ("ccxt",),
    "feed": ("alpaca",),
    "url": LIVE_SOURCES,
    "trading_url": ("alpaca",),
    "delay": ("alpaca",),
    "per_minute": ("alpaca",),
}
_OF_RUNNING = ("nightly", "owner", "divergence", "broker", "broker_url")
_OF_TRAINING = (
    *("model", "preset", "processes", "device", "precision", "position_state"),
    *("epochs", "batch_size", "learning_rate"),
)


def months(span: Any) -> Any:
    """'5y' is 60 months, '6mo' is 6; a number is months already."""
    if isinstance(span, str) and (match := re.fullmatch(r"(\d+)\s*(y|mo)", span.strip())):
        return int(match[1]) * (12 if match[2] == "y" else 1)
    if isinstance(span, str):
        raise ValueError(f"a span is written like '5y' or '6mo', was {span!r}")
    return span


def source_name(name: str) -> str:
    """One of `SOURCES`, or a class of one's own."""
    if name not in SOURCES and not re.fullmatch(r"\w+(\.\w+)*:\w+", name):
        raise ValueError(
            f"there is no source {name!r}: it is one of {', '.join(SOURCES)}, or a class of your "
            "own as MODULE:CLASS"
        )
    return name


Months = Annotated[int, BeforeValidator(months)]
Source = Annotated[str, AfterValidator(source_name)]
Timeframe = Annotated[str, BeforeValidator(lambda name: TIMEFRAMES.get(name, name))]
Calendar = Annotated[str, AfterValidator(canonical_calendar)]
Url = Annotated[str, AfterValidator(secure_address)]


class _Section(BaseModel):
    """What is below a field is its meaning, in the reference of the settings and in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


if TYPE_CHECKING:
    CostSettings = Costs  # whose fields it has, and whose defaults
else:
    CostSettings = create_model(
        "CostSettings",
        __base__=_Section,
        __doc__="`[markets.NAME.costs]`: what `Costs` says of each; some are a year's.",
        **{
            each.name: (
                get_args(each.type)[0],
                Field(default=each.default, description=get_args(each.type)[1]),
            )
            for each in fields(Costs)
        },
    )


class DivergenceSettings(_Section):
    """`[markets.NAME.divergence]`: what `Tolerance` says; beyond it, somebody is told."""

    day: float = Field(default=Tolerance.day, gt=0)
    """Of one day, as a fraction of equity: an alert is sent beyond it."""
    total: float = Field(default=Tolerance.total, gt=0)
    """The same of all days since the session began."""


class WalkForwardSettings(_Section):
    """`[markets.NAME.walk_forward]`: spans such as '5y' or '6mo'; embargo in bars.

    What is not given is usual for the calendar and the timeframe.
    """

    first_train: Months | None = None
    """History before the first fold: `"5y"` or `"6mo"`."""
    test: Months | None = None
    """What one fold predicts; a month count that divides 12."""
    window: Months | None = None
    """What a fold trains on."""
    embargo: int = 0
    """Bars left out between training and test, beyond those whose targets reach into the test."""


class MarketSettings(_Section):
    """`[markets.NAME]`: one market; the same assets, jobs and schedules are made for each."""

    source: Source
    """Where its bars come from: sample, synthetic, parquet, alpaca, binance, ccxt, or
    `"MODULE:CLASS"`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of a source of one's own: what its class is called with, by name."""
    path: Path | None = None
    """Of a parquet source: a file or a folder."""
    exchange: str | None = None
    """Of a ccxt source: the exchange, as ccxt spells it, such as `"kraken"`."""
    feed: Literal["iex", "sip"] | None = None
    """Of Alpaca: `"iex"`, the free one, if not given, or `"sip"`, all exchanges."""
    url: Url | None = None
    """A mirror or proxy of the venue's data."""
    trading_url: Url | None = None
    """Of Alpaca: where accounts, assets and its clock are; keys of a live account have another."""
    delay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of Alpaca: minutes after a bar's close until it is told, that a paid plan has otherwise."""
    per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Of Alpaca: requests a minute, that a paid plan has otherwise."""
    broker: Literal[*(SIMULATED, *BROKERS)] = SIMULATED  # type: ignore[valid-type]
    """Where the orders of paper trading go."""
    broker_url: Url | None = None
    """In place of the broker's own address."""
    symbols: tuple[str, ...]
    """What is traded, as the source spells it."""
    start: date
    """First day of the history."""
    end: date | None = None
    """The day after the last one; if not given, the market goes on."""
    timeframe: Timeframe = "1d"
    """Length of a bar: 1d, 4h, 1h, 30m, 15m, 5m or 1m."""
    calendar: Calendar | None = None
    """Of exchange_calendars, such as `"XTKS"`, or `"24/5"`; if not given, 24/7 for coins, else
    XNYS."""
    measured_bars_per_year: int | None = Field(default=None, ge=1)
    """Bars a year, where the bars do not fit the calendar, as walk-forward counts them."""
    measured_days_per_year: int | None = Field(default=None, ge=1)
    """Days a year, in the same case."""
    mandate: str = "long_only"
    """`"long_only"`, or `"neutral"`: longs and shorts are worth the same."""
    shortable: bool = False
    """Whether symbols can be sold short."""
    horizon: int | None = None
    """Bars that a score looks ahead; if not given, usual for calendar and timeframe."""
    profile: Literal["conservative", "moderate", "aggressive"] = "moderate"
    """The risk limits; `limits` changes single ones."""
    model: Literal[*MODELS] = "network"  # type: ignore[valid-type]
    """What trades; `"best"`: for each fold what validation chooses."""
    preset: Literal["tiny", "small", "full"] = "small"
    """Size of the network, and the budget of its training."""
    processes: int = Field(default=1, ge=1)
    """Processes that share one training, with a GPU each if there are any."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    """What to train on."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products in the encoders."""
    position_state: bool = False
    """Whether the network sees its own notional book."""
    epochs: int | None = Field(default=None, ge=1)
    """In place of the preset's budget: times that training goes through the windows of a fold."""
    batch_size: int | None = Field(default=None, ge=TrainingConfig.min_dates)
    """In place of the preset's: windows of a step."""
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """In place of the preset's."""
    nightly: bool = False
    """Whether the nightly schedule and the sensor of new bars start by themselves."""
    owner: str = Field(default="team:trading", pattern=r"^(team:\S+|[^@\s]+@[^@\s]+\.[^@\s]+)$")
    """Whom to ask about its assets: an e-mail address, or `team:NAME`."""
    costs: CostSettings = CostSettings()
    """What trading costs: `[markets.NAME.costs]`."""
    walk_forward: WalkForwardSettings = WalkForwardSettings()
    """The spans of training and test: `[markets.NAME.walk_forward]`."""
    divergence: DivergenceSettings = DivergenceSettings()
    """How far paper may be from the backtest: `[markets.NAME.divergence]`."""
    limits: dict[str, float] = Field(default_factory=dict)
    """Limits that differ from the profile's: `[markets.NAME.limits]`."""
    benchmark: dict[str, float] = Field(default_factory=dict)
    """By symbol, the weight that is held where scores say nothing; if not given, equal weights."""
    sectors: dict[str, str] = Field(default_factory=dict)
    """By symbol, the name of its group for a shared cap; if not given, groups are found."""

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
        self._check_batch(name)
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
        if self.options and ":" not in self.source:
            raise SettingsError(
                f"markets.{name}: `options` are for a source of your own (MODULE:CLASS), and the "
                f"source is {self.source}; remove them"
            )
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

    def _check_batch(self, name: str) -> None:
        """Refuse a batch of which not every process gets a block."""
        least = TrainingConfig.min_dates * self.processes
        if self.batch_size is not None and self.batch_size < least:
            raise SettingsError(
                f"markets.{name}: a batch of {self.processes} processes has at least {least} "
                f"windows, and `batch_size` is {self.batch_size}"
            )

    def _terms(self) -> dict[str, Any]:
        """All of a market but its name, with what is usual where nothing is said."""
        plain = self.model_dump(exclude={"options", *_OF_SOURCE, *_OF_TRAINING, *_OF_RUNNING})
        calendar = self.calendar or ("24/7" if self.source in COIN_SOURCES else "XNYS")
        horizon, spans = usual_terms(calendar, self.timeframe)
        given = {name: each for name, each in plain["walk_forward"].items() if each is not None}
        return plain | {
            "calendar": calendar,
            "horizon": horizon if self.horizon is None else self.horizon,
            "costs": Costs(**plain["costs"]),
            "walk_forward": replace(spans, **given),
        }
