"""No secret is told: every one, in every spelling, is looked for wherever anything is told.

The commands run with all secrets set, on servers that take them and on servers that refuse and
quote them. Then everything that was printed, logged, stored, sent and shown is searched.
"""

import gzip
import json
import logging
import os
import signal
import sqlite3
import subprocess
import threading
import traceback
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from dagster import DagsterInstance
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.applications import Starlette
from typer.core import TyperGroup

from trading_pipeline.adapters.dashboard import dashboard_app
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.web_server import serve
from trading_pipeline.settings import Settings
from trading_pipeline.steps.dashboard import Dashboard
from trading_pipeline_tests.canaries import (
    SECRETS,
    WHERE_IT_IS_REFUSED,
    WHERE_IT_WORKS,
    Search,
    spellings,
)
from trading_pipeline_tests.echoes import Echo, echoing_postgres
from trading_pipeline_tests.fakes.inbox import Inbox
from trading_pipeline_tests.postgres import as_image, free_port

SETTINGS = """
[markets.sample]
source = "sample"
symbols = ["AAPL", "IBM"]
start = 2000-03-10
end = {end}
model = "ridge"
walk_forward = {{first_train = 28, test = 12, window = 28}}

[markets.shares]
source = "alpaca"
symbols = ["AAPL"]
start = 2024-01-01
broker = "alpaca"
url = "{venue}"
trading_url = "{venue}"
broker_url = "{venue}"

[markets.coins]
source = "binance"
symbols = ["BTC/USDT"]
start = 2024-01-01
broker = "binance_testnet"
url = "{venue}"
broker_url = "{venue}"
"""
METADATA = """metadataEntries {label description
    ... on TextMetadataEntry {text} ... on MarkdownMetadataEntry {mdStr} ... on UrlMetadataEntry
    {url} ... on PathMetadataEntry {path} ... on JsonMetadataEntry {jsonString}}"""
QUESTIONS = {
    "instance": "{instance {info daemonHealth {allDaemonStatuses {daemonType}}}}",
    "location": """{workspaceOrError {... on Workspace {locationEntries {displayMetadata {key value}
        locationOrLoadError {... on RepositoryLocation {repositories {
            allTopLevelResourceDetails {name configuredValues {key value} configFields {
                name defaultValueAsJson}}
            pipelines {name pipelineSnapshotId tags {key value} presets {name}}
            schedules {name} sensors {name}}}
        ... on PythonError {message stack}}}}}}""",
    "runs": """{runsOrError {... on Runs {results {runId runConfigYaml tags {key value}
        stats {... on PythonError {message}} eventConnection {events {... on MessageEvent {message}
        ... on ErrorEvent {error {message stack errorChain {error {message stack}}}}}}}}}}""",
    "assets": f"""{{assetNodes {{id description owners {{... on TeamAssetOwner {{team}}}}
        {METADATA} assetMaterializations(limit: 5) {{tags {{key value}} {METADATA}}}
        assetChecksOrError {{... on AssetChecks {{checks {{name description
        executionForLatestMaterialization {{evaluation {{description {METADATA}}}}}}}}}}}}}}}""",
}


@contextmanager
def postgres() -> Iterator[int]:
    """The port of a server that wants the password."""
    with TemporaryDirectory(prefix="postgres-") as made:
        folder, port = Path(made), free_port()
        folder.chmod(0o755)  # the server is another user's
        (folder / "password").write_text(SECRETS["TP_LEDGER_URL"])
        asked = {"POSTGRES_USER": "trader", "POSTGRES_DB": "book"}
        asked["POSTGRES_PASSWORD_FILE"] = str(folder / "password")
        command, user = as_image(folder / "server", port, asked)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, user=user, cwd=folder / "server", **quiet) as server:
            yield port
            server.send_signal(signal.SIGINT)  # its fast way to stop


def ledger_url(port: int) -> str:
    return f"postgresql://trader:{quote(SECRETS['TP_LEDGER_URL'], safe='')}@127.0.0.1:{port}/book"


