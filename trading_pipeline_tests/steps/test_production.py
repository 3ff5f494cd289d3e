"""A production model is accepted or refused, rolled back, and survives a kill at any moment.

Ridge stands for the network: what is decided about is the same, and it is trained in a moment.
"""

import re
import threading
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from trading_pipeline.adapters.store import checkpoints
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.production import ACCEPTED, REFUSED, ROLLED_BACK
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.walkforward import production_fold
from trading_pipeline.errors import CheckpointError, StoreError
from trading_pipeline.steps import production
from trading_pipeline.steps.integrity import service_faults
from trading_pipeline.steps.production import (
    ASIDE,
    CANDIDATE,
    PRODUCTION,
    accept,
    listed,
    newest_decision,
    roll_back,
    train_production,
)
from trading_pipeline.steps.train import Trained
from trading_pipeline_tests.steps.learnable import MARKET, PLAN, TONIGHT, dataset, host


@cache
def trained(bars, horizon):
    """Ridge on all of so many bars."""
    recipe = replace(PLAN, market=replace(MARKET, horizon=horizon)).recipe
    clock, first = dataset(bars).panel.timestamps, burn_in(recipe.model.n_steps)
    fold = production_fold(clock, recipe.market, first, recipe.training.min_dates)
    return train_fold(dataset(bars), fold, recipe)


class Nights:
    """A home, and the nights of a market in it; a model of equal bars is trained once for all."""

    def __init__(self, home, monkeypatch):
        self.home, self.patch = home, monkeypatch
        self.said: list[str] = []
        self.trained = 0
        self.change = lambda checkpoint: checkpoint  # what becomes of a model that was trained
        self.before = lambda: None  # what happens while one is trained
        monkeypatch.setattr(production, "train_fold", self._training)

    def _training(self, home, plan, data, fold, name, *_):
        self.trained += 1
        self.before()
        made = self.change(trained(len(data.panel.timestamps), plan.market.horizon))
        return Trained(made, home.checkpoints(MARKET).write(name, made))

    def night(self, bars_more=0, plan=PLAN):
        """Tonight, or so many bars later."""
        self.patch.setattr(production, "read_dataset", lambda *_: dataset(TONIGHT + bars_more))
        return train_production(self.home, plan, host(self.said))

    @property
    def service(self) -> str:
        """SHA-256 of the model in service, after reading it as a session would."""
        store = self.home.checkpoints(MARKET)
        store.read(PRODUCTION)
        return store.verify(PRODUCTION)

    @property
    def kinds(self) -> list[str]:
        with self.home.ledger() as ledger:
            return [event.kind for event in ledger.read(f"production/{MARKET.name}")]


@pytest.fixture
def nights(home, monkeypatch):
    return Nights(home, monkeypatch)


def rival_with(change):
    """The checkpoint with other weights."""

    def changed(checkpoint):
        rival = checkpoint["rival"]
        fitted = {**rival["fitted"], "weights": change(rival["fitted"]["weights"].clone())}
        return {**checkpoint, "rival": {**rival, "fitted": fitted}}

    return changed


def negative(checkpoint):
    """What orders the symbols the other way round, and says so of its validation."""
    record = checkpoint["metrics"]["validation_coefficients"]
    metrics = {**checkpoint["metrics"], "validation_coefficients": [-each for each in record]}
    return rival_with(lambda weights: -weights)({**checkpoint, "metrics": metrics})


@pytest.mark.slow
def test_a_model_in_service_that_is_not_the_accepted_one_is_found(nights):
    """Put there by hand, damaged, or gone; so are those of the copy that sessions read."""
    assert service_faults(nights.home, MARKET) == []  # there is none yet
    nights.night()
    nights.night(1)
    assert service_faults(nights.home, MARKET) == []
    store, aside = (home.checkpoints(MARKET) for home in (nights.home, nights.home.beside(ASIDE)))
    first, second = (each.decision.model for each in listed(nights.home, MARKET)[-2:])
    store.copy(PRODUCTION, aside.path(first[:16]))
    (fault,) = service_faults(nights.home, MARKET)
    assert f"is {first[:16]}, and {second[:16]} was accepted" in fault
    store.copy(PRODUCTION, aside.path(second[:16]))
    assert service_faults(nights.home, MARKET) == []
    for kept in (store.path(PRODUCTION), aside.path(second[:16])):
        whole = kept.read_bytes()
        kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert len(service_faults(nights.home, MARKET)) == 1
        kept.unlink()
        assert len(service_faults(nights.home, MARKET)) == 1
        kept.write_bytes(whole)
    assert service_faults(nights.home, MARKET) == []


