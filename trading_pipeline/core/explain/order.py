"""The order of a decision, the rules that refused one, and the whole of it in a sentence."""

import math
from dataclasses import dataclass

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.explain.outcome import Filled
from trading_pipeline.core.explain.sentences import Reason, figures_of, sentences_of
from trading_pipeline.core.market.bars import price_text
from trading_pipeline.core.trading.engine.reasons import NAMES
from trading_pipeline.core.trading.tables import orders_of, vetoes_of

SESSION = "backtest"  # in order ids, as the report has them
_BITS = {name: bit for bit, name in NAMES.items()}


@dataclass(frozen=True)
class Order:
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


def order_of(run: Rerun, k: int, n: int) -> Order | None:
    here = run.decided(k)[n : n + 1]
    if here["order"][0] == 0:
        return None
    table = orders_of(SESSION, run.book.timestamps, run.book.symbols, here)
    row = table.iloc[0]
    return Order(
        client_order_id=row["client_order_id"],
        side=row["side"],
        quantity=float(row["quantity"]),
        type=row["type"],
        limit_price=float(row["limit_price"]),
        stop_price=float(row["stop_price"]),
        notional=float(row["quantity"]) * float(here["price"][0]),
    )


def vetoes_at(run: Rerun, k: int, n: int) -> tuple[Veto, ...]:
    book = run.book
    here = run.decided(k)[n : n + 1]
    table = vetoes_of(book.timestamps, book.symbols, book.rules, book.log, here)
    figures = figures_of(run, k, n)
    return tuple(
        Veto(each["rule"], float(each["figure"]), float(each["limit"]),
             sentences_of(_BITS[each["rule"]], figures)[0].text)
        for each in table.to_dict("records")
    )  # fmt: skip


def answer_of(
    run: Rerun,
    k: int,
    n: int,
    order: Order | None,
    reasons: tuple[Reason, ...],
    filled: tuple[Filled, ...],
) -> str:
    """What happened, or that nothing did and why, in a sentence or two."""
    here, texts = run.decided(k)[n], {reason.name: reason.text for reason in reasons}
    held = float(here["quantity"])
    holding = f"{held:+,.10g} held" if held else "nothing held"
    if order is not None:
        words = (
            f"Ordered to {order.side} {order.quantity:,.10g}, with {holding}, towards a target of "
            f"{float(here['target']):+.2%} of equity."
        )
        return f"{words} {_fate(filled)}"
    why = next((texts[name] for name in _STOPPERS if name in texts), None)
    if why is None:
        why = (
            "the target rounds to no whole lot" if "lot" in texts else "there is nothing to change"
        )
        if math.isnan(float(here["signal"])):
            why = "nothing has been predicted of this symbol yet"
    kept = f"No order, with {holding}: {why}."
    barriers = [each for each in filled if each.kind != "order"]
    return f"{kept} {_fate(tuple(barriers))}" if barriers else kept


# Of several reasons for no order, the one that a person should read first.
_STOPPERS = (
    *("bankrupt", "kill_switch", "drawdown_flat", "no_bar", "monthly_loss", "weekly_loss"),
    *("daily_loss", "turbulence", "min_notional", "no_trade_band", "ineligible", "no_score"),
    *("cooling_off", "long_only"),
)


def _fate(filled: tuple[Filled, ...]) -> str:
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
