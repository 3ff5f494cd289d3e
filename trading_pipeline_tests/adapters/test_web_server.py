"""The reports of all markets, as `trading-pipeline ui` serves them: through real requests."""

import http.client
import os
import re
import subprocess
import sys
import threading
from datetime import date
from urllib.parse import urlsplit

import pytest

from trading_pipeline.adapters.dashboard_page import REPORTS_PORT
from trading_pipeline.adapters.web_server import listening_at, reports_app, serve
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.assets.metadata import open_text
from trading_pipeline.errors import SettingsError

LOOPBACK = "127.0.0.1"
PAGES = ("report.html", "features.html", "quality.html")
FILES = {name: f"the page {name}" for name in PAGES} | {"orders.csv": "id"}
# Serves a folder beside itself, says where, and becomes another program, as `ui` does.
PROGRAM = f"""
import os, sys
from pathlib import Path
from trading_pipeline.adapters.web_server import serve_reports_beside
print(serve_reports_beside(Path(sys.argv[1]), "{LOOPBACK}", 0), flush=True)
os.execv("/bin/sleep", ["sleep", "120"])
"""


def market(name):
    return Market(name=name, source="sample", symbols=("BTC/USDT",), start=date(2020, 1, 1))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Two reports, one of them as it is being made again, and a file that is none of them."""
    home = tmp_path_factory.mktemp("home")
    for name in ("coins", "my stocks", ".coins.draft"):
        folder = home / "reports" / name
        folder.mkdir(parents=True)
        for file, text in FILES.items():
            (folder / file).write_text(f"{text} of {name}")
    (home / "secret").write_text("of nobody's business")
    return home / "reports"


@pytest.fixture(scope="module")
def address(reports):
    told, ready = list[str](), threading.Event()
    asked = (reports_app(reports), LOOPBACK, 0, lambda url: (told.append(url), ready.set()))
    threading.Thread(target=serve, args=asked, daemon=True).start()
    assert ready.wait(30)
    return told[0]


def ask(address, path, **headers):
    """Status, text and headers of an answer."""
    wire = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    wire.request("GET", path, headers=headers)
    answer = wire.getresponse()
    return answer.status, answer.read().decode(), answer.headers


@pytest.mark.parametrize("name", ["coins", "my stocks"])
def test_the_asset_of_every_market_links_to_its_pages(address, name):
    links = re.findall(r"\]\((.+?)\)", open_text(market(name)))
    for link, file in zip(links, PAGES, strict=True):
        assert link.startswith(f"http://{LOOPBACK}:{REPORTS_PORT}/")
        status, text, headers = ask(address, urlsplit(link).path)
        assert (status, text) == (200, f"{FILES[file]} of {name}")
        assert headers["content-security-policy"].startswith("sandbox allow-scripts ")


def test_the_files_that_a_report_links_to_are_beside_it(address):
    assert ask(address, "/coins/orders.csv")[:2] == (200, "id of coins")


@pytest.mark.parametrize("path", ["/none/report.html", "/<b>/report.html", "/%00/report.html"])
def test_a_market_without_a_report_is_told_how_one_is_made(address, path):
    status, text, _ = ask(address, path)
    assert status == 404
    assert "trading-pipeline backtest --market" in text
    assert "<b>" not in text


def test_all_reports_are_listed(address):
    status, text, _ = ask(address, "/")
    assert status == 200
    assert re.findall(r'href="(.+?)"', text) == ["coins/report.html", "my%20stocks/report.html"]


@pytest.mark.parametrize(
    "path",
    ["/../secret", "/..%2fsecret", "/%2e%2e/secret", "/coins/../../secret", "/coins", "/coins/",
     "/.coins.draft/report.html", "/../report.html", "/coins/..%2f..%2fsecret"],
)  # fmt: skip
def test_no_file_but_those_of_reports_is_given(address, path):
    status, text, _ = ask(address, path)
    assert status == 404
    assert "nobody" not in text


@pytest.mark.parametrize("path", ["/", "/coins/report.html", "/none/report.html"])
def test_a_host_that_is_not_this_machine_is_refused(address, path):
    assert ask(address, path, host="evil.example")[0] == 403


def test_a_port_that_is_taken_is_named(address):
    with pytest.raises(SettingsError, match="nothing can listen at"):
        listening_at(LOOPBACK, urlsplit(address).port)


@pytest.mark.slow
def test_they_are_served_as_long_as_the_program_that_started_it(reports):
    """A kill of the web UI leaves no server behind."""
    command = [sys.executable, "-c", PROGRAM, str(reports)]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        address = running.stdout.readline().strip()
        assert ask(address, "/coins/report.html")[:2] == (200, "the page report.html of coins")
        running.kill()
        assert running.stdout.read() == ""  # ends when nobody has it open any more
