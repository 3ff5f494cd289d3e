"""The commands of the operator: which model trades, why, and back to an earlier one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from trading_pipeline.adapters.store.production import (
    ACCEPTED,
    NIGHTLY,
    REFUSED,
    Decision,
    decisions,
    in_service,
    record,
)
from trading_pipeline.definitions import home_of, plan_of
from trading_pipeline.settings import Settings
from trading_pipeline_tests.core.learning.checkpoints import made_up

NIGHTS = ("2024-01-02", "2024-01-03", "2024-01-04")


@pytest.fixture
def models(folder):
    """Of three nights, the last one refused; SHA-256 of each. Cheap: none was trained."""
    settings = Settings(_env_file=None)
    home, plan = home_of(settings), plan_of(settings, "sample")
    kept, made, before = home.beside("production").checkpoints(plan.market), [], None
    with home.ledger() as ledger:
        for night in NIGHTS:
            refused = night == NIGHTS[-1]
            last = f"{night}T00:00:00+00:00"
            checkpoint = made_up(plan.recipe) | {"fingerprint": night, "last_target": last}
            digest = kept.write("candidate", checkpoint)
            decision = Decision(
                kind=REFUSED if refused else ACCEPTED,
                model=digest,
                fingerprint=night,
                last_target=last,
                instead_of=before,
                by=NIGHTLY,
                reasons=("it disagrees",) if refused else (),
                evidence={"agreement": 0.1 if refused else None},
            )
            record(ledger, "sample", decision, datetime.now(UTC))
            if not refused:
                kept.copy(digest[:16], kept.path("candidate"))
                home.checkpoints(plan.market).copy("best_model", kept.path("candidate"))
                before = digest
            made.append(digest)
    return home, plan, made


def test_before_the_first_night_there_is_nothing_to_list(run, folder):
    """Whoever only looks makes no ledger, which would be one without trials."""
    for arguments, code in [(["list"], 0), (["show"], 2)]:
        got, said = run("production", *arguments)
        assert (got, "sample has no production model yet" in said) == (code, True)
    code, said = run("production", "show", "ab")
    assert (code, "no decision about a model of sample that begins with 'ab'" in said) == (2, True)
    assert list(folder.rglob("ledger.sqlite")) == []
    code, said = run("production", "rollback")
    assert (code, "has no production model yet; a night makes it" in said) == (2, True)


def test_the_list_says_which_model_trades_and_why_one_does_not(run, models):
    _, _, (first, second, third) = models
    code, said = run("production", "list", "--market", "sample")
    assert code == 0
    assert f"{first[:12]} 2024-01-02" in said
    assert "accepted in service" in said
    assert f"{third[:12]} 2024-01-04" in said
    assert "refused; it disagrees" in said
    shown = run("production", "show")[1]
    assert f"model {second}" in shown
    assert "agreement not available" in shown
    assert "reason it disagrees agreement 0.1" in run("production", "show", third[:6])[1]


def test_a_roll_back_and_an_acceptance_are_one_command_each(run, models):
    home, plan, (first, second, third) = models
    code, said = run("production", "rollback", "--reason", "it lost money", "--hold")
    assert (code, f"{first[:12]}, which learned to 2024-01-02, is in service" in said) == (0, True)
    assert "no candidate is accepted until" in said
    assert home.checkpoints(plan.market).verify("best_model") == first
    code, said = run("production", "rollback")
    assert (code, "has no earlier model to roll back to" in said) == (2, True)
    for model in (third, second):
        code, said = run("production", "accept", model[:8], "--reason", "looked at it")
        assert (code, f"{model[:12]} is in service" in said) == (0, True)
        assert home.checkpoints(plan.market).verify("best_model") == model
    with home.ledger() as ledger:
        now = in_service(decisions(ledger, "sample"))
        assert ledger.verify("production/sample") == 6
    assert replace(now, at=None).reasons == ("looked at it",)
    code, said = run("production", "accept", "none")
    assert (code, "models that could be put in service begin with 'none'" in said) == (2, True)
