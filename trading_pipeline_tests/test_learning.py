"""The network finds what is planted, and nothing in noise: the short form of `make learning`."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "learning.py"


@pytest.mark.slow
def test_a_planted_signal_is_found_and_noise_is_not():
    """One planted market and two noises, which vary more than ten: the script widens its bar.

    The walk from bars to predictions takes two minutes more, and is left to `make learning`.
    """
    command = [sys.executable, str(SCRIPT), "--planted", "1", "--noise", "2", "--walk", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked for more than 0.035" in done.stdout
