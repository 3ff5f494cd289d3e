"""The summary in words."""

import pytest

from trading_pipeline.adapters.reports.charts.sparkline import SHOWN_AT_ONCE
from trading_pipeline.adapters.reports.summary_text import (
    WIDTH,
    markdown_brief,
    markdown_table,
    summary_text,
)
from trading_pipeline.adapters.reports.text import (
    between,
    exposure_sentence,
    head_sentences,
    ordinal,
    paired_sentence,
    rules_sentence,
    start_sentence,
    written,
)
from trading_pipeline.core.evaluation.metrics import METRICS, Metric
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline_tests.adapters.reports.histories import with_holdings
from trading_pipeline_tests.core.evaluation.books import inputs


@pytest.fixture(scope="module")
def summary():
    return evaluate(inputs())


def test_a_planted_edge_is_called_so(summary):
    """Whoever sees only the first line or only the verdict must know."""
    assert "planted" not in summary_text(summary)
    lines = summary_text({**summary, "synthetic": True}).splitlines()
    assert "synthetic: the edge was planted" in lines[0]
    assert "1. The planted edge: NOT PROVEN" in lines


@pytest.mark.parametrize(
    ("metric", "value", "sign", "text"),
    [
        ("annual_return", 0.1234, "-", "12.3 %"),
        ("annual_return", 0.1234, "+", "+12.3 %"),
        ("max_drawdown", -0.457, "-", "-45.7 %"),
        ("sharpe", 0.756, "-", "0.76"),
        ("sharpe", -0.756, "+", "-0.76"),
        ("turnover", 2.09, "-", "2.1 ×"),
        ("information_coefficient", 0.0213, "-", "0.021"),
        ("win_rate", None, "-", "n/a"),
    ],
)
def test_numbers_are_written_in_their_unit(metric, value, sign, text):
    assert written(metric, value, sign) == text


def started(gain, *terms):
    return {"terms": [{"term": term, "weight": 0.1, "t": 6.0} for term in terms], "gain": gain}


@pytest.mark.slow
def test_where_networks_started_is_said_in_a_sentence():
    """Of every fold how much its encoders count; the terms of most folds are named."""
    assert start_sentence(evaluate(inputs())) == ""
    starts = {
        "2006-01-01": started(0.35, "rsi_14", "return_1, 20 bars ago × return_1, 40 bars ago"),
        "2007-01-01": started(0.0, "rsi_14"),
        "2008-01-01": started(1.0),
    }
    assert start_sentence(evaluate(inputs(starts=starts))) == (
        "Before training, a regression looks for terms that tell returns: features of a bar, and "
        "products of two. It found some in 2 of 3 folds (rsi_14 in 2; return_1, 20 bars "
        "ago × return_1, 40 bars ago in 1). What the rest of the network says is added to these, "
        "at a weight, fold after fold, of 0.35, 0.00, 1.00."
    )
    nothing = start_sentence(evaluate(inputs(starts={"2006-01-01": started(0.2)})))
    assert "It found some in 0 of 1 folds. What the rest" in nothing
    many = evaluate(inputs(starts={"2006-01-01": started(0.2, *"abcdefg")}))
    assert "e in 1, and 2 others)" in start_sentence(many)


def test_what_the_volatility_target_came_to_and_what_bound_is_a_sentence(summary):
    assert exposure_sentence(summary) == "", "only its equity is known"
    said = evaluate(with_holdings(inputs()))
    assert said["exposure"]["realised"] == said["strategy"]["annual_volatility"]
    swing = written("annual_volatility", said["strategy"]["annual_volatility"]["value"])
    assert exposure_sentence(said) == (
        f"The volatility came to {swing} a year, for a target of 12.0 %. What bound, of the "
        "decisions: volatility target 62 %, gross cap 38 %, symbol cap 12 %."
    )
    assert exposure_sentence(said)[:40] in summary_text(said)
    bare = {**said, "exposure": {**said["exposure"], "target": None, "bound": {"none": 1.0}}}
    assert exposure_sentence(bare).endswith(
        "for no target. What bound, of the decisions: nothing 100 %."
    )


def test_an_undefined_interval_is_not_written():
    assert between("sharpe", {"value": 1.0, "low": None, "high": None}) == ""
    assert between("sharpe", {"value": 1.0, "low": 0.5, "high": 1.5}) == "[0.50, 1.50]"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0th"), (1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (13, "13th"),
     (21, "21st"), (88, "88th"), (100, "100th")],
)  # fmt: skip
def test_ordinals(number, text):
    assert ordinal(number) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "says"),
    [
        (0.3, -0.1, 0.7, "0.30 above that of buy-and-hold, which chance alone can explain"),
        (-0.3, -0.7, 0.1, "0.30 below that of buy-and-hold, which chance alone can explain"),
        (0.9, 0.2, 1.6, "0.90 above that of buy-and-hold, which is more than chance explains"),
        (-0.9, -1.6, -0.2, "0.90 below that of buy-and-hold, which is more than chance explains"),
        (0.0, None, None, "cannot be measured"),
    ],
)
def test_the_difference_is_said_in_a_sentence(summary, value, low, high, says):
    numbers = {"value": value, "low": low, "high": high}
    changed = summary | {"paired": {"buy_and_hold": {"sharpe_difference": numbers}}}
    assert says in paired_sentence(changed)


