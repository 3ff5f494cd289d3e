"""The live page of a paper session: a small web server for the browser of this machine.

What it may do, halt and resume, is money's worth, so it answers no other site's scripts: a request
has to name this machine or an address as its host (a page of elsewhere that points its own name
at us does not), and a word of the operator has to carry the token that only our page has.
"""

import ipaddress
import platform
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from trading_pipeline.adapters.dashboard_page import REPORT, page
from trading_pipeline.adapters.kill_switch import HALTED, PAUSED, TRADING
from trading_pipeline.errors import SettingsError, TradingPipelineError

_LONGEST = 200  # characters of a reason
# Its scripts are let run as those of a site of their own, which cannot ask this one for anything.
_OF_REPORT = "sandbox allow-scripts allow-downloads allow-popups; frame-ancestors 'none'"
_TOKEN = "x-token"  # header; a script of another site may not set one without being asked first

Read = Callable[[], dict[str, Any]]
Tell = Callable[[str, str], None]


def dashboard_app(market: str, read: Read, tell: Tell, report: Path) -> Starlette:
    """The page, its state as JSON, the words of the operator, and the backtest's report.

    Args:
        read: the state, asked every two seconds by each open page.
        tell: takes HALTED, PAUSED or TRADING, and why.
        report: folder of the market's report, which need not exist yet.
    """
    token, nonce = secrets.token_urlsafe(24), secrets.token_urlsafe(12)
    policy = f"default-src 'none'; connect-src 'self'; img-src data:; script-src 'nonce-{nonce}'; "
    policy += f"style-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'"

    async def show(_: Request) -> Response:
        headers = {"content-security-policy": policy, "referrer-policy": "no-referrer"}
        return HTMLResponse(page(market, token, nonce), headers=headers)

    async def state(_: Request) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(read))
        except TradingPipelineError as error:
            return JSONResponse({"error": str(error)}, 503)

    async def intent(request: Request) -> Response:
        """What the operator wants, told by a page that has the token."""
        told = request.headers.get(_TOKEN, "")
        if not secrets.compare_digest(told.encode(), token.encode()):
            return JSONResponse({"error": "the page is an old one: load it again"}, 403)
        try:
            word, reason = _word(await request.json())
            await run_in_threadpool(tell, word, reason)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        except TradingPipelineError as error:
            return JSONResponse({"error": str(error)}, 503)
        return JSONResponse({"intent": word})

    return Starlette(
        routes=[
            Route("/", show),
            Route("/state", state),
            Route("/intent", intent, methods=["POST"]),
            Mount(REPORT, StaticFiles(directory=report, check_dir=False)),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_ours_alone)],
    )


def serve(app: Starlette, host: str, port: int, ready: Callable[[str], object]) -> None:
    """Answer until Ctrl-C or SIGTERM.

    Args:
        port: 0 is one that is free. ready: told the page's address.

    Raises:
        SettingsError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"nothing can listen at {host} port {port} ({error.strerror}); give another --port"
        ) from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listening.getsockname()[1]}")
        settings = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
        uvicorn.Server(settings).run(sockets=[listening])


def _word(body: Any) -> tuple[str, str]:
    """What the operator wants, and why."""
    told = body if isinstance(body, dict) else {}
    word, reason = told.get("intent"), told.get("reason", "")
    if word not in (HALTED, PAUSED, TRADING) or not isinstance(reason, str):
        raise ValueError(f"intent is {HALTED}, {PAUSED} or {TRADING}, and reason a text")
    return word, "".join(each for each in reason if each.isprintable())[:_LONGEST]


async def _ours_alone(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse a host that is no name of ours, and pages of other origins."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if not _is_ours(host) or (origin is not None and origin.partition("://")[2] != host):
        return PlainTextResponse("this page is for its own machine alone\n", 403)
    response = await answer(request)
    if request.url.path.startswith(REPORT):
        response.headers["content-security-policy"] = _OF_REPORT
    response.headers["cache-control"] = "no-store"
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _is_ours(host: str) -> bool:
    """Whether a Host header has an address, or a name of this machine; no other name is ours."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", platform.node().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