@contextmanager
def command_lines(search: Search) -> Iterator[None]:
    """Meanwhile, those of this process's children, and of theirs, are searched."""
    ended, seen = threading.Event(), set[bytes]()

    def watch() -> None:
        while not ended.wait(0.05):
            seen.update(_lines_below(os.getpid()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for line in seen:
            search.look("command lines", line)


def _lines_below(ancestor: int) -> Iterator[bytes]:
    parents, lines = dict[int, int](), dict[int, bytes]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
            lines[int(folder.name)] = (folder / "cmdline").read_bytes()
    below = {ancestor}
    for pid in sorted(parents):  # parents are older, mostly
        below |= {pid} if parents[pid] in below else set()
    return (lines[pid] for pid in below - {ancestor} if pid in lines)


@pytest.fixture
def errors(monkeypatch):
    """The errors that commands of this process ended with, with tracebacks and causes."""
    said, original = list[str](), TyperGroup.invoke

    def invoke(*args: object) -> object:
        try:
            return original(*args)
        except Exception as error:
            said.append("".join(traceback.format_exception(error)))
            raise

    monkeypatch.setattr(TyperGroup, "invoke", invoke)
    return said


@pytest.fixture
def servers(folder):
    """What takes the secrets (a database, a mailbox), and what refuses and quotes them."""
    with ExitStack() as opened:
        yield SimpleNamespace(
            venue=opened.enter_context(Echo(403)),
            store=opened.enter_context(Echo(403, "xml")),
            proxy=opened.enter_context(Echo(407)),
            inbox=opened.enter_context(Inbox()),
            postgres=opened.enter_context(postgres()),
            echoing=opened.enter_context(echoing_postgres()),
        )


AT_VENUES = ["download", "download --market shares", "download --market coins", "doctor"]
AT_VENUES += ["alerts test", "halt --market shares", "halt --market coins", "status"]
WITHOUT_LEDGER = ["status", "doctor", "train", "alerts test"]
WORK = ["download", "train --workers 2", "backtest"]
WORK += ["paper-trade --start 2003-08-01 --end 2003-08-06", "ledger verify"]


@pytest.fixture
def commands(folder, run, servers, monkeypatch):
    """Runs commands with all secrets set, and what else is said; gives what each printed."""
    token = quote(SECRETS["TP_ALERT_URLS"], safe="")
    refused = f"{servers.venue.url.replace('http', 'json')}/{token}"
    said = {name: value for name, value in SECRETS.items() if name.startswith(("TP_", "AWS_"))}
    said |= {
        "TP_CONFIG": str(folder / "pipeline.toml"),
        "TP_LEDGER_URL": ledger_url(servers.postgres),
        "TP_ALERT_URLS": f"{servers.inbox.at('json', token)} {refused}",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_REGION": "eu-west-1",
        "NO_PROXY": "*",
    }

    def commands(lines: list[str], end: str = "2000-08-01", **changed: str) -> Iterator[str]:
        text = SETTINGS.format(venue=servers.venue.url, end=end)
        (folder / "pipeline.toml").write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (said | changed).items():
                patch.setenv(name, value)
            for line in lines:
                _, printed = run(*line.split())
                assert "Traceback" not in printed, printed
                yield printed

    for name, value in said.items():
        monkeypatch.setenv(name, value)
    return commands


def asked(app: Starlette) -> Callable[..., tuple[str, bytes]]:
    """Serves an app on a free port; called with a path, it gives headers and body of the answer."""
    ready = Queue[str]()
    threading.Thread(target=serve, args=(app, "127.0.0.1", 0, ready.put), daemon=True).start()
    address = ready.get(timeout=60)

    def answer(path: str, question: str = "") -> tuple[str, bytes]:
        body = json.dumps({"query": question}).encode() if question else None
        request = Request(f"{address}{path}", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=600) as came:
                return str(came.headers), came.read()
        except HTTPError as error:
            return str(error.headers), error.read()

    return answer


def live_page(market: str, url: str, report: Path) -> Iterator[str | bytes]:
    """What it answers."""
    known = Settings.read().market(market)
    with Ledger(url) as ledger:
        shown = Dashboard(ledger, known, "", report)
        app = dashboard_app(market, lambda: shown.state(datetime.now(UTC)), print, report)
        ask = asked(app)
        for path in ("/", "/state", "/report/report.html", "/nowhere"):
            yield from ask(path)


class Here(WorkspaceLoadTarget):
    """The definitions, loaded in this process: a server of their own would take its time."""

    def create_origins(self) -> list[InProcessCodeLocationOrigin]:
        target = LoadableTargetOrigin(module_name="trading_pipeline.definitions", attribute="defs")
        return [InProcessCodeLocationOrigin(target, location_name="here")]


def web_ui(home: Path) -> Iterator[tuple[str, str | bytes]]:
    """What Dagster's web server answers, by kind of place."""
    with (
        DagsterInstance.from_config(str(home / "dagster")) as instance,
        WorkspaceProcessContext(instance, Here()) as workspace,
    ):
        ask = asked(create_app_from_workspace_process_context(workspace))
        for name, question in QUESTIONS.items():
            _, answer = ask("/graphql", question)
            assert b'"errors"' not in answer, answer[:2000]
            yield "metadata" if name == "assets" else "GraphQL", answer
        for run in instance.get_runs():
            headers, debug = ask(f"/download_debug/{run.run_id}")
            yield "the web UI", headers
            yield "the web UI", gzip.decompress(debug)
        for path in ("/", "/server_info", "/nowhere"):
            yield from (("the web UI", text) for text in ask(path))


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_however_it_is_spelled(tmp_path, name):
    """In a text, within base64, and in a row of a database that is compressed."""
    for how, told in spellings(SECRETS[name]).items():
        search = Search({})
        search.look("text", b"say " + told + b".")
        assert ("text", name, how) in search.found
    search = Search({})
    search.look("text", b64encode(f"me:{SECRETS[name]}!".encode()))
    assert {secret for _, secret, _ in search.found} == {name}
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database, database:
        database.execute("CREATE TABLE told (what BLOB)")
        database.execute("INSERT INTO told VALUES (?)", [zlib.compress(SECRETS[name].encode())])
    search.look_below("files", tmp_path)
    assert ("files runs.db", name, "as it is") in search.found


def test_every_secret_of_the_settings_is_looked_for():
    hidden = {
        f"TP_{n.upper()}" for n, each in Settings.model_fields.items() if "Secret" in str(each)
    }
    assert hidden == {name for name in SECRETS if name.startswith("TP_")}


def look_into_ledger(search: Search, kind: str, url: str) -> None:
    with Ledger(url) as ledger:
        for stream in ledger.streams():
            search.look(kind, "".join(map(str, ledger.read(stream))), stream)


@pytest.mark.slow
def test_no_secret_is_told_where_it_is_refused(
    folder, commands, errors, servers, caplog, monkeypatch
):
    """By venues, by the database, by alerts' addresses, by the shared storage, by a proxy: each
    refuses, and quotes what it was sent."""
    search, home = Search(WHERE_IT_IS_REFUSED), folder / "home"
    caplog.set_level(logging.DEBUG)
    asking = logging.getLogger("urllib3.connectionpool")
    monkeypatch.setattr(asking, "disabled", False)  # what reads a logging configuration disables it
    caplog.set_level(logging.DEBUG, logger=asking.name)
    quoted, gone = ledger_url(servers.echoing), ledger_url(free_port())
    secret = quote(SECRETS["HTTP_PROXY"], safe="")
    proxy = servers.proxy.url.replace("//", f"//me:{secret}@")
    storage = {"AWS_ENDPOINT_URL": servers.store.url, "TP_STORAGE": "s3://bucket/home"}
    for printed in chain(
        commands(AT_VENUES),
        commands(WITHOUT_LEDGER, TP_LEDGER_URL=quoted),
        commands(WITHOUT_LEDGER[:1], TP_LEDGER_URL=gone),
        commands(["doctor", "download"], **storage),
        commands(["download --market coins", "alerts test"], HTTP_PROXY=proxy, NO_PROXY=""),
        commands(["home"]),
    ):
        search.look("what commands print", printed)
    for place, text in web_ui(home):
        search.look(place, text)
    look_into_ledger(search, "the ledger", ledger_url(servers.postgres))
    for request in servers.inbox.asked():
        search.look("alerts", request.body)
    for record in caplog.records:
        search.look("logs", f"{record.name} {record.getMessage()} {record.exc_text}", record.name)
    for error in errors:
        search.look("errors", error)
    search.look_below("records of runs", home / "dagster")
    search.look_below("stores", home)
    assert all(each.requests for each in (servers.venue, servers.store, servers.proxy))
    assert not search.unread
    assert not search.found


@pytest.mark.long
@pytest.mark.slow
def test_no_secret_is_told_where_it_works(folder, commands, servers):
    search, home = Search(WHERE_IT_WORKS), folder / "home"
    with command_lines(search):
        for printed in commands(WORK, "2003-09-01"):
            search.look("what commands print", printed)
    url = ledger_url(servers.postgres)
    for text in live_page("sample", url, home / "reports" / "sample"):
        search.look("the live page", text)
    look_into_ledger(search, "trials", url)
    for name in ("models", "reports"):
        search.look_below(name, home / name)
    search.look_below("stores", home)
    assert not search.unread
    assert not search.found
