"""The model that trades tomorrow's bars: trained every night, accepted or refused, rolled back.

A night trains a candidate beside the model in service, `models/MARKET/best_model.pt`, and puts it
in its place only where nothing speaks against it. Models that were accepted are kept by their
SHA-256 in `models/MARKET/production`, so that a roll-back is a copy. The ledger says what was
decided and why; a switch that a kill interrupted is finished by whoever comes next.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.store import production as record
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.production import ACCEPTED, REFUSED, ROLLED_BACK, Decision
from trading_pipeline.core.learning.dataset import Dataset, burn_in
from trading_pipeline.core.learning.soundness import check_checkpoint
from trading_pipeline.core.learning.walkforward import Fold, production_fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import CheckpointError
from trading_pipeline.steps.acceptance import judge
from trading_pipeline.steps.freshness import stored_model
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_dataset
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.train import Host, Trained, train_fold

PRODUCTION = "best_model"  # file of the model in service
CANDIDATE = "candidate"
KEPT = 10  # models that were accepted; the disk is finite
ASIDE = "production"  # folder of the candidate and of these
_SHOWN = 16  # digits of a SHA-256 that name a file


@dataclass(frozen=True)
class Night:
    """What a night made, and what became of it."""

    made: Trained
    decision: Decision | None  # None: no bar was new or changed, and the model stayed


def train_production(home: Home, plan: Plan, host: Host) -> Night:
    """The same recipe on all data so far, put in service where nothing speaks against it.

    Where no bar is new or changed, the model that there is; a candidate that was refused on these
    bars is judged again, and not trained again. A second night at once waits for the first.
    """
    store = _aside(home).checkpoints(plan.market)
    busy = f"another process makes the production model of {plan.market.name}; waiting for it"
    with store.one_training("night", lambda: host.warn(busy)):
        with _switching(home, plan.market, host.warn):
            pass  # a switch that a kill interrupted is finished first
        data, recipe = read_dataset(home, plan), plan.recipe
        first, clock = burn_in(recipe.model.n_steps), data.panel.timestamps
        fold = production_fold(clock, recipe.market, first, recipe.training.min_dates)
        if (kept := stored_model(home, plan, data.panel, fold, PRODUCTION)) is not None:
            digest = home.checkpoints(plan.market).verify(PRODUCTION)
            return Night(Trained(kept, digest, is_new=False), None)
        made = _candidate(home, plan, data, fold, host)
        return Night(made, _decide(home, plan, data, made, host.warn))


def _candidate(home: Home, plan: Plan, data: Dataset, fold: Fold, host: Host) -> Trained:
    """Trained now, or on these bars before, when it was refused or a kill came before the word."""
    aside = _aside(home)
    kept = stored_model(aside, plan, data.panel, fold, CANDIDATE)
    if kept is None:
        return train_fold(aside, plan, data, fold, CANDIDATE, host, "production model")
    return Trained(kept, aside.checkpoints(plan.market).verify(CANDIDATE), is_new=False)


def _decide(
    home: Home, plan: Plan, data: Dataset, made: Trained, warn: Callable[[str], object]
) -> Decision:
    """Judge the candidate, say so in the ledger, and put it in service if it is accepted."""
    store, evidence = _aside(home).checkpoints(plan.market), dict[str, Any]()
    with _switching(home, plan.market, warn) as (ledger, known, _):
        try:
            candidate = store.read(CANDIDATE)  # as it lies on the disk
            check_checkpoint(candidate, plan.recipe)
            first = record.in_service(known) is None
            reasons, evidence = judge(home, plan, data, candidate, PRODUCTION, first)
        except CheckpointError as error:
            reasons = [f"it cannot be used: {error}"]
        if said := record.objection(known, made.checkpoint["fingerprint"]):
            reasons = [said, *reasons]
        kind = REFUSED if reasons else ACCEPTED
        decision = _about(kind, made.digest, made.checkpoint, known, record.NIGHTLY, reasons)
        decision = replace(decision, evidence=evidence)
        if reasons:
            record.record(ledger, plan.market.name, decision, home.clock.now())
        else:
            _put_in_service(home, plan.market, ledger, decision, store.path(CANDIDATE))
    return decision


def roll_back(
    home: Home, plan: Plan, reason: str, to: str = "", hold: bool = False
) -> tuple[Decision, Decision]:
    """Put an earlier model in service: the one that traded before, or that whose SHA-256 begins
    with `to`.

    The night refuses the model that is left until its bars or its recipe have changed, or the
    operator accepts it; every model, with `hold`. A roll-back that a kill cut off is finished
    instead, so that the same command again takes no second step. Returns what was and what is in
    service.

    Raises:
        CheckpointError: there is no such model, or it is not one of today's recipe.
    """
    store = _aside(home).checkpoints(plan.market)
    with _switching(home, plan.market, _unsaid) as (ledger, known, finished):
        now = record.in_service(known)
        if finished and finished.kind == ROLLED_BACK and not to:
            return record.in_service(known[: known.index(finished)]) or finished, finished
        if now is None:
            raise CheckpointError(_none_yet(plan.market))
        models = record.accepted_models(known) if to else record.way_back(known)
        kept = [each for each in models if each != now.model and _is_kept(store, each)]
        model = _named(to, kept) if to else kept[-1:]
        if not model:
            raise CheckpointError(
                f"{plan.market.name} has no earlier model to roll back to: {now.model[:_SHOWN]} is "
                "the first of those that are kept (`trading-pipeline production list`)"
            )
        decision = _chosen(store, plan, model[0], known, ROLLED_BACK, reason)
        decision = replace(decision, hold=hold)
        _put_in_service(home, plan.market, ledger, decision, store.path(model[0][:_SHOWN]))
    return now, decision


def accept(home: Home, plan: Plan, model: str, reason: str) -> Decision:
    """Put a model in service whatever was said against it: a candidate, or one that was left.

    Raises:
        CheckpointError: there is no such model, or it is not one of today's recipe.
    """
    store = _aside(home).checkpoints(plan.market)
    with _switching(home, plan.market, _unsaid) as (ledger, known, _):
        files = _files(store)
        (found,) = _named(model, list(files))
        decision = _chosen(store, plan, found, known, ACCEPTED, reason, files[found])
        _put_in_service(home, plan.market, ledger, decision, store.path(files[found]))
    return decision


def model_in_service(home: Home, plan: Plan, ledger: Ledger, known: str = "") -> dict[str, Any]:
    """The model that trades now, with its `sha256`; {} if that is `known`.

    Raises:
        CheckpointError: there is none yet, its file is damaged, or it is not one of today's recipe.
    """
    decision = record.newest_in_service(ledger, plan.market.name)
    if decision is None:
        raise CheckpointError(_none_yet(plan.market))
    if decision.model == known:
        return {}
    checkpoint = model_of(home, plan.market, decision.model)
    check_checkpoint(checkpoint, plan.recipe)
    return {**checkpoint, "sha256": decision.model}


def model_of(home: Home, market: Market, digest: str) -> dict[str, Any]:
    """A model that was accepted, as it is kept.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    store = _aside(home).checkpoints(market)
    if not _is_kept(store, digest):
        raise CheckpointError(
            f"{store.path(digest[:_SHOWN])}, the model in service, is missing or damaged; "
            f"`trading-pipeline production rollback --market {market.name}` puts another one "
            "in service"
        )
    return store.read(digest[:_SHOWN])