@pytest.mark.slow
def test_honest_nights_are_accepted_one_after_the_other(nights):
    """With the evidence that they were accepted on; the first has no predecessor."""
    first = nights.night()
    assert first.decision.evidence == {"predecessor": "none: the first model"}
    second = nights.night(1)
    assert nights.kinds == [ACCEPTED, ACCEPTED]
    assert nights.service == second.made.digest == second.decision.model
    assert second.decision.instead_of == first.made.digest
    evidence = second.decision.evidence
    assert evidence["agreement"] > 0.95
    assert abs(evidence["difference"]) < evidence["reach"] + 0.01
    assert evidence["spread"] == pytest.approx(1.0, abs=0.05)
    assert evidence["band"] == {
        **{"dates": 63, "agreement": 0.5, "widths": 2.0, "margin": 0.002, "spread": 0.01}
    }
    assert [each.in_service for each in listed(nights.home, MARKET)] == [False, True]


def test_a_night_without_news_trains_nothing_and_says_nothing(nights):
    nights.night()
    again = nights.night()
    assert (again.decision, again.made.is_new, nights.trained) == (None, False, 1)
    assert nights.kinds == [ACCEPTED]


def test_the_negative_of_the_predecessor_is_refused_for_both_reasons(nights):
    """Yesterday's stays; the same candidate is not trained again, and the word is said once."""
    before = nights.night().made.digest
    nights.change = negative
    for _ in range(2):
        night = nights.night(1)
        assert nights.service == before
        agreement, worse = night.decision.reasons
        assert "agree with those of its predecessor by a rank correlation of -" in agreement
        assert "significantly worse" in worse
    assert (nights.trained, nights.kinds) == (2, [ACCEPTED, REFUSED])
    assert newest_decision(nights.home, MARKET).evidence["agreement"] < -0.95


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (rival_with(lambda weights: weights * float("nan")), r"holds a rival .*is not finite"),
        (rival_with(lambda weights: weights.sign() * 1e308), r"it says \S+ as score of S0 at 2017"),
        (lambda checkpoint: {**checkpoint, "calibration": {}}, "holds settings that cannot be"),
    ],
)
def test_a_candidate_that_says_no_numbers_is_refused(nights, change, reason):
    before = nights.night().made.digest
    nights.change = change
    with np.errstate(all="ignore"):
        decision = nights.night(1).decision
    assert decision.kind == REFUSED
    assert re.search(reason, decision.reasons[0]), decision.reasons
    assert nights.service == before


@pytest.mark.parametrize("left", [0.0, 1e-4])
def test_a_candidate_that_has_collapsed_is_refused(nights, left):
    """It says the same of every symbol; its predecessor, of equal bars but one, did not."""
    before = nights.night().made.digest
    nights.change = rival_with(lambda weights: left * weights)
    decision = nights.night(1).decision
    assert decision.kind == REFUSED
    assert "it has collapsed: what its heads say" in decision.reasons[0]
    assert nights.service == before


def test_a_candidate_without_an_opinion_is_none_that_has_collapsed(nights):
    """Its validation shows nothing, its slope is 0, and it holds the benchmark: it may trade."""
    nights.night()
    nights.change = lambda made: {**made, "calibration": {**made["calibration"], "slope": 0.0}}
    assert nights.night(1).decision.kind == ACCEPTED


def test_a_candidate_that_was_cut_short_is_refused(nights):
    before = nights.night().made.digest
    whole = nights._training

    def cut(home, *more):
        done = whole(home, *more)
        path = home.checkpoints(MARKET).path(CANDIDATE)
        path.write_bytes(path.read_bytes()[:-100])
        return done

    nights.patch.setattr(production, "train_fold", cut)
    decision = nights.night(1).decision
    assert decision.kind == REFUSED
    assert "is not the file that was written" in decision.reasons[0]
    assert nights.service == before


def test_a_model_of_another_recipe_needs_the_walk_forward(nights):
    """A recipe that no fold was trained with is not the one that the walk-forward supports."""
    before = nights.night().made.digest
    other = replace(PLAN, market=replace(MARKET, horizon=4))
    refused = nights.night(1, other).decision
    assert refused.kind == REFUSED
    assert "has not been through the walk-forward" in refused.reasons[0]
    assert "market differs in ['horizon']" in refused.evidence["predecessor"]
    assert nights.service == before
    nights.patch.setattr("trading_pipeline.steps.acceptance.lacking", lambda *_: {})
    assert nights.night(1, other).decision.kind == ACCEPTED
    assert nights.trained == 2


def test_a_damaged_model_in_service_is_put_back(nights):
    """From the models that are kept."""
    model = nights.night().made.digest
    path = nights.home.checkpoints(MARKET).path(PRODUCTION)
    path.write_bytes(path.read_bytes()[:-100])
    nights.night()
    assert nights.service == model
    assert f"{model[:16]} is put back" in nights.said[-1]
    assert nights.trained == 1


