"""What costs, capital, profiles, sides and seeds come to, on the page and in a sentence."""

import re
from dataclasses import replace

import pytest

from trading_pipeline.adapters.reports.summary_text import summary_text
from trading_pipeline.adapters.reports.text import capacity_sentence, costs_sentence
from trading_pipeline.adapters.reports.variants_page import one_thing_changed
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline_tests.adapters.reports.histories import with_holdings
from trading_pipeline_tests.core.evaluation.books import inputs, seeds, variants


@pytest.fixture(scope="module")
def summary():
    given = with_holdings(inputs())
    profiles = {"conservative": given.strategy, "moderate": given.strategy}
    changed = {"variants": variants(given), "seeds": seeds(given), "profiles": profiles}
    return evaluate(replace(given, **changed))


def test_every_variant_has_its_row(summary):
    html = one_thing_changed(summary)
    assert re.findall("<h3>(.*?)</h3>", html) == [
        *("Costs and delay", "Capital", "Risk profiles"),
        *("Long and short apart", "Each network by itself"),
    ]
    rows = re.findall("<tr><td>(.*?)</td>", html)
    late = "One bar later<small>Decided on yesterday&#x27;s scores.</small>"
    assert rows[:4] == [*(f"{n}\N{NO-BREAK SPACE}×" for n in range(3)), late]
    assert rows[4:] == [
        *("100,000", "1,000,000", "Conservative", "Moderate", "Long", "Short", "0", "5"),
    ]


def test_profiles_stand_from_cautious_to_bold_and_capital_in_its_currency(summary):
    """The market's own profile is in its place, wherever it was run."""
    given = inputs()
    names = ("conservative", "moderate", "aggressive")
    found = evaluate(replace(given, profiles=dict.fromkeys(names, given.strategy)))
    assert tuple(found["profiles"]) == names
    assert "<th>Capital, USD</th>" in one_thing_changed(summary)


def test_at_its_own_costs_the_difference_is_the_one_that_the_report_leads_with(summary):
    """The same account, benchmark and resampled days, to the last digit."""
    once = next(row for row in summary["costs"]["multiples"] if row["multiple"] == 1)
    assert once["sharpe_difference"] == summary["paired"]["buy_and_hold"]["sharpe_difference"]
    assert once["sharpe"] == summary["strategy"]["sharpe"]
    assert summary["profiles"]["moderate"]["sharpe"] == summary["strategy"]["sharpe"]


def test_what_was_not_run_leaves_no_table():
    bare = evaluate(inputs())
    assert re.findall("<h3>(.*?)</h3>", one_thing_changed(bare)) == ["Risk profiles"]
    assert (costs_sentence(bare), capacity_sentence(bare)) == ("", "")
    assert bare["costs"] == {"paid": None}
    assert (bare["capacity"], bare["sides"], bare["seeds"]) == (None, None, {})


def with_break_even(summary, **even):
    return {**summary, "costs": {"break_even": {"tested_to": 8.0, **even}}}


def test_a_sentence_says_how_much_cost_it_bears(summary):
    said = costs_sentence(with_break_even(summary, sharpe_difference=2.34, annual_return=None))
    assert said == (
        "The strategy's Sharpe ratio is above that of buy-and-hold up to 2.3 times its costs of "
        "trading; its return is still above 0 at 8 times its costs of trading."
    )
    said = costs_sentence(with_break_even(summary, sharpe_difference=0.0, annual_return=0.6))
    assert "is not above that of buy-and-hold even without costs; its return is above 0 up" in said
    assert "Sharpe ratio is" in " ".join(summary_text(summary).split())


def test_a_sentence_says_how_much_capital_it_carries(summary):
    rows = [{"capital": 1e5, "sharpe": {"value": 1.0}, "annual_return": {"value": 0.1}}] * 2
    traded = {"traded": {"currency": "USD"}}
    found = {"capitals": rows, "half_at": 1.234e9, "cut_from": 5.67e7, "impact": 1.0}
    assert capacity_sentence({"capacity": found, **traded}) == (
        "Half of what it earns is gone with a capital of 1,200,000,000 USD; the volume of the "
        "bars cuts one order in twenty from 57,000,000 USD on."
    )
    never = {**found, "half_at": None, "cut_from": None}
    said = "More than half of what it earns is left with 100,000 USD, the most that was tried."
    assert capacity_sentence({"capacity": never, **traded}) == said
    rows = [{"capital": 1e5, "sharpe": {"value": None}, "annual_return": {"value": 0.0}}]
    nothing = {**never, "capitals": rows}
    said = "It earns nothing that more capital could take away."
    assert capacity_sentence({"capacity": nothing, **traded}) == said


def test_one_side_alone_is_no_table(summary):
    long = {"long": {"money": 5.0}, "short": {"money": 0.0}}
    assert "apart" not in one_thing_changed({**summary, "sides": long})