@dataclass(frozen=True)
class Listed:
    """A model that was decided about, by its newest decision."""

    decision: Decision
    in_service: bool
    kept: bool  # its file is there, to be put in service


def listed(home: Home, market: Market) -> list[Listed]:
    """Every model of a market that was decided about, in the order of its newest decision."""
    files, known = _files(_aside(home).checkpoints(market)), decided(home, market)
    now = record.in_service(known)
    newest = {each.model: each for each in known}
    return [
        Listed(each, now is not None and model == now.model, model in files)
        for model, each in newest.items()
    ]


def has_model(home: Home, market: Market) -> bool:
    """Whether a model of a market was ever put in service."""
    return record.in_service(decided(home, market)) is not None


def newest_decision(home: Home, market: Market) -> Decision | None:
    """The newest word about a model of a market."""
    return next(reversed(decided(home, market)), None)


def decided(home: Home, market: Market) -> list[Decision]:
    """Every word about models of a market, oldest first; nothing is made where there is none."""
    if not home.has_ledger:
        return []
    with home.ledger() as ledger:
        return record.decisions(ledger, market.name)


def _none_yet(market: Market) -> str:
    return (
        f"{market.name} has no production model yet; a night makes it, job {market.name}_nightly "
        f"or {market.name}_production in the web UI, and so does `trading-pipeline paper-trade "
        f"--market {market.name}`"
    )


def _aside(home: Home) -> Home:
    return home.beside(ASIDE)


def _unsaid(text: str) -> None:
    """A command says what it did at its end."""


