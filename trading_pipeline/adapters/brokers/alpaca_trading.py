"""Alpaca's trading API, which changes something: asked once, and told apart what came of it.

What `AlpacaApi` promises holds here too: no key in any error, and none to another address.
"""

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from trading_pipeline.adapters.sources.alpaca_api import VENUE, AlpacaApi, NotFound
from trading_pipeline.adapters.sources.payload import excerpt
from trading_pipeline.adapters.sources.retry import FAILING, TOO_MANY, Patience, retry_after
from trading_pipeline.errors import (
    CredentialsError,
    OutcomeUnknown,
    Rejected,
    SettingsError,
    SourceError,
    SourceUnavailable,
)

if TYPE_CHECKING:
    import requests

Record = dict[str, Any]
_LIVE = "api.alpaca.markets"
_SHOWN = 300


class TradingApi(AlpacaApi):
    """Records of a paper account as Alpaca writes them; threads may share it."""

    def __init__(
        self,
        key: SecretStr | None,
        secret: SecretStr | None,
        url: str | None,
        per_minute: float,
        patience: Patience | None,
    ) -> None:
        """`url`: in place of the paper account's address.

        Raises:
            SettingsError: it is the address of accounts with real money.
        """
        if url and urlsplit(url).hostname == _LIVE:
            raise SettingsError(
                f"{_LIVE} trades real money; orders are sent to paper accounts only. Leave out "
                "`trading_url`, and give the keys of a paper account"
            )
        super().__init__(key, secret, None, url, per_minute, patience)

    def record(self, path: str, fields: dict[str, Any] | None = None) -> Record:
        """One record; raises NotFound where there is none."""
        answer = self._get("trading", path, fields or {})
        if not isinstance(answer, dict):
            raise _strange(path, answer)
        return answer

    def records(self, path: str, fields: dict[str, Any] | None = None) -> list[Record]:
        """A list of records."""
        answer = self._get("trading", path, fields or {})
        if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
            raise _strange(path, answer)
        return answer

    def change(
        self, method: Literal["post", "delete"], path: str, fields: dict[str, Any] | None = None
    ) -> Any:
        """Send what changes something, once; again only where the venue has not looked at it.

        Raises:
            OutcomeUnknown: it may have been done. Rejected: it was not, and why; NotFound: as much,
                for there is nothing at this address. SourceUnavailable: asked too often, not done.
        """
        from alpaca.common.exceptions import APIError
        from requests import RequestException

        complaint: Exception = SourceUnavailable("")
        for attempt in range(self._patience.tries):
            try:
                return getattr(self._client("trading"), method)(path, fields)
            except _TooMany as error:
                complaint = SourceUnavailable(f"{error} ({attempt + 1} tries); nothing was done")
                if error.seconds > self._patience.limit:
                    break
                self._pace.hold(max(self._patience.pause(attempt), error.seconds))
            except APIError as error:
                complaint = _refusal(path, error.status_code, str(error))
                break
            except (RequestException, ValueError) as error:
                complaint = OutcomeUnknown(
                    f"{VENUE} did not answer {method.upper()} {path} ({type(error).__name__}): it "
                    "may have been done"
                )
                break
        # Outside the block, so that nothing that holds the request is chained to it.
        raise complaint

    def _look_at(self, answer: "requests.Response", **kwargs: Any) -> None:
        super()._look_at(answer, **kwargs)
        if answer.request.method == "GET":
            return
        said = f"{VENUE} answered HTTP {answer.status_code} ({answer.reason})"
        if answer.status_code in TOO_MANY:
            raise _TooMany(said, retry_after(answer))
        if answer.status_code in FAILING or answer.status_code >= 500:
            raise OutcomeUnknown(f"{said} to an order: it may have been done")


class _TooMany(SourceUnavailable):
    """Asked too often; `seconds` is how long it wants to be left alone."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


def _refusal(path: str, status: int | None, text: str) -> Exception:
    said = f"{VENUE} refused it (HTTP {status}): {' '.join(text[:_SHOWN].split())}"
    if status == 401:
        return CredentialsError(f"{said}; the keys must be those of a paper account")
    return NotFound(said) if status == 404 else Rejected(said)


def _strange(path: str, answer: object) -> SourceError:
    return SourceError(f"{VENUE} answered {path} with something unknown: {excerpt(answer)}")
