"""What was decided about models, as the ledger tells it later."""

from datetime import UTC, datetime

import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.production import (
    ACCEPTED,
    NIGHTLY,
    OPERATOR,
    REFUSED,
    ROLLED_BACK,
    Decision,
    accepted_models,
    decisions,
    in_service,
    left_behind,
    objection,
    record,
    way_back,
)

NOW = datetime(2024, 1, 2, 21, 30, tzinfo=UTC)


def decided(kind, model, instead_of=None, by=NIGHTLY, **more) -> Decision:
    return Decision(
        kind=kind,
        model=model,
        fingerprint=f"bars of {model}",
        last_target="2024-01-02T00:00:00+00:00",
        instead_of=instead_of,
        by=by,
        at=NOW,
        **more,
    )


A, B = decided(ACCEPTED, "a"), decided(ACCEPTED, "b", "a")
REFUSED_C = decided(REFUSED, "c", "b", reasons=("it disagrees",))
BACK = decided(ROLLED_BACK, "a", "b", OPERATOR, reasons=("it lost money",))
HOLD = decided(ROLLED_BACK, "a", "b", OPERATOR, hold=True)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_a_decision_comes_back_as_it_was_recorded(ledger):
    whole = decided(REFUSED, "c", "b", reasons=("one", "two"), evidence={"agreement": None})
    record(ledger, "small", whole, NOW)
    assert decisions(ledger, "small") == [whole]
    assert decisions(ledger, "other") == []
    assert ledger.verify("production/small") == 1


def test_the_same_word_twice_is_recorded_once(ledger):
    """A night that runs again over a refused candidate has nothing new to say."""
    for each in (A, REFUSED_C, REFUSED_C, BACK, REFUSED_C):
        record(ledger, "small", each, NOW)
    assert [each.kind for each in decisions(ledger, "small")] == [
        *(ACCEPTED, REFUSED, ROLLED_BACK, REFUSED)
    ]


def test_refused_models_were_never_in_service():
    known = [A, B, REFUSED_C]
    assert in_service([]) is None
    assert in_service(known) is B
    assert in_service([*known, BACK]) is BACK
    assert accepted_models([*known, BACK]) == ["b", "a"]  # by when they last were


C, AGAIN = decided(ACCEPTED, "c", "b"), decided(ACCEPTED, "a", "c", OPERATOR)


@pytest.mark.parametrize(
    ("known", "way"),
    [
        ([], []),
        ([A], []),
        ([A, A, B, REFUSED_C], ["a"]),
        ([A, B, C], ["a", "b"]),
        ([A, B, BACK], []),
        ([A, B, BACK, C], ["a"]),
        ([A, B, C, decided(ROLLED_BACK, "a", "c", OPERATOR)], []),  # b came after a
        ([A, B, C, AGAIN], ["b", "c"]),
        ([A, B, C, AGAIN, decided(ROLLED_BACK, "c", "a", OPERATOR)], ["b"]),  # a was left
    ],
)
def test_the_way_back_is_that_of_what_traded(known, way):
    """Not that of the models' ages."""
    assert way_back(known) == way


@pytest.mark.parametrize(
    ("known", "of_b", "of_c"),
    [
        ([A, B], None, None),
        ([A, B, BACK], "rolled back by the operator on 2024-01-02 21:30 UTC: it lost", None),
        ([A, B, BACK, decided(ACCEPTED, "b", "a", OPERATOR)], None, None),
        ([A, B, BACK, decided(ROLLED_BACK, "b", "a", OPERATOR)], None, None),
        ([A, B, BACK, decided(ACCEPTED, "d", "a")], "rolled back by the operator", None),
        ([A, B, HOLD], "rolled back by the operator", "the operator holds the model"),
        ([A, B, HOLD, REFUSED_C], "rolled back by the operator", "the operator holds the model"),
        ([A, B, HOLD, decided(ACCEPTED, "d", "a", OPERATOR)], "rolled back by the operator", None),
    ],
)
def test_the_operator_has_the_last_word(known, of_b, of_c):
    """On the model that was left, and with a hold on all."""
    for model, wanted in (("b", of_b), ("c", of_c)):
        said = objection(known, f"bars of {model}")
        assert said is None if wanted is None else wanted in said


def test_a_model_is_left_behind_until_it_is_back():
    assert set(left_behind([A, B, BACK])) == {"b"}
    assert left_behind([A, B, BACK, decided(ACCEPTED, "b", "a", OPERATOR)]) == {}
