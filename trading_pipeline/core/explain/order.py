"""The order of a decision, the reasons for it, and what was refused."""

from dataclasses import dataclass
from typing import NamedTuple

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.trading.engine.reasons import REFUSED, Facts, reasons_in
from trading_pipeline.core.trading.tables import orders_of

BACKTEST = "backtest"  # in order ids, as the report has them


class ReasonText(NamedTuple):
    """A reason as it is told of one decision."""

    name: str
    text: str


@dataclass(frozen=True)
class ExplainedOrder:
    """An order as orders.csv has it."""

    client_order_id: str
    side: str
    quantity: float
    type: str
    limit_price: float
    stop_price: float
    notional: float  # at the close, quote currency


@dataclass(frozen=True)
class Veto:
    """A rule that refused an order or part of it, as vetoes.csv has it."""

    rule: str
    figure: float
    limit: float
    text: str


def told(bits: int, facts: Facts) -> tuple[ReasonText, ...]:
    """The reasons set, lowest bit first, as sentences about a decision."""
    return tuple(ReasonText(row.name, row.told(facts)) for row in reasons_in(bits))


def reasons_of(run: Rerun, k: int, n: int) -> tuple[ReasonText, ...]:
    """Why the decision on symbol n at bar k is what it is."""
    facts = run.facts(k, n)
    return told(facts.decision["reasons"], facts)


def order_of(run: Rerun, k: int, n: int) -> ExplainedOrder | None:
    """The order decided on symbol n at bar k; None if there is none."""
    here = run.decided(k)[n : n + 1]
    if here["order"][0] == 0:
        return None
    table = orders_of(run.session or BACKTEST, run.result.timestamps, run.result.symbols, here)
    row = table.drop(columns=["decided_at", "symbol", "reasons"]).to_dict("records")[0]
    return ExplainedOrder(**row, notional=row["quantity"] * float(here["price"][0]))


def vetoes_at(run: Rerun, k: int, n: int) -> tuple[Veto, ...]:
    """The rules that refused the order on symbol n at bar k, or part of it."""
    facts = run.facts(k, n)
    return tuple(
        Veto(row.name, float(row.figure(facts)), float(row.limit(facts)), row.told(facts))
        for row in reasons_in(facts.decision["reasons"])
        if row.kind == REFUSED
    )
