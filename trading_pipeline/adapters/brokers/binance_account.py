"""Binance's spot account through the unmodified ccxt client: signed questions, orders sent once.

Keys go into headers and signatures, and into no error: errors of the client hold the request, and
are never passed on, not even as the cause of ours.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from trading_pipeline.adapters.keys import BINANCE_TESTNET, TESTNET, binance_keys
from trading_pipeline.adapters.sources.ccxt_client import CcxtClient, T
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

NO_SUCH_ORDER, NOT_OPEN = -2013, -2011
_CLOCK, _KEYS = -1021, frozenset({-1022, -2014, -2015})
_UNKNOWN = frozenset({-1006, -1007})  # of which the venue itself says so
_LIVE = re.compile(r"(^|\.)binance\.(com|us)$")


class BinanceAccount(CcxtClient):
    """What a broker needs of the venue; its answers as the venue writes them."""

    def __init__(
        self,
        key: SecretStr | None,
        secret: SecretStr | None,
        url: str | None,
        patience: Patience,
        now: Callable[[], datetime],
    ) -> None:
        """`url`: in place of the testnet's. Raises SettingsError for one with real money."""
        url = url or TESTNET
        if _LIVE.search(urlsplit(url).hostname or ""):
            raise SettingsError(
                f"{url} trades real money; orders are sent to the testnet only ({TESTNET})"
            )
        super().__init__("binance", "1d", url, patience, now)
        texts = binance_keys(key, secret)
        self._secrets = texts
        self._ccxt.apiKey, self._ccxt.secret = texts
        # Of an API that the testnet lacks, and that ccxt asks for where it has keys.
        self._ccxt.has["fetchCurrencies"] = self._ccxt.options["fetchMargins"] = False
        self._now, self._in_step = now, False

    def ask(self, path: str, fields: dict[str, Any] | None = None) -> Any:
        """The answer to a signed GET.

        Raises:
            NoSuchOrder; SourceUnavailable: no answer; CredentialsError: it refuses the keys;
            SourceError: it refuses the question.
        """
        self._agree_on_time()
        try:
            return self._ask(path, lambda: self._call("GET", path, fields))
        except _OutOfStep:
            self._agree_on_time(anew=True)
            return self._ask(path, lambda: self._call("GET", path, fields))

    def instant(self) -> int:
        """The venue's time now, in ms since 1970."""
        return int(self._time(self._now).timestamp() * 1000)

    def change(self, method: Literal["POST", "DELETE"], path: str, fields: dict[str, Any]) -> Any:
        """Send what changes something, once; again only where the venue has not looked at it.

        Raises:
            OutcomeUnknown: it may have been done. Rejected: it was not, and why; NoSuchOrder.
            SourceUnavailable, CredentialsError, SourceError: it was not.
        """
        import ccxt

        complaint: Exception = SourceUnavailable("")
        status: int | None
        code: int | None
        self._agree_on_time()
        for attempt in range(self._patience.tries):
            pause = self._patience.pause(attempt)
            try:
                answer = self._call(method, path, fields)
                if isinstance(answer, dict):
                    return answer
                text, status, code, wish = excerpt(answer), 200, None, 0.0
            except ccxt.BaseError as error:
                text, (status, code, wish) = self._text(error), _answer_of(error)
            if status in TOO_MANY:
                complaint = SourceUnavailable(f"binance {path}: {text}; nothing was done")
                if wish > self._patience.limit:
                    break
                self._pace.hold(max(pause, wish))
            elif code == _CLOCK and attempt == 0:
                self._agree_on_time(anew=True)
            else:
                complaint = self._judged(path, text, status, code)
                break
        raise complaint

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        try:
            return super()._ask(what, call)
        except SourceError as error:
            complaint = self._worded(type(error), str(error), _answer_of(error)[1])
        # Outside the block, so that nothing that holds the request is chained to it.
        raise complaint

    def _call(self, method: str, path: str, fields: dict[str, Any] | None) -> Any:
        return getattr(self._ccxt, f"private_{method}_{path}".lower())(dict(fields or {}))

    def _agree_on_time(self, *, anew: bool = False) -> None:
        """Measure how the venue's clock differs, by which signatures are valid."""
        if anew or not self._in_step:
            self._ask("clock", self._ccxt.load_time_difference)
            self._in_step = True

    def _judged(self, path: str, text: str, status: int | None, code: int | None) -> Exception:
        """What came of a change, by the venue's answer or the lack of it."""
        definite = status is not None and 400 <= status < 500 and status not in FAILING
        if not definite or code in _UNKNOWN:
            kind = "no answer" if status is None else f"HTTP {status}"
            return OutcomeUnknown(f"binance {path}: {kind} to an order: it may have been done")
        if code is None or code in _KEYS:
            return self._worded(SourceError, f"binance {path}: {text}; nothing was done", code)
        refused = NoSuchOrder if code in (NO_SUCH_ORDER, NOT_OPEN) else Rejected
        return refused(f"binance refused it: {self._clean(text)}")

    def _worded(self, kind: type[SourceError], text: str, code: int | None) -> SourceError:
        if code in _KEYS:
            return CredentialsError(
                f"binance refused the keys of {BINANCE_TESTNET} ({code}): they must be of the "
                f"testnet, or of the address that is set; make new ones at {TESTNET}"
            )
        kind = {NO_SUCH_ORDER: NoSuchOrder, _CLOCK: _OutOfStep}.get(code or 0, kind)
        return kind(self._clean(text))

    def _clean(self, text: str) -> str:
        """Without keys, and without what was signed by them."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return re.sub(r"signature=\w+", "signature=***", text)


class NoSuchOrder(Rejected, SourceError):
    """The venue does not know the order, or it is over."""


class _OutOfStep(SourceError):
    """The clock that the question was signed by is not the venue's."""


def _answer_of(error: BaseException | None) -> tuple[int | None, int | None, float]:
    """HTTP status, the venue's own code and the pause that it wants, of what an error came from."""
    while error is not None:
        if (response := getattr(error, "response", None)) is not None:
            try:
                code = int(response.json()["code"])
            except (ValueError, TypeError, LookupError):
                code = None
            return int(response.status_code), code, retry_after(response)
        error = error.__cause__ or error.__context__
    return None, None, 0.0