def test_a_model_of_another_version_gives_way_to_one_of_this(nights, monkeypatch):
    """It is whole, and none of this code can ask it: nothing is put back, and the walk-forward
    speaks for its successor."""
    model = nights.night().made.digest
    monkeypatch.setattr(checkpoints, "FORMAT", checkpoints.FORMAT + 1)
    nights.patch.setattr("trading_pipeline.steps.acceptance.lacking", lambda *_: {})
    tonight = nights.night()
    assert (tonight.decision.kind, tonight.decision.instead_of) == (ACCEPTED, model)
    assert "has format" in tonight.decision.evidence["predecessor"]
    assert nights.service == tonight.made.digest != model
    assert nights.said == []


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged: "),
        (lambda path: path.unlink(), "lost: "),
    ],
)
def test_a_successor_of_a_model_that_is_gone_needs_the_walk_forward(nights, harm, what):
    """It is no first model, and there is nothing left that it could be held against."""
    model = nights.night().made.digest
    path = nights.home.checkpoints(MARKET).path(PRODUCTION)
    harm(path)
    (path.parent / "production" / f"{model[:16]}.pt").unlink()
    decision = nights.night(1).decision
    assert (decision.kind, decision.evidence["predecessor"][: len(what)]) == (REFUSED, what)
    assert "has not been through the walk-forward" in decision.reasons[0]
    nights.patch.setattr("trading_pipeline.steps.acceptance.lacking", lambda *_: {})
    assert nights.night(1).decision.kind == ACCEPTED
    assert (nights.trained, nights.service) == (2, newest_decision(nights.home, MARKET).model)


def test_a_model_of_an_earlier_release_is_adopted(nights):
    """It was never recorded, and one can roll back to it all the same."""
    found = nights.night().made.digest
    (nights.home.path / "ledger.sqlite").unlink()
    nights.night(1)
    assert nights.kinds == [ACCEPTED, ACCEPTED]
    roll_back(nights.home, PLAN, "")
    assert nights.service == found


@pytest.mark.slow
@pytest.mark.parametrize("copies", [0, 1])
@pytest.mark.parametrize("end", [KeyboardInterrupt(), StoreError("No space left on device")])
def test_a_kill_or_a_full_disk_leaves_a_whole_model(nights, copies, end):
    """Before the word in the ledger, yesterday's; after it, the next night finishes the switch
    without training again."""
    before = nights.night().made.digest
    copy, done = CheckpointStore.copy, []

    def dies(store, name, source):
        if len(done) == copies:
            raise end
        done.append(name)
        return copy(store, name, source)

    nights.patch.setattr(CheckpointStore, "copy", dies)
    with pytest.raises(type(end)):
        nights.night(1)
    nights.patch.setattr(CheckpointStore, "copy", copy)
    assert nights.service == before
    assert nights.kinds == [ACCEPTED] * (1 + copies)
    nights.night(1)
    assert nights.service != before
    assert (nights.trained, nights.kinds) == (2, [ACCEPTED, ACCEPTED])


@pytest.mark.slow
def test_a_roll_back_that_was_killed_is_finished_and_not_taken_twice(nights):
    """The ledger has the word, the file is still that of before; the operator asks again."""
    first, second, third = (nights.night(n).made.digest for n in range(3))
    copy = CheckpointStore.copy

    def dies(store, name, source):
        raise KeyboardInterrupt

    nights.patch.setattr(CheckpointStore, "copy", dies)
    with pytest.raises(KeyboardInterrupt):
        roll_back(nights.home, PLAN, "")
    nights.patch.setattr(CheckpointStore, "copy", copy)
    assert (nights.service, nights.kinds[-1]) == (third, ROLLED_BACK)
    left, now = roll_back(nights.home, PLAN, "")
    assert (left.model, now.model, nights.service) == (third, second, second)
    roll_back(nights.home, PLAN, "")
    assert nights.service == first


def test_a_second_night_at_once_waits_and_finds_the_model(nights):
    training, waits, made = threading.Event(), threading.Event(), []

    def begin():
        training.set()
        assert waits.wait(20)

    def second():
        assert training.wait(20)
        made.append(
            train_production(nights.home, PLAN, replace(host(), warn=lambda _: waits.set()))
        )

    nights.before = begin
    other = threading.Thread(target=second)
    other.start()
    made.append(nights.night())
    other.join(20)
    assert sorted(night.made.is_new for night in made) == [False, True]
    assert (nights.trained, nights.kinds) == (1, [ACCEPTED])


