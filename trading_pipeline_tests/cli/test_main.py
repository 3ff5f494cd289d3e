"""The command line refuses with one line and exit code 2, and never with a traceback."""

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.cli import download, pipeline
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.defs.instance import local_instance
from trading_pipeline.defs.runs import Landed
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.core.market.planted import clean_bars
from trading_pipeline_tests.synthetic import panel

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("folder")
COMMANDS = (
    *("demo", "download", "train", "backtest", "walk-forward", "paper-trade", "check-leakage"),
    *("quality", "bars", "model", "home", "refits"),
)


def set_value(column: str, value: object) -> pd.DataFrame:
    return (
        panel().astype({column: object} if isinstance(value, str) else {}).pipe(_put, column, value)
    )


def _put(bars: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    bars.loc[7, column] = value
    return bars


def broken_panels() -> dict[str, tuple[pd.DataFrame, str]]:
    good = panel()
    stamps = good["timestamp"]
    row = "row 7, BBB at 2020-01-06 00:00 UTC (1 row concerned)"
    return {
        "missing column": (good.drop(columns="close"), "lacks column close"),
        "numbers as text": (good.assign(close="1.5"), "column close holds str, must be numbers"),
        "twice": (
            pd.concat([good, good.iloc[[5]]]),
            "row 120, BBB at 2020-01-03 00:00 UTC (1 row concerned): (timestamp, symbol) is a dup",
        ),
        "high < low": (set_value("high", 1.0), f"{row}: high < low"),
        "negative volume": (set_value("volume", -1.0), f"{row}: volume is negative"),
        "NaN": (set_value("close", np.nan), f"{row}: close is NaN (missing)"),
        "infinite": (set_value("open", np.inf), f"{row}: open is infinite"),
        "free": (set_value("low", 0.0), f"{row}: low is not positive"),
        "no symbol": (set_value("symbol", ""), "row 7, no symbol at 2020-01-06 00:00 UTC (1 row"),
        "no timestamp": (
            set_value("timestamp", pd.NaT),
            "row 7, BBB at no time (1 row",
        ),
        "naive": (good.assign(timestamp=stamps.dt.tz_localize(None)), "timestamp is naive"),
        "text stamps": (good.assign(timestamp=stamps.astype(str)), "holds str, must be datetimes"),
        "no rows": (good.iloc[:0], "has no rows"),
        "one bar": (good.iloc[:1], "no symbol has two bars"),
        "too short": (panel(days="XNYS"), "60 bars are too short a history: 7"),
        "odd clock": (
            panel(900, days="7min"),
            "00:07:00 apart; timeframes are 1d, 4h, 1h, 30m, 15m, 5m, 1m",
        ),
    }


PANELS = broken_panels()


@pytest.mark.parametrize("name", PANELS)
def test_a_broken_panel_is_named_with_row_and_rule(run, folder, name):
    bars, complaint = PANELS[name]
    path = folder / "panel.parquet"
    bars.to_parquet(path)
    out = ("--out", folder / "out", "--preset=tiny", "--strict")
    code, said = run("walk-forward", "--data-path", path, *out)
    assert code == 2
    assert said.startswith(f"error: {path}")
    assert complaint in said
    assert not (folder / "out").exists()


@pytest.mark.parametrize("command", ["walk-forward", "check-leakage"])
@pytest.mark.slow
@pytest.mark.sampled(2)
def test_an_impossible_row_is_named_and_set_aside_and_with_strict_refused(run, folder, command):
    """Of 60,000 rows one must not stop a run; who wants to know of each says so."""
    set_value("high", 1.0).to_parquet(folder / "panel.parquet")
    code, said = run(command, "--data-path=panel.parquet")
    row = "BBB at 2020-01-06 00:00 UTC"
    assert f"note: 1 row of BBB set aside ({row}: high < low)" in said
    code, said = run(command, "--data-path=panel.parquet", "--strict")
    assert code == 2
    assert said.startswith(f"error: panel.parquet: row 7, {row} (1 row concerned): high < low; wit")
    panel().assign(low=1e9).to_parquet(folder / "panel.parquet")
    code, said = run(command, "--data-path=panel.parquet")
    assert (code, "120 of 120 rows of panel.parquet are no bars" in said) == (2, True)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "panel.parquet is not a Parquet file"),
        (b"timestamp,symbol\n2020-01-01,IBM\n", "panel.parquet is not a Parquet file"),
        (None, "panel.parquet does not exist; give a Parquet file or a folder of them"),
    ],
)
def test_a_file_that_is_no_panel_is_named(run, folder, content, complaint):
    if content is not None:
        (folder / "panel.parquet").write_bytes(content)
    code, said = run("walk-forward", "--data-path", folder / "panel.parquet")
    assert (code, complaint in said) == (2, True)
    assert not (folder / "walk-forward").exists()


