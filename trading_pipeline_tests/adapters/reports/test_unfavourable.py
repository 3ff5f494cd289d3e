"""What speaks against a strategy stands in the page and in the terminal, whatever speaks for it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.adapters.reports.headline import beside_benchmark
from trading_pipeline.adapters.reports.summary_text import summary_text
from trading_pipeline.adapters.reports.unfavourable import unfavourable
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline_tests.core.evaluation.books import compared, inputs


def below_zero(summary):
    """How many intervals of differences lie wholly below zero, wherever they stand."""

    def intervals(part, name=""):
        if isinstance(part, dict) and set(part) == {"value", "low", "high"}:
            yield name, part
        elif isinstance(part, dict | list):
            pairs = part.items() if isinstance(part, dict) else enumerate(part)
            for key, each in pairs:
                yield from intervals(each, f"{name}.{key}")

    compared_with = ("difference", ".alpha", ".gain", "information_coefficient")
    passed_over = (".costs", ".profiles", ".baselines", ".information_coefficients")
    return sum(
        part["high"] is not None and part["high"] < 0
        for name, part in intervals(summary)
        if any(word in name for word in compared_with)
        and not name.startswith(passed_over)
        and not (".difference.sharpe" in name or name.startswith(".significance.edge"))
    )


@pytest.mark.parametrize("mean", [-0.004, 0.0003, 0.004])
def test_every_interval_below_zero_is_said_in_page_and_terminal(mean):
    """Of a bad book, a middling one and a good one: as many sentences as there are intervals."""
    given = inputs(mean=mean, heads=[compared("risk", (-0.01, -0.02, -0.001), rival="normal")])
    harmful = given.strategy.equity * 1.002 ** np.arange(400)
    summary = evaluate(replace(given, without_rules={"stop_loss": harmful}))
    said = unfavourable(summary)
    assert len(said) == below_zero(summary)
    assert any("The rule stop loss cost return a year" in each for each in said)
    terminal = " ".join(summary_text(summary).split())
    shown = re.sub("<.*?>", "", beside_benchmark(summary))
    shown = shown.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    for sentence in said:
        assert sentence in terminal
        assert sentence.replace("'", "&#x27;") in shown


def test_a_book_that_nothing_speaks_against_says_so():
    given = inputs(mean=0.01, heads=[])
    summary = evaluate(given)
    assert unfavourable(summary) == []
    assert "No interval in this report" in beside_benchmark(summary)
    assert "Worse by more than chance" not in summary_text(summary)


def test_both_ranks_among_random_portfolios_are_told():
    """A cautious book may be first by its Sharpe ratio and last by its return."""
    summary = evaluate(inputs())
    random = summary["random"] | {"percentile_of_annual_return": 0.02}
    summary = summary | {"random": random, "random_percentile": 0.98}
    assert "98th percentile by Sharpe ratio, and 2nd by return" in summary_text(summary)
    assert "98th percentile</b>" in beside_benchmark(summary)
    assert "2nd percentile</b>" in beside_benchmark(summary)
