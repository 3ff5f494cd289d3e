import pytest

from trading_pipeline.core.evaluation.reproduction import (
    EXACT,
    Tolerance,
    differences,
    figures_of,
)

REPORT = {
    "market": "sample",
    "strategy": {"sharpe": {"value": 0.5, "low": -0.1, "high": None}},
    "verdict": {"edge": "not proven", "reasons": ["Sharpe difference +0.10, after 3 trials."]},
    "rules": [{"rule": "stop_loss", "acted": True}],
    "warnings": [],
    "trials": 3,
    "code_version": "1",
    "lineage": {"made_at": "2024-01-01"},
}
WIDE = Tolerance(absolute=0.05, relative=0.1)


def changed(key: str, value: object) -> dict:
    """The report with one figure that is another."""

    def put(part, names):
        name, *rest = names
        place = int(name) if isinstance(part, list) else name
        copy = list(part) if isinstance(part, list) else dict(part)
        copy[place] = put(copy[place], rest) if rest else value
        return copy

    return put(REPORT, key.split("."))


def test_every_leaf_is_a_figure_by_its_dotted_key():
    found = dict(figures_of(REPORT))
    assert found["strategy.sharpe.low"] == -0.1
    assert found["rules.0.acted"] is True
    assert found["warnings"] == []


def test_where_a_report_comes_from_is_no_figure():
    other = {**REPORT, "code_version": "2", "lineage": {}}
    assert differences(REPORT, other) == (10, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy.sharpe.value", 0.5 + 1e-16 * 2),
        ("strategy.sharpe.high", 0.0),
        ("verdict.edge", "proven"),
        ("rules.0.acted", 1),
        ("trials", 3.5),
        ("warnings", ["one"]),
    ],
)
def test_on_the_same_machine_nothing_may_differ(key, value):
    _, (first, *_) = differences(REPORT, changed(key, value), EXACT)
    assert first.key.startswith(key)


@pytest.mark.parametrize(
    ("key", "value", "is_same"),
    [
        ("strategy.sharpe.value", 0.549, True),
        ("strategy.sharpe.value", 0.551, False),
        ("strategy.sharpe.high", 0.0, False),
        ("verdict.edge", "proven", False),
        ("verdict.reasons.0", "Sharpe difference +0.12, after 3 trials.", True),
        ("verdict.reasons.0", "Only 3 days.", False),
        ("rules.0.acted", False, False),
    ],
)
def test_on_another_machine_numbers_may_differ_within_the_tolerance(key, value, is_same):
    _, found = differences(REPORT, changed(key, value), WIDE)
    assert (not found) == is_same


def test_figures_that_are_gone_or_new_are_differences():
    fewer = {name: each for name, each in REPORT.items() if name != "trials"}
    assert [each.key for each in differences(REPORT, fewer)[1]] == ["trials"]
    assert [each.key for each in differences(fewer, REPORT)[1]] == ["trials"]