def test_half_a_file_is_refused(run, folder):
    path = folder / "panel.parquet"
    panel().to_parquet(path)
    path.write_bytes(path.read_bytes()[:2000])
    code, said = run("walk-forward", "--data-path", path)
    assert (code, "panel.parquet is not a Parquet file" in said) == (2, True)


def test_a_folder_without_panels_is_refused(run, folder):
    code, said = run("walk-forward", "--data-path", folder)
    assert (code, "has no Parquet files of bars directly in it" in said) == (2, True)


@pytest.mark.parametrize("place", ["file/out", "file"])
def test_an_out_that_cannot_be_written_is_named(run, folder, place):
    panel(900, ("ONE",)).to_parquet(folder / "panel.parquet")
    (folder / "file").write_text("precious")
    code, said = run(
        "walk-forward", "--data-path=panel.parquet", "--out", folder / place, "--preset=tiny"
    )
    assert code == 2
    assert f"error: cannot write {folder / place}/pipeline.toml" in said
    assert "give a writable folder with --out" in said
    assert (folder / "file").read_text() == "precious"


ONLY_READ = {"bars", "model", "quality"}


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"walk-forward"} - ONLY_READ))
@pytest.mark.sampled(4)
def test_a_home_that_cannot_be_written_is_named(run, folder, monkeypatch, command):
    (folder / "file").write_text("precious")
    monkeypatch.setenv("TP_HOME", str(folder / "file" / "home"))
    code, said = run(command)
    assert code == 2
    assert f"error: cannot write {folder}/file/home/" in said
    assert "choose another folder with TP_HOME" in said


@pytest.mark.parametrize("command", ["train", "backtest", "paper-trade"])
@pytest.mark.slow
def test_an_empty_home_says_what_to_run_first(run, folder, command):
    code, said = run(command)
    assert code == 2
    assert "home/raw/sample has no bars; run `trading-pipeline download --market sample`" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["train", "--market=nope"], "no market 'nope': "),
        (
            ["backtest", "--market=nope"],
            "has crypto, sample, synthetic, us_equities. Add a [markets.nope] entry",
        ),
        (["download", "--market=nope"], "no market 'nope': "),
        (["walk-forward", "--data-path=panel.parquet", "--market=nope"], "no market 'nope': "),
        (["walk-forward", "--data-path=panel.parquet", "--preset=huge"], "tiny, small or full"),
        (
            ["train", "--model=forest"],
            "--model must be one of network, ridge, ridge_lags, lightgbm",
        ),
        (["demo", "--market=crypto"], "--market must be sample or synthetic, was 'crypto'"),
        (["demo", "--preset=huge"], "--preset must be tiny, small or full, was 'huge'"),
        (["train", "--preset=huge"], "--preset must be tiny, small or full, was 'huge'"),
        (["backtest", "--preset=huge"], "--preset must be tiny, small or full, was 'huge'"),
        (["download", "--source=nope"], "no market of source 'nope' in pipeline.toml; it has"),
        (["download", "--source=ccxt"], '[markets.ccxt] source = "ccxt" exchange = "kraken" sym'),
        (["download", "--source=all", "--interval=1m"], "add [markets.binance_1m]"),
        (["download", "--source=binance", "--interval=1h"], "it has crypto of 1d. A market has"),
        (["download", "--timeframe=2h"], "must be one of 1d, 4h, 1h, 30m, 15m, 5m, 1m, 1Day,"),
        (["download", "--start=soon"], "Invalid value for '--start'"),
        (["paper-trade", "--source=nope"], "no market of source 'nope' in pipeline.toml; it has"),
        (["demo", "--capital=0"], "Invalid value for '--capital'"),
        (["demo", "--capital=nan"], "Invalid value for '--capital'"),
        (["demo", "--capital=inf"], "must be a finite amount of money"),
        (["paper-trade", "--start=soon"], "Invalid value for '--start'"),
        (["paper-trade", "--speed=fast"], "--speed is max, real, or times real time such as 60x"),
        (["paper-trade", "--speed=0x"], "--speed is max, real, or times real time such as 60x"),
        (
            ["paper-trade", "--source=crypto", "--speed=60x"],
            "crypto trades the bars of a venue as they close: --start, --end and --speed are those",
        ),
        (["paper-trade", "--source=crypto"], "crypto has no bars; run `trading-pipeline download"),
        (["walk-forward"], "Missing option '--data-path'"),
        (["nope"], "No such command 'nope'"),
    ],
)
def test_a_bad_option_is_named(run, folder, arguments, complaint):
    panel(900).to_parquet(folder / "panel.parquet")
    code, said = run(*arguments)
    assert (code, complaint in said) == (2, True), said


