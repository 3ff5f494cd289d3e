"""The network finds what is planted: the short form of `make learning`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "learning.py"


@pytest.mark.long
@pytest.mark.slow
def test_a_planted_pattern_over_time_is_found_by_the_network_and_not_by_ridge(tmp_path):
    """One market, whose returns follow from a feature twenty bars ago. What was measured is kept,
    and not measured again."""
    results = tmp_path / "results.jsonl"
    command = [sys.executable, str(SCRIPT), "--seeds", "1", "--horizons", "1", "--patterns"]
    command += ["lagged", "--models", "ridge", "tiny", "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lagged: tiny, of the ideal" in done.stdout
    rows = {row["model"]: row for row in map(json.loads, results.read_text().splitlines())}
    assert rows["tiny"]["of_ideal"] > 0.9
    assert abs(rows["ridge"]["of_ideal"]) < 0.1
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "s of CPU\n" not in again.stdout
    assert len(results.read_text().splitlines()) == len(rows)


@pytest.mark.long
@pytest.mark.slow
def test_the_table_says_what_is_missed(tmp_path):
    """A bar that is not reached makes the script leave with 1, by name."""
    row = {"horizon": 1, "seed": 0, "pattern": "lagged", "seconds": 1.0, "spread": 0.0}
    found = {"ideal": 0.10, "tiny": 0.04, "small": 0.09}
    results = tmp_path / "results.jsonl"
    results.write_text(
        "".join(
            json.dumps({**row, "model": model, "rank_ic": ic, "of_ideal": ic / 0.1}) + "\n"
            for model, ic in found.items()
        )
    )
    command = [sys.executable, str(SCRIPT), "--results", str(results), "--table"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "lagged: tiny, of the ideal: 0.400, asked for at least 0.5: MISSED" in done.stdout
    assert "lagged: small, of the ideal: 0.900, asked for at least 0.8: met" in done.stdout
