"""Benchmarks run; what they measure is for people to read, not for tests."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_the_benchmark_of_the_features_runs():
    sizes = ["--symbols", "9", "--bars", "300", "--long", "420", "--rounds", "2"]
    command = [sys.executable, str(FOLDER / "features_speed.py"), *sizes]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in (
        "TA-Lib loop",
        "pandas-ta-classic",
        "ta / ours",
        "a new day after 420 bars",
        "peak",
    ):
        assert line in out


@pytest.mark.slow
def test_the_benchmark_of_the_engine_runs_with_or_without_its_rivals():
    sizes = ["--symbols", "3", "--bars", "150", "--rounds", "1"]
    sizes += ["--universe", "4", "--history", "150"]
    command = [sys.executable, str(FOLDER / "engine_speed.py"), *sizes]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in (
        "vectorbt / ours, 3 x 150",
        "orders filled",
        "backtesting / ours, 1 x 150",
        "backtrader / ours, 3 x 150",
        "strategy, variants, baselines",
        "1,000 random portfolios",
        "all rules of `moderate`",
        "first call from scores",
        "first call from orders",
        "peak memory",
    ):
        assert line in out


@pytest.mark.slow
def test_the_benchmark_of_sweeps_runs():
    sizes = ["--books", "5", "--symbols", "4", "--bars", "400", "--rounds", "1"]
    command = [sys.executable, str(FOLDER / "sweep_speed.py"), *sizes]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "every book the same to the last bit: yes" in out
    assert "loop / sweep, 2 threads" in out


@pytest.mark.slow
def test_the_benchmark_of_limits_runs():
    command = [sys.executable, str(FOLDER / "limits.py"), "--quick"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in ("| conservative, 8%", "| S&P 500, 1999-2018", "| moderate, all of them", "5 σ√h"):
        assert line in out