def test_a_panel_of_another_clock_than_its_market_is_refused(run, folder):
    """Hourly bars cannot be judged by the settings of a daily market."""
    panel(900, days="h").to_parquet(folder / "panel.parquet")
    code, said = run("walk-forward", "--data-path=panel.parquet", "--market=sample")
    assert code == 2
    assert "bars are of 1h, but market sample says 1d on XNYS" in said


@pytest.fixture
def settled(monkeypatch):
    """What walk-forward made of a panel, without running it."""
    made = []
    monkeypatch.setattr(pipeline, "_chain", lambda settings, name, *_: made.append(settings))
    return lambda: made[-1].market(*made[-1].markets)


def exported(calendar: str, zone: str) -> pd.DataFrame:
    """Five years of an exchange, stamped with midnight of a zone."""
    span = (pd.Timestamp("2016-01-01", tz="UTC"), pd.Timestamp("2021-01-01", tz="UTC"))
    days = trading_calendar(calendar, "1d").sessions(*span).tz_localize(None).tz_localize(zone)
    return panel(len(days)).assign(timestamp=days.repeat(2))


def test_a_panel_of_tokyo_is_judged_by_tokyos_year(run, folder, settled):
    exported("XTKS", "Asia/Tokyo").to_parquet(folder / "panel.parquet")
    code, said = run("walk-forward", "--data-path=panel.parquet", "--preset=tiny")
    assert (code, "calendar XTKS: 0.0% of the bars" in said) == (0, True)
    assert (settled().calendar, settled().bars_per_year) == ("XTKS", 245)
    assert settled().start.isoformat() == "2016-01-04"
    written = (folder / "walk-forward/panel/pipeline.toml").read_text()
    assert 'calendar = "XTKS"' in written


@pytest.mark.slow
def test_a_calendar_can_be_named(run, folder, settled):
    """By any of its names; what does not fit it is counted, said, and kept in the settings."""
    exported("XBKK", "Asia/Bangkok").to_parquet(folder / "panel.parquet")
    code, said = run("walk-forward", "--data-path=panel.parquet", "--preset=tiny")
    assert (code, "no calendar fits the days of the bars" in said) == (2, True)
    code, said = run("quality", "--data-path=panel.parquet", "--calendar=XBKK")
    assert (code, "calendar XBKK" in said) == (0, True)
    arguments = ("walk-forward", "--data-path=panel.parquet", "--preset=tiny")
    code, said = run(*arguments, "--calendar=NASDAQ")
    assert (code, "days a year, as counted" in said, "on a holiday" in said) == (0, True, True), (
        said
    )
    assert (settled().calendar, 225 < settled().bars_per_year < 245) == ("XNYS", True)
    assert run(*arguments, "--calendar=XBKK")[0] == 0
    assert (settled().calendar, settled().measured_bars_per_year) == ("XBKK", None)


@pytest.mark.parametrize("command", ["walk-forward", "quality", "check-leakage"])
def test_a_calendar_that_does_not_exist_is_refused(run, folder, command):
    panel().to_parquet(folder / "panel.parquet")
    code, said = run(command, "--data-path=panel.parquet", "--calendar=XNIX")
    assert (code, "'XNIX'" in said) == (2, True)


@pytest.mark.slow
def test_an_unknown_symbol_of_a_market_is_named(run, folder, monkeypatch):
    text = (ROOT / "pipeline.toml").read_text().replace('"GOOG"', '"NOPE"')
    (folder / "pipeline.toml").write_text(text)
    monkeypatch.setenv("TP_CONFIG", "pipeline.toml")
    code, said = run("download")
    assert (code, "has no NOPE; it knows AAPL, GOOG, IBM, MSFT" in said) == (2, True)
    assert not list((folder / "home").rglob("*.parquet"))


