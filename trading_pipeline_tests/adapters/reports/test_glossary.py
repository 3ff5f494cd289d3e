"""Every baseline and every rule of a report has a line on what it is."""

import re
from pathlib import Path

import pytest

from trading_pipeline.adapters.reports.glossary import baseline_said, measure_said, rule_said
from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.evaluation import heads
from trading_pipeline.core.evaluation.metrics import METRICS
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.core.trading.engine.reasons import REASONS
from trading_pipeline.core.trading.rules import RULES, rule_name


@pytest.mark.parametrize("name", [*BASELINE_NAMES, *LEARNED_BASELINES, "market_benchmark"])
def test_every_baseline_is_explained(name):
    assert baseline_said(name).endswith(".")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_explained(rule):
    assert rule_said(rule).endswith(".")


def test_every_measure_of_a_head_is_explained():
    """By a line of its own, or as the metric of that name."""
    measures = set(
        re.findall(r'Comparison\(\s*"\w+", "([\w ]+)"', Path(heads.__file__).read_text())
    )
    assert {"QLIKE", "log score", "ranked probability score"} <= measures
    metrics = {metric.label.lower() for metric in METRICS.values()}
    assert all(measure_said(each) or each.lower() in metrics for each in measures)


@pytest.mark.parametrize("rule", ["kelly", "group_cap"])
def test_a_rule_that_speaks_of_a_tilt_says_what_that_is(rule):
    assert "Tilt: how far the scores ask to move from the benchmark." in rule_said(rule)


def test_every_metric_is_explained():
    assert all(metric.said.endswith(".") for metric in METRICS.values())


def test_a_rule_has_one_name_as_a_rule_and_as_a_reason():
    """What is one thing under two keys reads the same in every table, warning and veto."""
    pairs = {"kelly": "kelly_cap", "no_trade_region": "no_trade_band"}
    reasons = {row.name for row in REASONS.values()}
    assert set(pairs.values()) <= reasons
    for rule, reason in pairs.items():
        assert rule_name(rule) == rule_name(reason)
    alike = {rule for rule in RULES if rule in reasons}
    assert {"turbulence", "stop_loss", "symbol_cap"} <= alike
    names = [rule_name(rule) for rule in RULES]
    assert len(set(names)) == len(names)
