"""What speaks against a strategy stands in the page and in the terminal, whatever speaks for it."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.headline import beside_benchmark
from trading_pipeline.adapters.reports.summary_text import summary_text
from trading_pipeline.adapters.reports.unfavourable import unfavourable
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline_tests.core.evaluation.books import compared, inputs, paths, variants


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
    # Of other accounts than the strategy, or the same number once more.
    others = (".baselines", ".profiles.moderate", ".costs.multiples.1", *OTHER_SCORES)
    return sum(
        part["high"] is not None and part["high"] < 0
        for name, part in intervals(summary)
        if any(word in name for word in compared_with) and not name.startswith(others)
    )


OTHER_SCORES = (".information_coefficients.scores", ".information_coefficients.ridge")


def of_dates(mean, n_dates=300):
    """Coefficients by date: of the scores, of what they know beyond others, and of a rival."""
    draws = np.random.default_rng(3).normal(mean, 0.1, (n_dates, 3))
    days = pd.bdate_range("2010-01-04", periods=n_dates, tz="UTC")
    return pd.DataFrame(draws, columns=["scores", "beyond", "ridge"]).assign(date=days)


@pytest.mark.parametrize("mean", [-0.004, 0.0003, 0.004])
def test_every_interval_below_zero_is_said_in_page_and_terminal(mean):
    """Of a bad book, a middling one and a good one: as many sentences as there are intervals."""
    given = inputs(mean=mean, heads=[compared("risk", (-0.01, -0.02, -0.001), rival="normal")])
    equity, steps = given.strategy.equity, np.arange(400)
    bolder = replace(given.strategy, equity=equity * 0.998**steps)
    given = replace(
        given,
        without_rules={"stop_loss": equity * 1.002**steps},
        ic={"information_coefficient": of_dates(20 * mean)},
        profiles={"aggressive": bolder, "moderate": given.strategy},
    )
    late = paths(equity * 0.998**steps)
    summary = evaluate(replace(given, variants=replace(variants(given), one_bar_late=late)))
    said = unfavourable(summary)
    assert len(said) == len(set(said)) == below_zero(summary)
    assert any("with the rule stop loss against without it" in each for each in said)
    assert any(each.startswith("Sharpe ratio on yesterday's scores: -") for each in said)
    terminal = " ".join(summary_text(summary).split())
    shown = re.sub("<.*?>", "", beside_benchmark(summary))
    shown = shown.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    for sentence in said:
        assert sentence in terminal
        assert sentence.replace("'", "&#x27;") in shown


def test_a_bad_book_is_bad_by_year_at_all_costs_and_beyond_the_simple_scores():
    """What stands only in the tables below is told above, too."""
    given = inputs(mean=-0.004, ic={"information_coefficient": of_dates(-0.08)})
    said = " ".join(unfavourable(evaluate(replace(given, variants=variants(given)))))
    for part in ("Sharpe ratio of 2010: -", "Sharpe ratio at 2 times the costs of trading: -",
                 "of the scores beyond volatility, momentum and reversal: -"):  # fmt: skip
        assert part in said, part


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