def test_bad_settings_are_refused_by_every_command(run, monkeypatch):
    monkeypatch.setenv("TP_NOPE", "1")
    for command in sorted({*COMMANDS} - {"model"}):  # which needs none
        code, said = run(command, *["--data-path=x"] * (command == "walk-forward"))
        assert code == 2
        assert "TP_NOPE" in said or "x does not exist" in said


@pytest.mark.slow
def test_damaged_records_of_dagster_are_named_and_a_full_disk_is(run, folder, monkeypatch):
    with local_instance(folder / "home"):
        pass
    os.environ.pop("DAGSTER_HOME")
    (folder / "home" / "dagster" / "history" / "runs.db").write_text("not a database")
    code, said = run("download")
    assert code == 2
    assert "Dagster's records in" in said
    assert "can be moved away: bars, models and reports are not in there" in said
    nothing_left = shutil.disk_usage(folder)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nothing_left)
    code, said = run("download")
    assert code == 2
    assert "The disk is full: make room, and run this again" in said


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_anywhere_is_said_and_ends_with_130(run, monkeypatch, sent):
    """Also before the first run, while settings and packages are loaded."""

    def interrupted(*_, **__):
        os.kill(os.getpid(), sent)
        time.sleep(30)  # a busy machine delivers it when it gets to it

    monkeypatch.setattr(pipeline, "settings_of", interrupted)
    code, said = run("train")
    assert code == 130
    assert "the same command goes on from here" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(run, command):
    code, said = run(command, "--help")
    assert code == 0
    assert len(said) > 300 or command == "home"
    assert f"Usage: trading-pipeline {command}" in said


def test_no_command_shows_all_of_them(run):
    _, said = run()
    assert all(command in said for command in COMMANDS)


def test_home_prints_the_folder_for_dagster(run, folder):
    assert run("home") == (0, f"{folder}/home/dagster ")
    assert (folder / "home" / "dagster" / "dagster.yaml").exists()


def test_the_network_of_a_preset_can_be_seen(run):
    code, said = run("model", "--preset", "tiny")
    assert code == 0
    assert "sLSTM block 1 (B, 60, 32) (B, 60, 32)" in said
    assert "parameters. Trained for 60 steps of about 960 windows, 1 seed averaged" in said


def test_a_trained_network_says_where_it_started(run, folder):
    """The terms that closed form found, and how much of what training added is believed."""
    store = CheckpointStore(folder / "home" / "models" / "sample")
    store.write("2006-01-01", made_up())
    code, said = run("model", "--fold", "2006-01-01")
    assert code == 0
    assert "the network, sample 2006-01-01" in said
    assert "Trained for 6 steps" in said
    assert "rsi_14 +0.1000 +6.0 What the encoders add counts 0.35." in said
    silent = {"start": {"terms": [], "gain": 0.0}}
    store.write("2007-01-01", made_up() | silent)
    _, said = run("model", "--fold", "2007-01-01")
    assert "No term stood out before training. What the encoders add counts 0.00." in said


def test_a_model_that_was_not_trained_cannot_be_exported(run):
    code, said = run("model", "--onnx", "out", "--market", "sample")
    assert (code, "best_model.pt does not exist; run `trading-pipeline train`" in said) == (2, True)


def test_a_preset_that_does_not_exist_is_refused(run):
    code, said = run("model", "--preset", "huge")
    assert (code, "must be tiny, small or full, was 'huge'" in said) == (2, True)


def test_quality_says_that_a_clean_panel_is_clean(run, folder):
    clean_bars(240).to_parquet(folder / "panel.parquet", index=False)
    code, said = run("quality", "--data-path", "panel.parquet", "--out", "found")
    assert code == 0
    assert "panel: 4 symbols, 960 bars of 1d" in said
    assert "Nothing severe" in said
    assert "No bar that the calendar expects is missing." in said
    assert (folder / "found" / "coverage.png").stat().st_size > 5_000


def test_quality_names_every_broken_rule_and_ends_with_1(run, folder):
    broken = clean_bars(240)
    broken.loc[7, "volume"] = -1
    broken.loc[9, "high"] = broken.loc[9, "low"] / 2
    broken.to_parquet(folder / "panel.parquet", index=False)
    code, said = run("quality", "--data-path", "panel.parquet")
    assert code == 1
    assert "panel.parquet: row 7 (" in said
    assert "1 row: high < low" in said


