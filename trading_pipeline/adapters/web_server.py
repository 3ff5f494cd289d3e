"""Small web servers for the browser of this machine: whom they answer, and the reports' files.

A request has to name this machine or an address as its host, so that a page of elsewhere that
points its own name at us reads nothing.
"""

import ipaddress
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from html import escape
from pathlib import Path
from urllib.parse import quote, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from trading_pipeline.errors import SettingsError

# Its scripts are let run as those of a site of their own, which cannot ask this one for anything.
_OF_REPORT = "sandbox allow-scripts allow-downloads allow-popups; frame-ancestors 'none'"
_PAGE = "report.html"


class ReportFiles(StaticFiles):
    """The files below a folder, which need not exist yet; those with a hidden part are not given.

    Beside a report, its draft is hidden.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.config_checked = True  # else the first request for a folder that is not there fails

    async def get_response(self, path: str, scope: Scope) -> Response:
        if any(part.startswith(".") for part in Path(path).parts if part != os.curdir):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["content-security-policy"] = _OF_REPORT
        return response


def for_this_machine(*routes: BaseRoute) -> Starlette:
    """A server that answers no other site's pages."""
    alone = Middleware(BaseHTTPMiddleware, dispatch=_ours_alone)
    return Starlette(routes=routes, middleware=[alone])


def reports_app(reports: Path) -> Starlette:
    """The reports of all markets of a home: /MARKET/report.html, and the files beside it.

    Args:
        reports: the folder with one for each market; neither need exist yet.
    """

    async def listed(_: Request) -> Response:
        names = sorted(page.parent.name for page in reports.glob(f"[!.]*/{_PAGE}"))
        links = (f'<li><a href="{quote(name)}/{_PAGE}">{escape(name)}</a></li>' for name in names)
        return _said("Reports", f"<ul>{''.join(links)}</ul>" if names else _none("NAME"))

    async def shown(request: Request) -> Response:
        market = request.path_params["market"]
        try:
            return await files.get_response(f"{market}/{_PAGE}", request.scope)
        except HTTPException:
            return _said("No report yet", _none(market), 404)

    files = ReportFiles(reports)
    return for_this_machine(
        Route("/", listed), Route(f"/{{market}}/{_PAGE}", shown), Mount("/", files)
    )


def _none(market: str) -> str:
    command = f"trading-pipeline backtest --market {escape(market)}"
    return f"<p>There is no report of {escape(market)}: <code>{command}</code> makes it.</p>"


def _said(title: str, body: str, status: int = 200) -> Response:
    policy = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    return HTMLResponse(f"{text}<h1>{title}</h1>{body}</html>", status, policy)


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        port: 0 is one that is free.

    Raises:
        SettingsError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"nothing can listen at {host} port {port} ({error.strerror}); give another --port"
        ) from error


def serve(app: Starlette, host: str, port: int, ready: Callable[[str], object]) -> None:
    """Answer until Ctrl-C or SIGTERM.

    Args:
        port: 0 is one that is free. ready: told the page's address.

    Raises:
        SettingsError: the address cannot be had.
    """
    with listening_at(host, port) as listening:
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listening.getsockname()[1]}")
        server_of(app).run(sockets=[listening])


def server_of(app: Starlette) -> uvicorn.Server:
    """What answers at sockets."""
    return uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
    )


def serve_reports_beside(reports: Path, host: str, port: int) -> str:
    """Serve the reports in a process that ends with this one, whatever program that becomes.

    Returns:
        The address. Arguments are as of `reports_app` and `listening_at`.

    Raises:
        SettingsError: the address cannot be had.
    """
    with listening_at(host, port) as listening:
        number = listening.fileno()
        told = [str(number), str(os.getpid()), str(reports.absolute())]
        subprocess.Popen([sys.executable, "-m", __name__, *told], pass_fds=[number])
        return f"http://{host}:{listening.getsockname()[1]}"


def main() -> None:
    """What `serve_reports_beside` starts."""
    number, parent, reports = sys.argv[1:]
    server = server_of(reports_app(Path(reports)))
    threading.Thread(target=_end_with, args=(server, int(parent)), daemon=True).start()
    with socket.socket(fileno=int(number)) as listening, suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def _end_with(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    server.should_exit = True


async def _ours_alone(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse a host that is no name of ours, and pages of other origins."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if not _is_ours(host) or (origin is not None and origin.partition("://")[2] != host):
        return PlainTextResponse("this page is for its own machine alone\n", 403)
    response = await answer(request)
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


if __name__ == "__main__":
    main()
