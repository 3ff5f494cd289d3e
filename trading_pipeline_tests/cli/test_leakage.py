"""`trading-pipeline check-leakage` on a panel: what it says, and its exit codes."""

import pytest

from trading_pipeline.core.learning import dataset
from trading_pipeline.steps import quality
from trading_pipeline_tests.synthetic import panel


@pytest.mark.slow
def test_a_clean_panel_is_told_stage_by_stage(run, folder):
    """Too short for a fold: that is said, and is not a pass of what was skipped."""
    panel(320).to_parquet(folder / "panel.parquet")
    code, said = run("check-leakage", "--data-path", folder / "panel.parquet", "--cuts", 1)
    assert code == 0
    assert "features, truncation" in said
    assert "universe, scrambling" in said
    assert "training skipped" in said
    assert "scaled inputs, predictions, orders skipped a panel has no checkpoint" in said
    assert "No leak found: " in said


@pytest.mark.slow
def test_a_leak_is_exit_code_one(run, folder, monkeypatch):
    true_features = dataset.compute_features

    def leaking(bars, calendar=None):
        table = true_features(bars, calendar=calendar)
        return table.assign(ret_1=table.groupby("symbol")["ret_1"].shift(-1))

    monkeypatch.setattr(dataset, "compute_features", leaking)
    panel(320).to_parquet(folder / "panel.parquet")
    code, said = run("check-leakage", "--data-path", folder / "panel.parquet", "--cuts", 1)
    assert code == 1
    assert "LEAK (" in said
    assert "features, truncation: ret_1 of AAA at" in said


def test_a_fault_of_ours_is_no_leak(run, folder, monkeypatch):
    """Exit code 1 means a leak, so what breaks must not end as a traceback with that code."""
    monkeypatch.setattr(dataset, "compute_features", lambda bars, calendar=None: [].pop())
    panel(320).to_parquet(folder / "panel.parquet")
    code, said = run("check-leakage", "--data-path", folder / "panel.parquet", "--cuts", 1)
    assert code == 2
    assert "panel.parquet broke: IndexError: pop from empty list (core/learning/" in said


def test_a_fault_of_ours_is_no_severe_finding(run, folder, monkeypatch):
    monkeypatch.setattr(quality, "examine_files", lambda *_: [].pop())
    code, said = run("quality", "--data-path", folder / "panel.parquet")
    assert code == 2
    assert "panel.parquet broke: IndexError: pop from empty list (cli/quality.py:" in said


@pytest.mark.slow
def test_a_market_without_bars_is_refused(run):
    code, said = run("check-leakage", "--market", "sample")
    assert code == 2
    assert "run `trading-pipeline download --market sample`" in said