def test_quality_of_what_is_not_there_is_refused(run, folder):
    code, said = run("quality", "--data-path", "panel.parquet")
    assert code == 2
    assert "panel.parquet does not exist" in said
    code, said = run("quality", "--market", "sample")
    assert code == 2
    assert "run `trading-pipeline download --market sample`" in said


def test_what_is_wrong_with_downloaded_bars_is_said_in_a_line(capsys):
    whole = Landed(added=3, changed=0, removed=0, rows=9, last="2024-01-02 00:00:00", failed={})
    assert download._report("m", whole)
    assert (
        capsys.readouterr().err == "m: 3 bars added; 9 stored, the newest of 2024-01-02 00:00 UTC\n"
    )
    assert download._report("m", replace(whole, severe=1, warnings=2))
    assert "m: 1 severe finding and 2 warnings about" in capsys.readouterr().err
    assert not download._report("m", replace(whole, failed={"X": "no"}))


def test_bars_are_written_as_they_are_and_as_they_were_known(run, folder):
    first = pd.Timestamp("2024-01-01", tz="UTC")
    bars = panel(30, ("AAPL",))
    store = BarStore(folder / "home" / "raw" / "sample")
    bars["timestamp"] += pd.Timestamp("2010-01-01", tz="UTC") - bars["timestamp"].min()
    store.merge(bars, first)
    store.merge(bars.assign(volume=bars["volume"] * 2), first + pd.Timedelta(days=9))
    known = ("bars", "--out", "old.parquet", "--as-known")
    assert run(*known, "2024-01-05") == (0, "written: old.parquet, 30 bars ")
    assert run("bars", "--out", "new.parquet")[0] == 0
    old, new = pd.read_parquet("old.parquet"), pd.read_parquet("new.parquet")
    pd.testing.assert_frame_equal(old, store.read_as_known(first))
    pd.testing.assert_series_equal(new["volume"], 2 * old["volume"])
    code, said = run(*known, "2023-12-31")
    assert code == 2
    assert "held no bars of sample at 2023-12-31 00:00 UTC; give a later --as-known" in said


def test_a_file_that_nobody_named_is_not_written_over(run, folder):
    """`bars.parquet` is a name that a user's own panel may have; a file that is named is meant."""
    store = BarStore(folder / "home" / "raw" / "sample")
    bars = panel(30, ("AAPL",))
    bars["timestamp"] += pd.Timestamp("2010-01-01", tz="UTC") - bars["timestamp"].min()
    store.merge(bars, pd.Timestamp("2024-01-01", tz="UTC"))
    (folder / "bars.parquet").write_text("precious")
    code, said = run("bars")
    assert (code, "bars.parquet exists; name it with --out to replace it" in said) == (2, True)
    assert (folder / "bars.parquet").read_text() == "precious"
    assert run("bars", "--out", "bars.parquet")[0] == 0
    assert len(pd.read_parquet("bars.parquet")) == 30


@pytest.mark.parametrize("name", ["quality.txt", "quality.html", "findings.csv", "coverage.png"])
@pytest.mark.slow
@pytest.mark.sampled(4)
def test_quality_writes_over_nothing_but_its_own_files(run, folder, name):
    """The user names the folder, not what is written into it."""
    clean_bars(240).to_parquet(folder / "panel.parquet", index=False)
    (folder / "found").mkdir()
    (folder / "found" / name).write_text("precious")
    code, said = run("quality", "--data-path", "panel.parquet", "--out", "found")
    assert code == 2
    assert f"found/{name} is not from this command; choose another folder with --out" in said
    assert [path.read_text() for path in (folder / "found").iterdir()] == ["precious"]
    for _ in range(2):  # what it wrote itself it replaces
        assert run("quality", "--data-path", "panel.parquet", "--out", "own")[0] == 0


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_proves_a_planted_edge_and_says_that_it_was_planted(run, folder):
    """With ridge, which takes a moment; the network finds it too."""
    code, said = run("demo", "--market", "synthetic", "--model", "ridge")
    assert code == 0, said
    assert "made up with a planted edge" in said
    assert "days out of sample, after costs; synthetic: the edge was planted" in said
    assert "The planted edge: PROVEN" in said
    assert "! synthetic: the edge was planted." in said
    page = (folder / "home" / "reports" / "synthetic" / "report.html").read_text(encoding="utf-8")
    assert "synthetic: the edge was planted" in page
