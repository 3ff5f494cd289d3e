"""The live page of a paper session: a small web server for the browser of this machine.

What it may do, halt and resume, is money's worth, so it answers no other site's scripts: a request
has to name this machine or an address as its host (a page of elsewhere that points its own name
at us does not), and a word of the operator has to carry the token that only our page has.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from trading_pipeline.adapters.dashboard_page import REPORT, page
from trading_pipeline.adapters.kill_switch import HALTED, PAUSED, TRADING
from trading_pipeline.adapters.web_server import ReportFiles, for_this_machine
from trading_pipeline.errors import TradingPipelineError

_LONGEST = 200  # characters of a reason
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

    return for_this_machine(
        Route("/", show),
        Route("/state", state),
        Route("/intent", intent, methods=["POST"]),
        Mount(REPORT, ReportFiles(report)),
    )


def _word(body: Any) -> tuple[str, str]:
    """What the operator wants, and why."""
    told = body if isinstance(body, dict) else {}
    word, reason = told.get("intent"), told.get("reason", "")
    if word not in (HALTED, PAUSED, TRADING) or not isinstance(reason, str):
        raise ValueError(f"intent is {HALTED}, {PAUSED} or {TRADING}, and reason a text")
    return word, "".join(each for each in reason if each.isprintable())[:_LONGEST]
