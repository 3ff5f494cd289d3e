"""What one expects of any command line: its version, completion, a look at itself, and reports."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.cli import doctor, opening
from trading_pipeline_tests.fakes.binance import FakeBinance

ROOT = Path(__file__).parents[2]
SECRETS = ("PKLOOKSLIKEAKEY123", "andthisisasecret456")


def test_the_version_is_that_of_reports(run):
    assert run("--version") == (0, f"trading-pipeline {code_version()} ")


def shell(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trading_pipeline.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("trading-pipeline do", {"download", "doctor"}),
        ("trading-pipeline production ro", {"rollback"}),
        ("trading-pipeline train --ep", {"--epochs"}),
        ("trading-pipeline train --market cry", {"crypto"}),
        ("trading-pipeline paper-trade --market cry", {"crypto"}),
        ("trading-pipeline backtest -m s", {"sample", "synthetic"}),
    ],
)
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_a_shell_completes_commands_options_and_markets(folder, typed, offered):
    """As bash asks, by the script that `--show-completion` prints."""
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    said = shell(folder, _TRADING_PIPELINE_COMPLETE="complete_bash", **asked)
    assert set(said.split()) == offered


@pytest.mark.slow
@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(folder, shell_name):
    said = shell(
        folder,
        "--show-completion",
        shell_name,
        _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1",
    )
    assert f"_TRADING_PIPELINE_COMPLETE=complete_{shell_name}" in said


@pytest.mark.slow
def test_completion_is_installed_where_bash_looks_for_it(folder):
    variables = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(folder)}
    shell(folder, "--install-completion", "bash", **variables)
    (script,) = (folder / ".bash_completions").iterdir()
    assert "_TRADING_PIPELINE_COMPLETE=complete_bash" in script.read_text()
    assert str(script) in (folder / ".bashrc").read_text()


@pytest.mark.slow
def test_completion_is_silent_where_settings_are_broken(folder, monkeypatch):
    """A shell has nowhere to show an error."""
    typed = {"COMP_WORDS": "trading-pipeline train --market ", "COMP_CWORD": "3"}
    said = shell(folder, _TRADING_PIPELINE_COMPLETE="complete_bash", TP_NOPE="1", **typed)
    assert said.split() == []


# Reports


@pytest.fixture
def pages(folder, monkeypatch):
    """Reports of a market, of `backtest`, of `judge` and of `walk-forward`, in order of age."""
    opened: list[str] = []
    monkeypatch.setattr(opening.webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setenv("BROWSER", "true")
    made = [
        folder / place / "report.html"
        for place in ("walk-forward/p/reports/p", "home/reports/sample", "judge/x", "backtest/y")
    ]
    for age, page in enumerate(reversed(made)):
        page.parent.mkdir(parents=True)
        page.write_text("<html>")
        os.utime(page, (1e9 - age, 1e9 - age))
    return made, opened


def test_the_newest_report_is_opened_whoever_made_it(run, pages):
    made, opened = pages
    for page in (made[-1], made[0]):
        os.utime(page, (2e9 + len(opened), 2e9 + len(opened)))
        code, said = run("open")
        assert code == 0
        assert said.strip() in str(page)
        assert opened[-1] == page.as_uri()


@pytest.mark.parametrize(
    ("named", "place"),
    [("sample", 1), ("judge/x", 2), ("backtest/y/report.html", 3)],
)
def test_a_report_is_opened_by_market_folder_or_file(run, pages, named, place):
    made, opened = pages
    assert run("open", named)[0] == 0
    assert opened == [made[place].as_uri()]


def test_without_a_browser_the_path_is_printed_and_nothing_started(run, pages, monkeypatch):
    _, opened = pages
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(opening.sys, "platform", "linux")
    code, said = run("open")
    assert (code, opened) == (0, [])
    assert said == "backtest/y/report.html no browser was found here; open it where there is one "


def test_what_is_not_there_says_what_makes_it(run, folder):
    code, said = run("open")
    assert (code, "no report was made yet" in said, "demo` makes two" in said) == (2, True, True)
    code, said = run("open", "crypto")
    assert code == 2
    assert "home/reports/crypto/report.html; `trading-pipeline backtest --market NAME`" in said
    assert "makes that of a market: sample, " in said
    code, said = run("open", "ui", "--port=9")
    assert (code, "nothing answers at port 9: `trading-pipeline ui --port 9` starts" in said) == (
        2,
        True,
    )


# Doctor


@pytest.fixture
def venue(folder, monkeypatch):
    """A market of a venue on this machine, whose clock is right."""
    now = datetime.now(UTC)
    with FakeBinance(f"{now:%Y-%m-%d %H:%M:%S.%f}") as venue:
        (folder / "pipeline.toml").write_text(
            f'[markets.coins]\nsource = "binance"\nurl = "{venue.url}"\n'
            'symbols = ["BTC/USDT"]\nstart = 2021-01-01\n'
            '[markets.shares]\nsource = "alpaca"\nsymbols = ["AAPL"]\nstart = 2021-01-01\n'
        )
        monkeypatch.setenv("TP_CONFIG", "pipeline.toml")
        monkeypatch.setattr(doctor, "SKEW", 60)  # a busy machine takes a while to ask
        yield venue


def test_a_healthy_machine_is_said_to_be_one(run, venue, folder):
    code, said = run("doctor")
    assert code == 0, said
    assert "ok version: trading-pipeline" in said
    assert "ok settings: pipeline.toml; markets: coins, shares" in said
    assert "ok storage: " in said
    assert "ok clock of binance: " in said
    assert "note keys of Alpaca: needed by shares -> Alpaca wants keys: set TP_ALPACA_KEY" in said
    assert "note clock of alpaca: not asked: it has no keys" in said
    assert not (folder / "home").exists()  # it looks, and makes nothing


def test_keys_are_said_to_be_there_and_never_shown(run, venue, monkeypatch):
    for name, secret in zip(("TP_ALPACA_KEY", "TP_ALPACA_SECRET"), SECRETS, strict=True):
        monkeypatch.setenv(name, secret)
    code, said = run("doctor", "--offline")
    assert (code, "ok keys of Alpaca: set, for shares" in said) == (0, True)
    assert not any(secret in said for secret in SECRETS)
    monkeypatch.setenv("TP_ALPACA_SECRET", f"{SECRETS[1]} ")
    code, said = run("doctor", "--offline")
    assert "look for a space or a quote in them" in said
    assert not any(secret in said for secret in SECRETS)


def test_what_a_nightly_market_lacks_has_to_be_mended(run, venue, monkeypatch):
    monkeypatch.setenv("TP_MARKETS__SHARES__NIGHTLY", "true")
    code, said = run("doctor", "--offline")
    assert (code, "MEND keys of Alpaca: needed by shares" in said) == (1, True)


def test_a_clock_that_is_wrong_is_measured(run, venue):
    wrong = datetime.now(UTC) - timedelta(hours=1)
    venue.now = f"{wrong:%Y-%m-%d %H:%M:%S}"
    code, said = run("doctor")
    assert (code, "MEND clock of binance: 36" in said) == (1, True), said
    assert "s behind this machine's -> set this machine's clock" in said


def test_a_venue_that_is_down_is_no_fault_of_this_machine(run, venue):
    venue.__exit__(None, None, None)
    code, said = run("doctor")
    assert (code, "note clock of binance: " in said) == (0, True), said
    assert "binance clock" not in said  # named once
    assert "GiB" not in said  # as `storage` writes sizes
    assert "-> is there a network, and a proxy to name in HTTPS_PROXY?" in said


def test_a_storage_that_cannot_be_written_is_named(run, venue, folder, monkeypatch):
    (folder / "file").write_text("precious")
    monkeypatch.setenv("TP_HOME", str(folder / "file" / "home"))
    code, said = run("doctor", "--offline")
    assert (code, "MEND storage: " in said, "or set TP_HOME to one that is" in said) == (
        1,
        True,
        True,
    )


def test_a_database_that_does_not_answer_is_named_without_its_password(run, venue, monkeypatch):
    address = "postgresql+psycopg2://trader:hunter2@127.0.0.1:9/pipeline"
    monkeypatch.setenv("TP_LEDGER_URL", address)
    code, said = run("doctor", "--offline")
    assert (code, "MEND ledger: " in said, "or correct TP_LEDGER_URL" in said) == (1, True, True)
    assert "hunter2" not in said


def test_databases_that_are_damaged_are_named(run, venue, folder):
    history = folder / "home" / "dagster" / "history"
    history.mkdir(parents=True)
    (history / "runs.db").write_bytes(b"\xff" * 4096)
    (folder / "home" / "features.duckdb").write_bytes(b"\xff" * 4096)
    code, said = run("doctor", "--offline")
    assert code == 1
    assert "runs.db cannot be read (file is not a database) -> end what holds it, or move" in said
    assert "note features: " in said
    assert "damaged; delete the file and run `trading-pipeline download`" in said


def test_what_other_machines_need_is_looked_at(run, venue, folder, monkeypatch):
    monkeypatch.setenv("TP_STORAGE", f"file://{folder}/shared")
    code, said = run("doctor", "--offline")
    assert (code, f"ok shared storage: file://{folder}/shared answers" in said) == (0, True), said
    monkeypatch.setenv("TP_STORAGE", "nothing://bucket")
    monkeypatch.setenv("TP_EXECUTOR", "ray")
    monkeypatch.setitem(sys.modules, "dagster_ray", None)
    code, said = run("doctor", "--offline")
    assert (code, "MEND shared storage: TP_STORAGE is 'nothing://bucket'" in said) == (1, True)
    assert 'MEND executor: executor = "ray" needs packages that are not installed; pip' in said


def test_settings_that_are_broken_come_first(run, venue, monkeypatch):
    monkeypatch.setenv("TP_MARKETS__COINS__HORIZON", "0")
    code, said = run("doctor")
    assert (code, "MEND settings: pipeline.toml:1, TP_MARKETS__COINS__HORIZON: " in said) == (
        1,
        True,
    )
    assert "storage" not in said


def test_a_gpu_that_is_asked_for_and_not_there_is_named(run, venue, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("TP_MARKETS__COINS__DEVICE", "cuda")
    code, said = run("doctor", "--offline")
    assert (code, "MEND GPU: torch" in said, 'or device = "cpu"' in said) == (1, True, True)


def test_a_package_of_another_version_is_named(run, venue, monkeypatch):
    """What is installed is compared with what the project asks for."""
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["pytest>=999", "nope>1"])
    code, said = run("doctor", "--offline")
    assert code == 1
    assert "and >=999 is needed; nope is not installed -> install trading-pipeline again" in said


# Status


def test_status_shows_all_markets_in_a_line_each(run, folder):
    from trading_pipeline.adapters.store.bars import BarStore
    from trading_pipeline_tests.synthetic import panel

    bars = panel(30, ("AAPL",))
    BarStore(folder / "home/raw/sample").merge(bars, bars["timestamp"].max())
    page = folder / "home/reports/sample/report.json"
    page.parent.mkdir(parents=True)
    page.write_text('{"verdict": {"edge": "not proven"}}')
    broken = folder / "home/reports/crypto/report.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    code, said = run("status")
    assert code == 0
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert f"sample off 2020-02, {today} - {today}, edge not proven - -" in said
    assert "crypto off - - damaged - -" in said
    assert run("status", "--watch=1") == (2, "error: whose session? Give --market, too ")


def test_status_says_what_is_wrong_until_it_is_over(run, folder, monkeypatch):
    """Who looks in the morning learns why the night failed, and nothing that was mended since."""
    from trading_pipeline.adapters.alerts import DOWNLOAD_FAILED, RUN_FAILED
    from trading_pipeline.steps.home import Home

    monkeypatch.setenv("TP_MARKETS__SAMPLE__NIGHTLY", "true")
    alerts, night = Home(folder / "home").alerts(), datetime(2024, 1, 5, 21, 30, tzinfo=UTC)
    alerts.tell(RUN_FAILED, "crypto/features", "no room on the disk", night)
    alerts.over(RUN_FAILED, "crypto/features", "it works again", night + timedelta(hours=1))
    assert "Wrong now" not in run("status")[1]
    alerts.tell(DOWNLOAD_FAILED, "sample", "nothing there (sample_nightly, run 1a2b3c4d)", night)
    code, said = run("status")
    assert (code, "sample on - -" in said, "crypto" in said.partition("Wrong now")[2]) == (
        0,
        True,
        False,
    )
    assert "2024-01-05 21:30 UTC download failed: sample nothing there (sample_nightly, run" in said


# Which market is traded


@pytest.mark.parametrize(
    ("source", "market", "meant"),
    [
        (None, None, "sample"),
        (None, "crypto", "crypto"),
        ("binance", None, "crypto"),
        ("binance", "more", "more"),
        ("crypto", None, "crypto"),  # by its name, as before there was --market
        ("binance", "sample", "'sample' is no market of source binance: it has crypto, more"),
    ],
)
def test_a_session_is_of_the_market_that_is_named_or_the_only_one(source, market, meant):
    """`paper-trade --market`, and `--source` as the specification has it."""
    from trading_pipeline.cli.paper import _market_meant
    from trading_pipeline.errors import SettingsError
    from trading_pipeline.settings import Settings
    from trading_pipeline.settings_markets import MarketSettings

    coin = MarketSettings(source="binance", symbols=["BTC/USDT"], start="2020-01-01")
    stock = MarketSettings(source="sample", symbols=["IBM"], start="2005-01-03")
    markets = {"sample": stock, "crypto": coin} | ({"more": coin} if market else {})
    try:
        said = _market_meant(Settings(_env_file=None, markets=markets), source, market)
    except SettingsError as error:
        said = str(error)
    assert said == meant


def test_storage_says_what_part_is_dagsters_and_when_it_goes(run, folder):
    records = folder / "home" / "dagster"
    records.mkdir(parents=True)
    (records / "run.db").write_bytes(bytes(3_000_000))
    code, said = run("storage")
    assert code == 0
    assert "Nothing is left over. 3.0 MB of dagster/ are Dagster's history" in said
    assert "thrown away after 30 days" in said
