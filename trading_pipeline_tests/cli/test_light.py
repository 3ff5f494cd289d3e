"""A mistake is told before anything heavy is loaded, and leaves no run behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.defs.instance import has_records
from trading_pipeline_tests.synthetic import panel

ROOT = Path(__file__).parents[2]
HEAVY = ("pandas", "numpy", "pyarrow", "dagster", "torch", "numba", "ccxt", "alpaca", "sqlalchemy")
# Runs a command and prints, as its last line, what of the heavy packages it has loaded.
PROGRAM = """
import json, sys
from trading_pipeline.cli.main import main
sys.argv = ["trading-pipeline", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as ended:
    loaded = [name for name in json.loads({heavy!r}) if name in sys.modules]
    print(ended.code or 0, json.dumps(loaded))
"""
MISTAKES = [
    (["explain", "--at=2011-08-08", "--symbol=APPL"], "did you mean AAPL? it has 4: AAPL, IBM"),
    (["download", "--source=alpaca"], "Alpaca wants keys: set TP_ALPACA_KEY"),
    (["download", "--market=us_equities"], "Alpaca wants keys: set TP_ALPACA_KEY"),
    (["download", "--source=binance", "--interval=1h"], "it has crypto of 1d"),
    (["train", "--market=nope"], "no market 'nope'"),
    (["train", "--epochs=0"], "'--epochs'"),
    (["backtest", "--start=2020-01-01"], "which model?"),
    (["paper-trade", "--source=nope"], "no market of source 'nope'"),
    (["paper-trade", "--source=binance", "--start=2020-01-01"], "are those of a --replay"),
    (["sweep", "--set", "stop_loss"], "--set must be LIMIT=VALUE"),
    (["open", "nope"], "there is no report in"),
    (["nope"], "No such command 'nope'"),
]
FINE = [["--help"], ["--version"], ["train", "--help"], ["sweep", "--help"]]


def ask(folder: Path, arguments: list[str]) -> tuple[int, str, list[str]]:
    """Exit code, what was said, and what was loaded."""
    named = ("PATH", "HOME", "LANG")
    known = {name: os.environ[name] for name in named if name in os.environ}
    made = {"TP_HOME": "home", "TP_CONFIG": str(ROOT / "pipeline.toml"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(heavy=json.dumps(HEAVY)), json.dumps(arguments)],
        cwd=folder,
        env={**known, **made, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    *said, last = done.stdout.strip().split("\n")
    code, _, loaded = last.partition(" ")
    return int(code), " ".join("\n".join([*said, done.stderr]).split()), json.loads(loaded)


@pytest.mark.parametrize(("arguments", "complaint"), MISTAKES, ids=lambda each: " ".join(each[:2]))
@pytest.mark.slow
@pytest.mark.sampled(4)
def test_a_mistake_loads_nothing_heavy_and_makes_nothing(tmp_path, arguments, complaint):
    code, said, loaded = ask(tmp_path, arguments)
    assert (code, complaint in said) == (2, True), said
    assert loaded == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", FINE, ids=" ".join)
@pytest.mark.slow
def test_neither_does_help(tmp_path, arguments):
    code, _, loaded = ask(tmp_path, arguments)
    assert (code, loaded) == (0, [])


@pytest.fixture
def runs(folder, monkeypatch):
    """How many runs Dagster has on record in the home of this folder."""

    def count() -> int:
        if not has_records(folder / "home"):
            return 0
        import dagster as dg

        monkeypatch.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        with dg.DagsterInstance.get() as instance:
            return instance.get_runs_count()

    return count


@pytest.mark.parametrize("command", ["train", "backtest", "paper-trade"])
@pytest.mark.slow
def test_what_needs_bars_first_leaves_no_red_run(run, runs, command):
    code, said = run(command)
    assert (code, "has no bars; run `trading-pipeline download" in said) == (2, True)
    assert runs() == 0


@pytest.mark.slow
def test_a_backtest_before_any_training_leaves_no_red_run(run, runs, folder):
    bars = panel(30, ("AAPL",)).assign(volume=1.0)
    BarStore(folder / "home/raw/sample").merge(bars, bars["timestamp"].max())
    code, said = run("backtest")
    assert (code, "has no predictions; run `trading-pipeline train --market" in said) == (2, True)
    assert runs() == 0
