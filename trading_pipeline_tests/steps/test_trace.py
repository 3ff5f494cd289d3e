"""Which models stand behind a figure, and what is said of a key that is not there."""

import pytest

from trading_pipeline.errors import StoreError
from trading_pipeline.steps.trace import figure_of, models_behind

REPORT = {
    "strategy": {"sharpe": {"value": 0.5, "low": 0.1}},
    "baselines": {"ridge": {"sharpe": {"value": 0.2, "low": None}}},
    "verdict": {"edge": "not proven", "reasons": ["few days"]},
    "lineage": {"models": {"network": {}, "ridge": {}, "lightgbm": {}}},
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verdict.edge", "not proven"),
        ("verdict.reasons.0", "few days"),
        ("strategy.sharpe", {"value": 0.5, "low": 0.1}),
        ("baselines.ridge.sharpe.low", None),
    ],
)
def test_a_figure_is_found_by_its_dotted_key(key, value):
    assert figure_of(REPORT, key) == value


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("strategy.sharp", "strategy.sharpe"),
        ("sharpe", "strategy.sharpe, baselines.ridge.sharpe"),
        ("verdict.reasons.1", "verdict.reasons.0"),
        ("nothing alike", "it has strategy, baselines, verdict, lineage"),
        ("", "it has strategy"),
    ],
)
def test_a_key_that_is_not_there_lists_near_ones(key, near):
    with pytest.raises(StoreError, match=f"has no '{key}'") as refused:
        figure_of(REPORT, key)
    assert near in str(refused.value)


@pytest.mark.parametrize(
    ("key", "models"),
    [
        ("strategy.sharpe", ["network"]),
        ("verdict.edge", ["network"]),
        ("paired.ridge.sharpe_difference", ["network", "ridge"]),
        ("verdict.network", ["network", "ridge", "lightgbm"]),
        ("verdict.network_reasons.0", ["network", "ridge", "lightgbm"]),
        ("verdict", ["network", "ridge", "lightgbm"]),
        ("paired", ["network", "ridge", "lightgbm"]),
        ("baselines", ["network", "ridge", "lightgbm"]),
        ("paired.trend.sharpe_difference", ["network"]),
        ("baselines.ridge.sharpe", ["ridge"]),
        ("baselines.equal_weight.sharpe", []),
        ("baselines.equal_weight_managed.sharpe", ["network"]),
    ],
)
def test_only_models_that_shape_a_figure_stand_behind_it(key, models):
    assert models_behind(REPORT, key) == models
