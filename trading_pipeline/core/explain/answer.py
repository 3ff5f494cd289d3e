"""The whole of a decision in a sentence or two."""

import math
from collections.abc import Sequence

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.explain.order import ExplainedOrder, ReasonText
from trading_pipeline.core.explain.outcome import FillOutcome
from trading_pipeline.core.market.bars import price_text
from trading_pipeline.core.trading.engine.reasons import REASONS, REFUSED

# Of several reasons for no order, the one that a person should read first; others that refuse
# follow in the order of the table.
_FIRST = (
    *("bankrupt", "kill_switch", "drawdown_flat", "no_bar", "monthly_loss", "weekly_loss"),
    *("daily_loss", "turbulence", "min_notional", "no_trade_band", "ineligible", "no_score"),
    *("cooling_off", "long_only"),
)


def answer_of(
    run: Rerun,
    k: int,
    n: int,
    order: ExplainedOrder | None,
    reasons: Sequence[ReasonText],
    filled: Sequence[FillOutcome],
) -> str:
    """What happened, or that nothing did and why."""
    here = run.decided(k)[n]
    holding = f"{here['quantity']:+,.10g} held" if here["quantity"] else "nothing held"
    if order is not None:
        waits = k + 1 == len(run.result.log)
        fate = "It waits for the next open." if waits else _fate(filled)
        return (
            f"Ordered to {order.side} {order.quantity:,.10g}, with {holding}, towards a target of "
            f"{here['target']:+.2%} of equity. {fate}"
        )
    kept = f"No order, with {holding}: {_why_none(here['signal'], reasons)}."
    stops = [each for each in filled if each.kind != "order"]
    return f"{kept} {_fate(stops)}" if stops else kept


def _why_none(signal: float, reasons: Sequence[ReasonText]) -> str:
    """The first reason for no order."""
    texts = dict(reasons)
    refusing = (row.name for row in REASONS.values() if row.kind == REFUSED)
    for name in (*_FIRST, *refusing):
        if name in texts:
            return texts[name]
    if math.isnan(signal):
        return "nothing has been predicted of this symbol yet"
    return "the target rounds to no whole lot" if "lot" in texts else "there is nothing to change"


def _fate(filled: Sequence[FillOutcome]) -> str:
    """What became of an order, in words."""
    words = []
    for each in filled:
        what = "It" if each.kind == "order" else each.kind.replace("_", " ").capitalize()
        if each.quantity:
            words.append(
                f"{what} filled {each.quantity:+,.10g} at {price_text(each.price)} in the bar of "
                f"{each.at:%Y-%m-%d %H:%M}."
            )
        if each.lapsed:
            words.append("What was left of it lapsed." if each.quantity else "It lapsed unfilled.")
        elif not each.quantity:
            words.append("It was cut to nothing at the open.")
    return " ".join(words) or "Nothing became of it."
