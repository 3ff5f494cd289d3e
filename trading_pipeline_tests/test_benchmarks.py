"""Benchmarks run, on markets that are what they say; what is measured is for people to read."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def markets():
    """`benchmarks/markets.py`, which is in no package."""
    spec = spec_from_file_location("markets", FOLDER / "markets.py")
    module = sys.modules[spec.name] = module_from_spec(spec)  # its dataclasses look it up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("ic", [0.0, 0.1])
def test_a_planted_signal_knows_as_much_of_the_horizon_as_is_said(markets, ic):
    """The correlation is with the whole horizon's residual return, in which the signal decays."""
    truth = markets.planted(ic, 0, bars=20_000, symbols=50)
    path = np.cumsum(truth.residual / truth.sigma, axis=0)
    ahead = (path[21:] - path[:-21]) / np.sqrt(21)
    assert np.corrcoef(truth.signal[:-21].ravel(), ahead.ravel())[0, 1] == pytest.approx(
        ic, abs=0.012
    )
    slope = np.polyfit(truth.score[:-21].ravel(), ahead.ravel(), 1)[0] if ic else 1.0
    assert slope == pytest.approx(1.0, abs=0.12)  # the scores are calibrated


def test_scores_that_know_nothing_last_as_long_as_they_should(markets):
    """Half of a score is left after its half-life, and it says nothing about the market."""
    score = markets.persistent_scores(0, 20_000, 60, 10, spread=0.03)
    assert np.abs(score.mean(axis=1)).max() < 1e-12
    assert score.std() == pytest.approx(0.03, rel=0.03)
    correlation = np.corrcoef(score[:-10].ravel(), score[10:].ravel())[0, 1]
    assert correlation == pytest.approx(0.5, abs=0.03)


def test_a_surrogate_takes_whole_dates_in_blocks_and_leaves_no_symbol_ahead(markets):
    """What moves together goes on to, bars keep their shape, and means are all the same."""
    panel = markets.turbulent(3, 5, 400)
    new = markets.surrogate(panel, 0, 21)
    moves = np.diff(np.log(panel.close), axis=0)
    level = moves - moves.mean(axis=0) + moves.mean()
    found = np.diff(np.log(new.close), axis=0)
    drawn = np.abs(found[:, None] - level).max(axis=2).argmin(axis=1)
    np.testing.assert_allclose(found, level[drawn], atol=1e-9)
    for name in ("open", "high", "low"):
        shape, old = (getattr(each, name) / each.close for each in (new, panel))
        np.testing.assert_allclose(shape[1:], old[1:][drawn], rtol=1e-12)
    value = panel.close * panel.volume
    np.testing.assert_allclose((new.close * new.volume)[1:], value[1:][drawn], rtol=1e-9)
    steps = np.diff(drawn) % len(level)
    assert (steps == 1).mean() > 0.94  # within blocks of 21, around the end
    assert len(set(drawn)) < 0.9 * len(drawn)  # with replacement


def test_the_same_seed_is_the_same_market(markets):
    """Figures that are compared over versions of the engine are of the same markets."""
    one, two, other = (markets.surrogate(markets.turbulent(0, 3, 300), n, 63) for n in (1, 1, 2))
    assert np.array_equal(one.close, two.close)
    assert not np.array_equal(one.close, other.close)


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


@pytest.mark.slow
def test_the_benchmark_of_transfer_answers_every_question():
    command = [sys.executable, str(FOLDER / "transfer.py"), "--quick", "--processes", "1"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in (
        "price of no skill, 15 bp a trade             simulated shares",
        "price of no skill, 10 bp a trade             simulated coins",
        "price of the rules                           simulated shares",
        "worst drawdown / equal weight's",
        "information ratio beyond β                   planted 0.10",
        "planted 0.06 noisy",
        "neutral: β to the market",
        "net Sharpe ratio less 0.8 × that",
        "slope of truth on calibrated score",
        "cvxportfolio",
    ):
        assert line in out
    assert "nan" not in out
