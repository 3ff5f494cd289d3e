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