def test_the_text_leads_with_the_verdicts_then_the_warnings_then_the_difference(summary):
    text = summary_text(summary)
    marks = (
        "1. The edge: NOT PROVEN",
        "2. Adds to the baselines: NOT PROVEN",
        "3. The network: NOT ASKED",
        "Before believing any number",
        "! this recipe is not proven",
        "! survivorship-biased",
        "Against buy-and-hold",
        "percentile",
        "Trials so far, on this panel: 3.",
    )
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    words = " ".join(text.split())
    for reason in (*summary["verdict"]["reasons"], *summary["verdict"]["adds_reasons"]):
        assert reason in words
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.slow
def test_the_text_of_a_proven_book_says_by_how_much():
    text = summary_text(evaluate(inputs(n_bars=1500, mean=0.003, warnings=())))
    words = " ".join(text.split())
    assert "1. The edge: PROVEN" in words
    assert "2. Adds to the baselines: PROVEN" in words
    assert "Better than each of the simple rules. The hardest is " in words
    assert "a year that no mix of the simple rules explains, 95 % interval [+" in words
    assert "Luck alone" not in words
    assert "Before believing" not in words
    assert "100th percentile" in words


@pytest.mark.parametrize(("days_per_year", "years"), [(252, 17), (365, 12)])
def test_waiting_is_said_in_days_and_years_of_the_market(summary, days_per_year, years):
    """4,200 sessions are 17 years, and 4,200 days of a market that never closes are 12."""
    waiting = {
        "verdict": summary["verdict"] | {"needs_days": 4200},
        "bootstrap": summary["bootstrap"] | {"days_per_year": days_per_year},
    }
    text = summary_text(summary | waiting)
    assert f"about {years} years" in " ".join(text.split())


def test_unknown_trials_are_said_so(summary):
    assert "Trials unknown" in summary_text(summary | {"trials": None})


def test_the_table_has_every_metric_and_every_book(summary):
    lines = markdown_table(summary).splitlines()
    assert len(lines) == 2 + len(METRICS)
    assert {line.count("|") for line in lines} == {len(summary["baselines"]) + 4}
    assert "Buy-and-hold" in lines[0]
    sharpe = summary["strategy"]["sharpe"]
    assert f"| Sharpe ratio | {sharpe['value']:.2f} | [{sharpe['low']:.2f}, " in lines[4]


def test_names_cannot_break_the_table(summary):
    changed = summary | {"baselines": {"a|b<script>": summary["baselines"]["cash"]}}
    head = markdown_table(changed).splitlines()[0]
    assert "A\\|b&lt;script>" in head


def test_the_brief_table_is_shown_at_once_and_says_the_same(summary):
    brief = markdown_brief(summary)
    assert len(brief) < SHOWN_AT_ONCE
    whole = {line.split("|")[1]: line.split("|") for line in markdown_table(summary).splitlines()}
    for line in brief.splitlines()[2:]:
        cells = line.split("|")
        assert cells[:4] == whole[cells[1]][:4]
        assert cells[4] in whole[cells[1]][4:]
        assert " %" not in line
        assert " ×" not in line


def test_a_metric_is_a_row_of_one_table(monkeypatch):
    """Whatever computes and writes metrics knows none by name, so that a new one is one row."""
    worst = Metric(
        "Worst day",
        "The lowest return of a day.",
        "returns",
        lambda returns, _: returns.min(axis=-1),
        ".1%",
    )
    monkeypatch.setitem(METRICS, "worst_day", worst)
    given = inputs()
    found = evaluate(given)
    lowest = min(given.strategy.equity[1:] / given.strategy.equity[:-1]) - 1
    assert found["strategy"]["worst_day"]["value"] == pytest.approx(lowest)
    assert found["strategy"]["worst_day"]["low"] <= lowest
    line = markdown_table(found).splitlines()[-1]
    assert line.startswith(f"| Worst day | {lowest:.1%}".replace("%", "\u00a0%"))


def rule(name, value, low, high, acted=True):
    difference = {"value": value, "low": low, "high": high}
    return {
        "rule": name,
        "acted": acted,
        "sharpe_difference": difference,
        "annual_return_difference": difference,
        "max_drawdown_difference": difference,
    }


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], ""),
        ([rule("stop_loss", 0.0, 0.0, 0.0, acted=False)], "No rule ever acted."),
        ([rule("stop_loss", -0.2, -0.5, 0.1)], "No rule moved the Sharpe ratio by more than"),
        ([rule("stop_loss", None, None, None)], "No rule moved the Sharpe ratio by more than"),
        (
            [rule("stop_loss", -0.2, -0.3, -0.1), rule("kelly_cap", 0.104, 0.01, 0.2),
             rule("drawdown", 0.3, -0.1, 0.5)],
            "by more than chance explains: stop loss -0.20, Kelly cap +0.10.",
        ),
    ],
)  # fmt: skip
def test_rules_that_moved_the_sharpe_ratio_are_named(summary, rows, says):
    sentence = rules_sentence({**summary, "rules": rows})
    assert says in sentence
    assert bool(sentence) == bool(says)
    assert sentence in " ".join(summary_text({**summary, "rules": rows}).split())


def test_each_head_has_a_sentence_on_all_its_rivals(summary):
    direction, risk, volatility = head_sentences(summary)
    assert direction == "The direction head did better than the class frequencies (log score)."
    assert risk == (
        "The risk head did worse than the normal <tail> (log score), "
        "could not be told from the frequency (log score)."
    )
    assert volatility.startswith("The volatility head was not measured against the deviation")
