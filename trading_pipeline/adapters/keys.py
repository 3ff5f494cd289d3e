"""Keys of venues: what they are called, and whether they are there. Nothing here loads a client,
so that a command can say that one is missing before it begins."""

from pydantic import SecretStr

from trading_pipeline.errors import CredentialsError

ALPACA = "TP_ALPACA_KEY and TP_ALPACA_SECRET"
BINANCE_TESTNET = "TP_BINANCE_KEY and TP_BINANCE_SECRET"


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


def binance_keys(*keys: SecretStr | None, testnet: str) -> list[str]:
    """The same of Binance's testnet, whose address is for the message."""
    return _texts(keys, f"binance wants keys: set {BINANCE_TESTNET} in .env or the environment. "
                  f"They are free, of a test account, at {testnet}")  # fmt: skip


def _texts(keys: tuple[SecretStr | None, ...], missing: str) -> list[str]:
    texts = [key.get_secret_value() if key else "" for key in keys]
    if not all(texts):
        raise CredentialsError(missing)
    return texts
