"""Benchmarks run, on markets that are what they say; what is measured is for people to read."""

import hashlib
import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.steps.identity import compare
from trading_pipeline.steps.past_session import eligibility_of
from trading_pipeline.steps.session import journalled_orders
from trading_pipeline.steps.streams import session_stream
from trading_pipeline_tests.core.evaluation.books import inputs
from trading_pipeline_tests.steps.soak import made_up, market_of

FOLDER = Path(__file__).parents[1] / "benchmarks"


def imported(name):
    """A benchmark as a module; they are in no package."""
    spec = spec_from_file_location(name, FOLDER / f"{name}.py")
    module = sys.modules[spec.name] = module_from_spec(spec)  # its dataclasses look it up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def markets():
    yield from imported("markets")


@pytest.fixture(scope="module")
def paper_bar():
    yield from imported("paper_bar")


@pytest.fixture(scope="module")
def verdict_power():
    yield from imported("verdict_power")


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


@pytest.mark.long
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
@pytest.mark.long
def test_the_benchmark_of_the_engine_runs_with_or_without_its_rivals():
    sizes = ["--symbols", "3", "--bars", "150", "--rounds", "1"]
    sizes += ["--universe", "4", "--history", "150", "--first-calls", "orders"]
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
@pytest.mark.long
def test_the_benchmark_of_limits_runs():
    command = [sys.executable, str(FOLDER / "limits.py"), "--quick"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in ("| conservative, 8%", "| S&P 500, 1999-2018", "| moderate, all of them", "5 σ√h"):
        assert line in out


@pytest.mark.slow
@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.slow
def test_verdicts_are_seldom_wrong_and_find_what_is_there(verdict_power):
    """A skill beside the market is found by what it adds; no book without one is proven often."""
    histories = 24
    found = verdict_power.counted(histories, years=6)
    assert found["neutral 1.2"]["adds"] > 0.5 * histories > found["neutral 1.2"]["edge"]
    assert found["copy"]["either"] == 0
    worthless = [name for name in found if name.endswith(" 0.0") or name.startswith("best of")]
    wrong = sum(found[name]["either"] for name in worthless)
    assert len(worthless) == 7
    assert wrong <= 0.1 * histories * len(worthless)


@pytest.mark.long
@pytest.mark.slow
def test_the_table_of_the_evidence_is_what_the_reports_say(tmp_path):
    """Of a report with its settings beside it: verdicts, figures, trials, the panel as a file."""
    (script,) = imported("evidence")
    report = evaluate(inputs(hashes={"data_hash": "d1", "config_hash": "c1", "code_version": "v1"}))
    folder = tmp_path / "out" / "reports" / "shares"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))
    (tmp_path / "panel.parquet").write_bytes(b"bars")
    path = tmp_path / "panel.parquet"
    (tmp_path / "out" / "pipeline.toml").write_text(f'[markets.shares]\npath = "{path}"\n')
    row = script.table([report]).splitlines()[2]
    sharpe = report["strategy"]["sharpe"]
    assert f"| {sharpe['value']:.2f} [{sharpe['low']:.2f}, {sharpe['high']:.2f}] |" in row
    assert f"| {report['verdict']['edge']}" in row
    assert row.count("|") == script.table([]).splitlines()[0].count("|")
    again = script.table([report, report]).splitlines()[2]
    p = report["significance"]["edge"]["p_value"]
    assert f"| {p:.3f} ({p:.3f}: not proven) |" in row
    assert f"| {p:.3f} ({min(2 * p, 1):.3f}: not proven) |" in again
    said = script.identity(report, script.panel_of(folder / "report.json"))
    assert f"SHA-256 {hashlib.sha256(b'bars').hexdigest()}" in said
    assert "bars d1, configuration c1, code v1" in said


@pytest.mark.slow
def test_several_panels_are_claimed_for_by_holm():
    """Worked by hand: 0.01 × 4, then 0.015 × 3, 0.03 × 2, 0.04, none below the one before it."""
    (script,) = imported("evidence")
    judged = [{"p_value": p} for p in (0.04, 0.01, 0.03, 0.015)]
    assert script.holm(judged) == pytest.approx([0.06, 0.04, 0.06, 0.045])
    assert script.holm([{"p_value": 0.01}, {"p_value": None}]) == pytest.approx([0.02, 1.0])
    assert script.holm([]) == []
    clear = evaluate(inputs(n_bars=1500, mean=0.003))
    p = clear["significance"]["edge"]["p_value"]
    assert "0.000 (0.000: proven)" in script.among(clear, "edge", p)
    assert "(0.030: not proven)" in script.among(clear, "edge", 0.03)


@pytest.mark.long
@pytest.mark.slow
def test_the_bars_that_are_timed_send_the_orders_of_the_backtest(paper_bar, tmp_path):
    """Of 40 symbols, and each order once."""
    panel = made_up(430, tuple(f"S{n:02d}" for n in range(40)), "1D")
    seconds, sent = paper_bar.timed(panel, 40, "tiny", tmp_path)
    market = market_of(panel, "1d", 21)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        store = RecordingStore(tmp_path / "recordings")
        found = compare(ledger, market, store, "timed", eligibility_of(60))
        ordered = journalled_orders(ledger, session_stream(market.name, "timed"))
    assert len(seconds) == found.bars == 40
    assert found.same
    assert found.fills >= 100
    assert [order["client_order_id"] for order in sent] == ordered["client_order_id"].tolist()