@pytest.mark.slow
def test_a_roll_back_is_one_step_and_the_night_respects_it(nights):
    """The same bars would make the model again: refused until they change."""
    first, second = nights.night().made.digest, nights.night(1).made.digest
    left, now = roll_back(nights.home, PLAN, "it lost money")
    assert (left.model, now.model, nights.service) == (second, first, first)
    refused = nights.night(1).decision
    assert refused.kind == REFUSED
    assert "rolled back by the operator" in refused.reasons[0]
    assert "it lost money" in refused.reasons[0]
    assert nights.service == first
    assert nights.night(2).decision.kind == ACCEPTED
    assert nights.kinds == [ACCEPTED, ACCEPTED, ROLLED_BACK, REFUSED, ACCEPTED]


@pytest.mark.slow
def test_a_second_roll_back_goes_further_and_never_to_what_was_left(nights):
    first = nights.night().made.digest
    second, third = nights.night(1).made.digest, nights.night(2).made.digest
    roll_back(nights.home, PLAN, "")
    assert nights.service == second
    nights.night(3)
    roll_back(nights.home, PLAN, "")
    assert nights.service == second
    roll_back(nights.home, PLAN, "")
    assert nights.service == first
    with pytest.raises(CheckpointError, match="no earlier model to roll back to"):
        roll_back(nights.home, PLAN, "")
    roll_back(nights.home, PLAN, "", to=third[:8])
    assert nights.service == third


@pytest.mark.slow
def test_a_roll_back_gives_the_model_that_traded_before_whatever_its_age(nights):
    """The operator had put the oldest one in service again; and a refused one never traded."""
    first, second = nights.night().made.digest, nights.night(1).made.digest
    accept(nights.home, PLAN, first, "the old one again")
    nights.change = negative
    nights.night(2)
    left, now = roll_back(nights.home, PLAN, "")
    assert (left.model, now.model, nights.service) == (first, second, second)
    with pytest.raises(CheckpointError, match="no earlier model to roll back to"):
        roll_back(nights.home, PLAN, "")  # the first one was left
    assert nights.kinds == [ACCEPTED] * 3 + [REFUSED, ROLLED_BACK]


@pytest.mark.slow
def test_roll_backs_after_one_that_skipped_models_go_on_backwards(nights):
    """Never forwards to a model that came after the one in service."""
    first, *_ = (nights.night(n).made.digest for n in range(3))
    roll_back(nights.home, PLAN, "", to=first[:8])
    with pytest.raises(CheckpointError, match="no earlier model to roll back to"):
        roll_back(nights.home, PLAN, "")
    assert nights.service == first


@pytest.mark.slow
def test_a_model_that_trades_again_is_kept_as_a_new_one(nights, monkeypatch):
    """It is what the night after rolls back to."""
    monkeypatch.setattr(production, "KEPT", 2)
    first = nights.night().made.digest
    nights.night(1)
    accept(nights.home, PLAN, first, "")
    nights.night(2)
    assert roll_back(nights.home, PLAN, "")[1].model == nights.service == first


@pytest.mark.slow
def test_a_hold_refuses_every_candidate_until_the_operator_accepts_one(nights):
    first = nights.night().made.digest
    nights.night(1)
    roll_back(nights.home, PLAN, "", hold=True)
    refused = nights.night(2)
    assert "the operator holds the model in service" in refused.decision.reasons[0]
    assert nights.service == first
    accept(nights.home, PLAN, refused.made.digest[:10], "looked at it")
    assert nights.service == refused.made.digest
    assert nights.night(2).decision is None
    assert nights.night(3).decision.kind == ACCEPTED


def test_the_operator_cannot_accept_what_is_not_there_or_not_sound(nights):
    with pytest.raises(CheckpointError, match="has no production model yet"):
        roll_back(nights.home, PLAN, "")
    nights.night()
    for wanted in ("zz", ""):
        with pytest.raises(CheckpointError, match=f"models .* begin with '{wanted}'"):
            accept(nights.home, PLAN, wanted, "")
    nights.change = rival_with(lambda weights: weights * float("nan"))
    nights.night(1)
    candidate = newest_decision(nights.home, MARKET).model
    with pytest.raises(CheckpointError, match="holds a rival that cannot be read"):
        accept(nights.home, PLAN, candidate, "")


@pytest.mark.slow
def test_no_more_models_are_kept_than_are_needed(nights, monkeypatch):
    monkeypatch.setattr(production, "KEPT", 2)
    made = [nights.night(n).made.digest[:16] for n in range(4)]
    store = nights.home.beside("production").checkpoints(MARKET)
    assert set(store.names()) == {CANDIDATE, *made[2:]}
    assert [each.kept for each in listed(nights.home, MARKET)] == [False, False, True, True]
