"""Everything the outside world may change, read once, at the edge.

Order of precedence, strongest first: TP_* variables, .env, files of secrets, pipeline.toml, the
defaults below.
Nested values are joined by two underscores: TP_MARKETS__SAMPLE__HORIZON=10.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SettingsParsingError

from trading_pipeline.adapters.store.settings_file import write_settings
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings_markets import MarketSettings
from trading_pipeline.settings_sources import (
    ENV_FILE,
    by_strength,
    check_sources,
    config_path,
    places_of,
    said_of_fault,
    where_markets_are,
)

EXECUTORS = ("in_process", "multiprocess", "ray", "kubernetes")


def storage_url(url: str) -> str:
    """An address of fsspec, which is shown, and so holds no keys. What is refused may hold some."""
    if not re.fullmatch(r"[a-z0-9+]+://[^@?]+", url):
        raise ValueError(
            "an address is written like 's3://BUCKET/PREFIX', without keys: those are variables of "
            "its service, such as AWS_SECRET_ACCESS_KEY"
        )
    return url


StorageUrl = Annotated[str, AfterValidator(storage_url)]


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
        use_attribute_docstrings=True,
    )

    home: Path = Path("data_storage")
    """Where everything is kept."""
    ledger_url: SecretStr | None = None
    """The database of the ledger; if not given, SQLite below `home`. It may hold a password."""
    storage: StorageUrl | None = None
    """Where machines share it, such as s3://BUCKET/PREFIX; if not given, they do not. Credentials
    are those of its service's own variables, such as AWS_ACCESS_KEY_ID."""
    executor: Literal[*EXECUTORS] = "in_process"  # type: ignore[valid-type]
    """Where the steps of a run are executed."""
    alpaca_key: SecretStr | None = None
    """The key of Alpaca; that of a paper account is enough."""
    alpaca_secret: SecretStr | None = None
    """Its secret."""
    binance_key: SecretStr | None = None
    """The key of Binance's spot testnet; https://testnet.binance.vision gives it for nothing."""
    binance_secret: SecretStr | None = None
    """Its secret."""
    alert_urls: SecretStr | None = None
    """Where alerts go beside the log: URLs of apprise, separated by blanks; they hold passwords."""
    markets: dict[str, MarketSettings] = Field(default_factory=dict)
    """The markets, by name: `[markets.NAME]`."""

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
            raise SettingsError("\n".join(map(said_of_fault, error.errors()))) from error
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
            raise SettingsError(f"no market {name!r}: {where_markets_are(name, self.markets)}")
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
