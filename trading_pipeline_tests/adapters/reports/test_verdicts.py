"""The three verdicts as a newcomer reads them: question, answer, why."""

import pytest

from trading_pipeline.adapters.reports.verdict_section import significance_section
from trading_pipeline.adapters.reports.verdicts import (
    luck_sentences,
    spoken_verdicts,
    trials_sentence,
)
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline_tests.core.evaluation.books import inputs


@pytest.fixture(scope="module")
def summary():
    return evaluate(inputs())


def changed(summary, part, **values):
    return summary | {part: summary[part] | values}


def test_each_has_a_title_a_question_an_answer_and_a_reason(summary):
    for each in spoken_verdicts(summary):
        assert all(each[:3])
        assert each.question.rstrip(".").count("?") == 1
        assert each.reasons
        assert not each.proven
    assert [each.title for each in spoken_verdicts(summary)] == [
        "The edge",
        "Adds to the baselines",
        "The network",
    ]


def test_waiting_is_said_in_days_and_years(summary):
    edge, adds, _ = spoken_verdicts(changed(summary, "verdict", needs_days=4200))
    assert edge.reasons[-1].startswith("Needs 4,200 more days (about 17 years)")
    assert not any(reason.startswith("Needs 4,200") for reason in adds.reasons)


def test_the_network_is_answered_and_explained_as_the_others_are(summary):
    for answer, proven in (("earns its place", True), ("not asked", False)):
        said = changed(summary, "verdict", network=answer, network_reasons=["So it is."])
        network = spoken_verdicts(said)[2]
        assert (network.answer, network.reasons, network.proven) == (answer, ("So it is.",), proven)


def test_trials_are_counted_plainly_and_by_how_many_really_differ(summary):
    edge = summary["significance"]["edge"] | {"effective_trials": 2}
    tried = changed(summary, "significance", edge=edge, elsewhere=5)
    assert trials_sentence(tried | {"trials": 96}) == (
        "Trials so far, on this panel: 96, of which 2 really different. On other panels: 5."
    )
    assert trials_sentence(summary) == "Trials so far, on this panel: 3."


def test_trials_that_nobody_can_count_are_not_said_to_lack_a_ledger(summary):
    """It may be there, and have lost its end, or be locked."""
    assert trials_sentence(summary | {"trials": None}) == "Trials unknown; the warnings say why."


def test_what_luck_shows_is_said_of_the_returns_that_it_is_of(summary):
    """It is a Sharpe ratio over the hardest rule, and no match for one over a zero rate."""
    edge = summary["significance"]["edge"] | {"expected_maximum_sharpe": 0.61}
    said = significance_section(changed(summary, "significance", edge=edge))
    hardest = titled(summary["verdict"]["hardest_baseline"])
    assert f"Over {hardest} at equal volatility the best of 3 trials without any skill" in said
    assert "show a Sharpe ratio of 0.61." in said


def test_what_choosing_is_worth_is_said_where_it_is_known(summary):
    assert luck_sentences(summary) == []
    figures = {"overfitting_probability": 0.31, "superiority_p_value": 0.04, "known_trials": 6}
    overfitting, superiority = luck_sentences(changed(summary, "significance", **figures))
    assert overfitting.startswith("Probability of backtest overfitting: 31 %.")
    assert "with a probability of 0.04" in superiority