@contextmanager
def _switching(
    home: Home, market: Market, warn: Callable[[str], object]
) -> Iterator[tuple[Ledger, list[Decision], Decision | None]]:
    """Alone with what decides which model trades, after finishing what was interrupted: the ledger,
    every decision, and that which was finished just now."""
    locks = _aside(home).checkpoints(market).folder / "unfinished" / "locks"
    # Not the lock of the folder itself, which is taken for what other machines share.
    with one_writer(locks / "decision"), home.ledger() as ledger:
        finished = _settle(home, market, ledger, warn)
        yield ledger, record.decisions(ledger, market.name), finished


def _settle(
    home: Home, market: Market, ledger: Ledger, warn: Callable[[str], object]
) -> Decision | None:
    """Make the file of the model in service that of which the ledger says so; the decision that
    was not carried out yet, None where it was.

    A sound file of which the ledger never heard, put there by hand or by an earlier release, is
    adopted, so that one can roll back to it.
    """
    store, kept = home.checkpoints(market), _aside(home).checkpoints(market)
    known = record.decisions(ledger, market.name)
    named = record.in_service(known)
    try:
        found, checkpoint = store.verify(PRODUCTION), store.read(PRODUCTION)
    except CheckpointError:
        found = ""
    if found and found not in record.accepted_models(known):
        why = "found in service: of an earlier release, or put there by hand"
        decision = _about(ACCEPTED, found, checkpoint, known, record.NIGHTLY, [why])
        _put_in_service(home, market, ledger, decision, store.path(PRODUCTION))
    elif named and found != named.model and _is_kept(kept, named.model):
        warn(
            f"{store.path(PRODUCTION)} is not the model that was decided on, {named.kind} on "
            f"{named.at:%Y-%m-%d %H:%M} UTC: {named.model[:_SHOWN]} is put back"
        )
        store.copy(PRODUCTION, kept.path(named.model[:_SHOWN]))
        return named if found == named.instead_of else None
    return None


def _put_in_service(
    home: Home, market: Market, ledger: Ledger, decision: Decision, file: Path
) -> None:
    """Keep a model, say that it is in service, and then make it so."""
    kept, service = _aside(home).checkpoints(market), home.checkpoints(market)
    if not _is_kept(kept, decision.model):
        kept.copy(decision.model[:_SHOWN], file)
    record.record(ledger, market.name, decision, home.clock.now())
    service.copy(PRODUCTION, kept.path(decision.model[:_SHOWN]))
    newest = record.accepted_models(record.decisions(ledger, market.name))[-KEPT:]
    for name in set(kept.names()) - {CANDIDATE, *(each[:_SHOWN] for each in newest)}:
        if name != decision.model[:_SHOWN]:
            kept.remove(name)


def _files(store: CheckpointStore) -> dict[str, str]:
    """The names of the files that are whole, by SHA-256: models that were accepted, first."""
    files: dict[str, str] = {}
    for name in sorted(store.names(), key=lambda name: name == CANDIDATE):
        try:
            files.setdefault(store.verify(name), name)
        except CheckpointError:
            continue  # damaged: it cannot be put in service
    return files


def _is_kept(store: CheckpointStore, model: str) -> bool:
    """Whether the file of a model is there, and whole."""
    try:
        return store.verify(model[:_SHOWN]) == model
    except CheckpointError:
        return False


def _named(begins: str, models: list[str]) -> list[str]:
    """The one model whose SHA-256 begins so, as a list.

    Raises:
        CheckpointError: none does, or several do.
    """
    found = [each for each in models if each.startswith(begins)]
    if len(found) != 1 or not begins:
        raise CheckpointError(
            f"{len(found) or 'no'} models that could be put in service begin with {begins!r}; "
            "`trading-pipeline production list` shows them"
        )
    return found


def _chosen(
    store: CheckpointStore,
    plan: Plan,
    model: str,
    known: list[Decision],
    kind: str,
    reason: str,
    name: str = "",
) -> Decision:
    """The operator's decision for a model, which has to be sound and of today's recipe."""
    checkpoint = store.read(name or model[:_SHOWN])
    check_checkpoint(checkpoint, plan.recipe)
    return _about(kind, model, checkpoint, known, record.OPERATOR, [reason] if reason else [])


def _about(
    kind: str,
    model: str,
    checkpoint: dict[str, Any],
    known: list[Decision],
    by: str,
    reasons: list[str],
) -> Decision:
    now = record.in_service(known)
    return Decision(
        kind=kind,
        model=model,
        fingerprint=checkpoint["fingerprint"],
        last_target=checkpoint["last_target"],
        instead_of=now.model if now else None,
        by=by,
        reasons=tuple(reasons),
    )
