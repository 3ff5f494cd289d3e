"""Refits are compared on the same bars, fitted once each, and gone on with after a kill."""

import json

import pytest

from trading_pipeline.adapters.reports.refits import markdown_refits
from trading_pipeline.steps import refits
from trading_pipeline.steps.refits import refit_comparison
from trading_pipeline_tests.steps.learnable import LONGEST, MARKET, PLAN, dataset, host


@pytest.mark.long
@pytest.mark.slow
def test_the_four_intervals_are_fitted_once_and_kept(home, monkeypatch):
    """Killed in the middle, the second run fits what is left, and the third nothing."""
    monkeypatch.setattr(refits, "read_dataset", lambda *_: dataset(LONGEST))
    train, fitted = refits.train_fold, []

    def killed(home, plan, data, fold, key, *more):
        if len(fitted) == 5:
            raise KeyboardInterrupt
        fitted.append(key)
        return train(home, plan, data, fold, key, *more)

    monkeypatch.setattr(refits, "train_fold", killed)
    with pytest.raises(KeyboardInterrupt):
        refit_comparison(home, PLAN, host(), 100_000.0)
    fitted.append("the kill")
    done = refit_comparison(home, PLAN, host(), 100_000.0)
    months = sorted(set(fitted) - {"the kill"})
    assert len(fitted) - 1 == len(months) == 13
    again = refit_comparison(home, PLAN, host(), 100_000.0)
    assert len(fitted) == 14
    assert again.summary == done.summary == json.loads(done.file.read_text())
    table = done.summary["intervals"]
    assert [each["fits"] for each in table.values()] == [1, 2, 5, 13]
    assert table["monthly"]["cpu_seconds"] > table["never"]["cpu_seconds"] > 0
    assert table["never"]["rank_ic"]["value"] > 0.2
    text = markdown_refits(done.summary)
    assert text.count("\n| ") == 6
    assert "| quarterly | 5 |" in text
    assert done.picture.read_bytes().startswith(b"\x89PNG")
    assert home.checkpoints(MARKET).names() == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"1": "x"}', "\xff", "null"])
def test_what_a_damaged_file_of_cpu_seconds_knows_is_nothing(tmp_path, text):
    file = tmp_path / "cpu_seconds.json"
    file.write_text(text, encoding="latin-1")
    assert refits._measured(file) == {}
    assert refits._measured(tmp_path / "none.json") == {}
