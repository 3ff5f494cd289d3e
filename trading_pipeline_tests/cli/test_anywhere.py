"""What works in a folder that is no checkout: the demo brings its settings, `ui` its workspace."""

import os
import signal
import socket
from pathlib import Path

import pytest
import yaml

from trading_pipeline.adapters import web_server
from trading_pipeline.cli import pipeline, web_ui
from trading_pipeline.defs.instance import BATCH_SIZE, BATCH_VARIABLE

ROOT = Path(__file__).parents[2]
SERVE = web_server.serve_reports_beside


@pytest.fixture
def empty(folder, monkeypatch):
    """A folder without settings; what the demo would run is only written down."""
    monkeypatch.delenv("TP_CONFIG")
    ran: list[str] = []
    monkeypatch.setattr(pipeline, "_chain", lambda settings, name, *_, **__: ran.append(name))
    return folder, ran


@pytest.mark.slow
def test_a_demo_in_an_empty_folder_brings_its_settings(run, empty):
    """Those of the project, to be edited: every other command works on them, too."""
    folder, ran = empty
    code, said = run("demo")
    assert (code, ran) == (0, ["sample", "synthetic"])
    assert "note: pipeline.toml is new here" in said
    assert (folder / "pipeline.toml").read_bytes() == (ROOT / "pipeline.toml").read_bytes()
    assert "is new here" not in run("demo")[1]


def test_a_demo_leaves_settings_that_are_there(run, empty):
    folder, ran = empty
    (folder / "pipeline.toml").write_text("# mine\n")
    code, said = run("demo")
    assert (code, ran) == (2, [])
    assert "no market 'sample'" in said
    assert (folder / "pipeline.toml").read_text() == "# mine\n"


def test_a_demo_makes_no_settings_where_a_variable_names_others(run, empty, monkeypatch):
    folder, _ = empty
    monkeypatch.setenv("TP_CONFIG", "elsewhere.toml")
    code, said = run("demo")
    assert (code, "TP_CONFIG is elsewhere.toml, which is not a file" in said) == (2, True)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "backtest", "explain --at=2011-08-08"])
def test_without_settings_a_command_says_what_makes_them(run, empty, command):
    code, said = run(*command.split())
    assert (code, "or let `trading-pipeline demo` make one here" in said) == (2, True)


def test_the_demo_says_how_to_type_the_next_command(run, empty, monkeypatch):
    """Where the shell does not find it by its name."""
    monkeypatch.setattr(pipeline, "which", lambda name: None)
    monkeypatch.setattr(pipeline.sys, "executable", str(empty[0] / "env/bin/python"))
    assert (
        "(commands live in env/bin; `. env/bin/activate` puts them on the path)" in run("demo")[1]
    )
    monkeypatch.setattr(pipeline, "which", lambda name: f"/usr/bin/{name}")
    assert "commands live in" not in run("demo")[1]


@pytest.fixture
def started(monkeypatch):
    """What takes the place of the process: program, arguments, variables. Reports are served
    elsewhere."""
    calls: list[tuple] = []
    monkeypatch.setattr(web_server, "serve_reports_beside", lambda *call: f"served: {call[0]}")
    monkeypatch.setattr(web_ui.os, "execve", lambda *call: calls.append(call))
    before = signal.getsignal(signal.SIGINT)
    yield calls
    signal.signal(signal.SIGINT, before)


def test_the_web_ui_is_for_this_machine_alone_and_knows_where_the_assets_are(run, folder, started):
    assert run("ui", "--port=3001")[0] == 0
    ((_, command, variables),) = started
    arguments = " ".join(command)
    assert "-m dagster dev --workspace" in arguments
    assert arguments.endswith("--host 127.0.0.1 --port 3001")
    workspace = yaml.safe_load((folder / "home/dagster/workspace.yaml").read_text())
    assert str(folder / "home/dagster/workspace.yaml") in command
    (place,) = workspace["load_from"]
    assert place["python_module"]["module_name"] == "trading_pipeline.definitions"
    assert variables["DAGSTER_HOME"] == str(folder / "home" / "dagster")
    assert variables[BATCH_VARIABLE] == BATCH_SIZE
    assert variables["PATH"] == os.environ["PATH"]


def test_a_web_ui_that_a_script_started_can_be_ended(run, folder, started):
    """A shell has what it starts in the background ignore Ctrl-C, and Dagster then SIGTERM, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run("ui")
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


def test_the_web_ui_says_where_the_reports_are_and_starts_without_them(
    run, folder, started, monkeypatch
):
    assert f"reports: served: {folder / 'home/reports'}" in run("ui")[1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(web_ui, "REPORTS_PORT", taken.getsockname()[1])
        monkeypatch.setattr(web_server, "serve_reports_beside", SERVE)
        code, said = run("ui")
    assert (code, len(started)) == (0, 2)
    assert "is taken, perhaps by another `trading-pipeline ui`" in said


def test_a_web_ui_at_a_port_that_is_taken_is_refused(run, folder, started):
    """Else Dagster would go on with a daemon, and without a page."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = run("ui", f"--port={taken.getsockname()[1]}")
    assert (code, "give another --port" in said, started) == (2, True, [])


def test_a_web_ui_without_a_market_is_refused(run, empty, started):
    code, said = run("ui")
    assert (code, "no market to show in" in said, started) == (2, True, [])
