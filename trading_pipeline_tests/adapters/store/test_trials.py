import math
from datetime import UTC, datetime

import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.trials import (
    Trial,
    distinct_trials,
    panel_identity,
    record_trials,
)
from trading_pipeline.errors import LedgerError

AT = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


def record(ledger: Ledger, config: str, panel: str, sharpe: float | None) -> None:
    trial = Trial(config, panel, "walk_forward", sharpe)
    record_trials(ledger, [trial], at=AT, recorded_at=AT)


def test_an_empty_ledger_does_not_know_the_number_of_trials(ledger):
    assert distinct_trials(ledger) == []


def test_a_trial_is_a_distinct_configuration_on_a_distinct_panel(ledger):
    for config, panel in [("a", "us"), ("a", "us"), ("b", "us"), ("a", "crypto"), ("a", "us")]:
        record(ledger, config, panel, 1.0)
    assert len(distinct_trials(ledger)) == 3
    assert len(ledger.read("trials")) == 5  # yet every evaluation is kept


def test_an_evaluation_again_replaces_the_figure_of_its_trial(ledger):
    for config, sharpe in [("a", 0.5), ("b", None), ("a", 0.7)]:
        record(ledger, config, "us", sharpe)
    assert [(trial.config_hash, trial.sharpe) for trial in distinct_trials(ledger)] == [
        ("a", 0.7),
        ("b", None),
    ]


def test_an_undefined_sharpe_has_to_say_so(ledger):
    with pytest.raises(LedgerError, match="not to be journalled"):
        record(ledger, "a", "us", math.nan)


def test_a_panel_is_known_by_what_is_in_it_not_by_how_it_is_listed():
    panel = panel_identity("sample", ["MSFT", "AAPL"], "1d")
    assert panel == panel_identity("sample", ("AAPL", "MSFT", "AAPL"), "1d")
    assert len(panel) == 16
    others = {
        panel_identity("sample", ["MSFT"], "1d"),
        panel_identity("alpaca", ["MSFT", "AAPL"], "1d"),
        panel_identity("sample", ["MSFT", "AAPL"], "1h"),
    }
    assert len(others - {panel}) == 3
