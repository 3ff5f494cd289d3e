"""Which model trades a market, and why: every acceptance, refusal and roll-back, as it happened.

The newest acceptance or roll-back names the model in service. It is written before the file
`best_model.pt` is replaced, so that whoever is killed in between leaves a word of what was decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from trading_pipeline.adapters.store.ledger import Event, Ledger

ACCEPTED, REFUSED, ROLLED_BACK = "accepted", "refused", "rolled_back"
NIGHTLY, OPERATOR = "nightly", "operator"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided about a model."""

    kind: str  # ACCEPTED, REFUSED, or ROLLED_BACK: another one left service for it
    model: str  # SHA-256 of its file
    fingerprint: str  # of its recipe and all bars that it learned from
    last_target: str  # the last bar that it learned from
    instead_of: str | None  # SHA-256 of the model that was in service
    by: str  # NIGHTLY or OPERATOR
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] | None = None  # figures that it was decided on
    hold: bool = False  # of a roll-back: no later candidate is accepted by itself
    at: datetime | None = None  # when it was recorded; None: it was not yet

    @classmethod
    def of(cls, event: Event) -> Self:
        """From the ledger."""
        payload = {**event.payload, "reasons": tuple(event.payload["reasons"])}
        return cls(kind=event.kind, at=event.recorded_at, **payload)

    @property
    def payload(self) -> dict[str, Any]:
        """For the ledger."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("kind", "at")}
        return {**plain, "reasons": list(self.reasons)}


def record(ledger: Ledger, market: str, decision: Decision, now: datetime) -> None:
    """Journal a decision; not again where the newest one is the same."""
    newest = ledger.last(_stream(market))
    if newest is None or (newest.kind, newest.payload) != (decision.kind, decision.payload):
        at = datetime.fromisoformat(decision.last_target)
        ledger.append(_stream(market), decision.kind, at, decision.payload, now)


def decisions(ledger: Ledger, market: str) -> list[Decision]:
    """All of a market, oldest first."""
    return [Decision.of(event) for event in ledger.read(_stream(market))]


def in_service(known: Iterable[Decision]) -> Decision | None:
    """The decision that put the model in service; None where there never was one."""
    switches = [each for each in known if each.kind != REFUSED]
    return switches[-1] if switches else None


def newest_in_service(ledger: Ledger, market: str) -> Decision | None:
    """`in_service` of all decisions about a market; asked often, it does not read them all."""
    switches = [ledger.last(_stream(market), kind) for kind in (ACCEPTED, ROLLED_BACK)]
    found = max((each for each in switches if each), key=lambda each: each.seq, default=None)
    return Decision.of(found) if found else None


def accepted_models(known: Iterable[Decision]) -> list[str]:
    """Every model that was in service, by SHA-256; last the one that was so last."""
    newest_first = [each.model for each in known if each.kind != REFUSED][::-1]
    return list(dict.fromkeys(newest_first))[::-1]


def way_back(known: Iterable[Decision]) -> list[str]:
    """The models that a roll-back can go back to, by SHA-256; last the one that traded before.

    Each acceptance is a step on, and a roll-back takes steps back: what came after the model that
    it put in service is left, and so are models that the operator rolled back before.
    """
    known, way = list(known), list[str]()
    for each in known:
        if each.kind == ROLLED_BACK and each.model in way:
            while way[-1] != each.model:
                way.pop()
        elif each.kind != REFUSED and way[-1:] != [each.model]:
            way.append(each.model)
    left = left_behind(known)
    return [each for each in way[:-1] if each != way[-1] and each not in left]


def left_behind(known: Iterable[Decision]) -> dict[str, Decision]:
    """Models that were rolled back and not put in service again; by SHA-256, the roll-back."""
    left: dict[str, Decision] = {}
    for each in known:
        if each.kind == ROLLED_BACK and each.instead_of:
            left[each.instead_of] = each
        if each.kind != REFUSED:
            left.pop(each.model, None)
    return left


def objection(known: Sequence[Decision], fingerprint: str) -> str | None:
    """What the operator has said against a candidate by rolling back; None: nothing.

    A model that was left behind is refused, and with it any that equal bars and an equal recipe
    would make again. A roll-back that holds refuses every model, until the operator speaks again.
    """
    made_of = {each.model: each.fingerprint for each in known}
    for model, decision in left_behind(known).items():
        if made_of.get(model) == fingerprint:
            return f"it was rolled back by the operator {_when(decision)}"
    said = [each for each in known if each.by == OPERATOR]
    if said and said[-1].hold:
        return f"the operator holds the model in service since the roll-back {_when(said[-1])}"
    return None


def _when(decision: Decision) -> str:
    said = f": {decision.reasons[0]}" if decision.reasons else ""
    return f"on {decision.at:%Y-%m-%d %H:%M} UTC{said}"


def _stream(market: str) -> str:
    return f"production/{market}"
