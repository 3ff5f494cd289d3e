"""Keys of venues: what they are called, who wants them, and whether they are there. Nothing here
loads a client, so that a command can say that one is missing before it begins."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import SecretStr

from trading_pipeline.errors import CredentialsError

ALPACA = "TP_ALPACA_KEY and TP_ALPACA_SECRET"
BINANCE_TESTNET = "TP_BINANCE_KEY and TP_BINANCE_SECRET"
TESTNET = "https://testnet.binance.vision"


def alpaca_keys(*keys: SecretStr | None) -> list[str]:
    """Key and secret as text.

    Raises:
        CredentialsError: one is missing, or holds what no key does; says what to do.
    """
    texts = _texts(keys, f"Alpaca wants keys: set {ALPACA} in .env or the environment. They are "
                   "free, of a paper account, at https://app.alpaca.markets")  # fmt: skip
    if not all(text.isascii() and text.isalnum() for text in texts):
        raise CredentialsError(
            f"{ALPACA} are letters and digits only; look for a space or a quote in them"
        )
    return texts


def binance_keys(*keys: SecretStr | None) -> list[str]:
    """The same of Binance's testnet."""
    return _texts(keys, f"binance wants keys: set {BINANCE_TESTNET} in .env or the environment. "
                  f"They are free, of a test account, at {TESTNET}")  # fmt: skip


def _texts(keys: tuple[SecretStr | None, ...], missing: str) -> list[str]:
    texts = [key.get_secret_value() if key else "" for key in keys]
    if not all(texts):
        raise CredentialsError(missing)
    return texts


class Keys(NamedTuple):
    """The keys that one venue wants."""

    venue: str
    names: tuple[str, str]  # of the settings that hold them
    texts: Callable[..., list[str]]  # raises CredentialsError if they cannot be right

    def held(self, settings: Any) -> tuple[SecretStr | None, SecretStr | None]:
        """Key and secret as the settings hold them."""
        key, secret = (getattr(settings, name) for name in self.names)
        return key, secret


_ALPACA = Keys("Alpaca", ("alpaca_key", "alpaca_secret"), alpaca_keys)
_TESTNET = Keys("Binance's testnet", ("binance_key", "binance_secret"), binance_keys)
OF_SOURCES = {"alpaca": _ALPACA}  # the others ask for none
OF_BROKERS = {"alpaca": _ALPACA, "binance_testnet": _TESTNET}
