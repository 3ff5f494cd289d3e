"""The whole of a decision in a sentence or two."""

import math
from collections.abc import Sequence
from typing import Any

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
    if order is not None:
        waits = k + 1 == len(run.result.log)
        fate = "It waits for the next open." if waits else _fate(filled)
        return f"{ordered(here)} {fate}"
    kept = f"No order, with {_holding(here)}: {_why_none(here['signal'], reasons)}."
    stops = [each for each in filled if each.kind != "order"]
    return f"{kept} {_fate(stops)}" if stops else kept


def ordered(decision: Any) -> str:
    """A decision that made an order, in a sentence: a record of `Decision`."""
    side = "buy" if decision["order"] > 0 else "sell"
    return (
        f"Ordered to {side} {abs(decision['order']):,.10g}, with {_holding(decision)}, towards a "
        f"target of {decision['target']:+.2%} of equity."
    )


def _holding(decision: Any) -> str:
    return f"{decision['quantity']:+,.10g} held" if decision["quantity"] else "nothing held"


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
