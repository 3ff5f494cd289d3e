"""How often the pipeline is wrong: the short form of `make false-positives`, and its arithmetic."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPT = FOLDER / "false_positives.py"


@pytest.fixture(scope="module")
def script():
    """`benchmarks/false_positives.py`, which is in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import false_positives

        yield false_positives


def rows_of(kind, level, proven, count):
    """Panels of which some are proven by the first verdict, in the long-only account."""
    edge = {True: {"edge": "proven"}, False: {"edge": "not proven"}}
    return [
        {"kind": kind, "level": level, "long_only": edge[n < proven], "neutral": edge[False]}
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "panels", "low", "high"), [(0, 200, 0.0, 0.0183), (10, 200, 0.0242, 0.0900)]
)
def test_intervals_of_rates_are_exact(script, count, panels, low, high):
    """Golden: by the quantiles of the beta distribution; 1 - 0.025^(1/200) is 1.83 %."""
    found = script.Rate(count, panels)
    assert found.interval == pytest.approx((low, high), abs=5e-5)
    assert str(script.Rate(10, 200)) == "5.0% [2.4%, 9.0%]"


@pytest.mark.parametrize(
    ("false", "found", "sound"), [(0, 20, True), (14, 16, True), (20, 20, False), (0, 15, False)]
)
def test_it_leaves_with_1_where_a_rate_is_missed(script, false, found, sound, capsys):
    """False positives count as too many when their interval lies above 5 %, so not at 14 of 200."""
    rows = rows_of("surrogate", 1, false, 200) + rows_of("planted", 2.0, found, 20)
    assert script.is_sound(rows) is sound
    assert ("MISSED" in capsys.readouterr().out) is not sound


def test_a_line_that_a_kill_cut_off_counts_as_none(script, tmp_path):
    path = tmp_path / "panels.jsonl"
    path.write_text('{"key": "a"}\n{"key": "b"}\n{"key": ')
    assert [row["key"] for row in script.read(path)] == ["a", "b"]


def test_panels_of_an_earlier_run_count_and_are_not_walked_again(script, tmp_path):
    """Nor are they written to this one's results; those of a run with other terms are refused."""
    terms = script.Effort(tmp_path, source=None, quick=False).terms
    lines = rows_of("surrogate", 1, 0, 1) + rows_of("planted", 2.0, 1, 1)
    names = [case.key for case in script.cases(1, 1)[:2]]
    rows = [{"key": name, **row, **terms} for name, row in zip(names, lines, strict=True)]
    effort = script.Effort(tmp_path / "new", source=None, quick=False)
    wanted = [case for case in script.cases(1, 1) if case.key in names]
    assert script.collect(effort, wanted, 1, rows) == rows
    assert script.read(effort.lines) == []
    newer = {**rows[0], "code": "another"}
    assert script.together(rows, [newer]) == [newer, rows[1]]
    with pytest.raises(SystemExit, match="--known is of other panels"):
        script.collect(script.Effort(tmp_path, source=None, quick=True), wanted, 1, rows)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("level", [0.0, 2.0])
def test_the_oracle_is_as_far_above_the_best_rule_baseline_as_is_said(script, level):
    """In the mean over panels, within three standard errors and what the strength is rounded to."""
    found = []
    for seed in range(100, 108):
        truth = script.synthetic_market(script.CLOCK, script.SYMBOLS, seed, script.PLANTED[level])
        returns = script.traded(truth.panel, script.oracle_scores(truth), "long_only")
        found.append(script.advantage(returns))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(level, abs=3 * error + 0.05)


@pytest.mark.long
@pytest.mark.slow
def test_the_whole_chain_runs_goes_on_and_proves_nothing(tmp_path):
    """On surrogates of both blocks, with networks that learn nothing. What is there is not done
    again: a panel whose line was lost is judged from what was predicted, to the same words."""
    command = [sys.executable, str(SCRIPT), "--quick", "--surrogates", "2", "--planted", "0"]
    command += ["--processes", "1", "--results", str(tmp_path)]

    def run(*more):
        done = subprocess.run(
            [*command, *more], capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run()
    assert "[2/2] surrogate-" in said
    assert "false positives, long_only: 0.0% [0.0%, 84.2%], at most 5%: met" in said
    lines = tmp_path / "panels.jsonl"
    whole = [json.loads(line) for line in lines.read_text().splitlines()]
    assert all("proven" not in row[of].values() for row in whole for of in ("long_only", "neutral"))
    lines.write_text(lines.read_text()[:-9])
    said = run("--figure", str(tmp_path / "power.png"))
    assert "[2/2]" in said
    assert "[1/2]" not in said
    again = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in whole]
    assert (tmp_path / "power.png").stat().st_size > 10_000
