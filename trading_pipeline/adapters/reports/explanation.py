"""An explanation as sections of text: what the command prints, in a terminal or down a pipe."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from trading_pipeline.adapters.reports.text import spaced
from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.explain.account import AccountAtClose
from trading_pipeline.core.explain.explanation import Explanation, FeatureValue, Line, Predicted
from trading_pipeline.core.explain.order import ExplainedOrder, Veto
from trading_pipeline.core.explain.outcome import FillOutcome, Held, Trade
from trading_pipeline.core.market.bars import price_text
from trading_pipeline.core.market.quality.finding import written
from trading_pipeline.core.trading.rules import rule_name

Row = tuple[str, ...]
_UNUSUAL = 12  # features shown, unless all are wanted


class Section(NamedTuple):
    """A title, and a table below it; `numbers` are the columns to align on the right."""

    title: str
    rows: Sequence[Row]
    header: Row = ("", "")
    numbers: tuple[int, ...] = ()


def sections_of(why: Explanation, all_features: bool) -> Iterator[Section]:
    """An explanation, from what was known to what became of it."""
    where = f"the session {why.session} of {why.market}" if why.session else why.market
    title = f"{why.symbol} in {where}, decided at the close of {instant(why.bar)}"
    yield Section(title, [(why.answer,)], ("",))
    yield Section("Bar", _bar(why))
    yield _features(why.features, all_features)
    yield _prediction(why.prediction, recorded=bool(why.session))
    yield _eligibility(why)
    yield _account(why.account)
    yield _position("Position held at the close", why.held)
    yield _target(why)
    yield Section("Order", _order(why.order))
    reasons = [(rule_name(each.name), each.text) for each in why.reasons]
    yield Section("Reasons", reasons, ("reason", ""))
    yield _vetoes(why.vetoes)
    yield _became(why.became)
    yield _position("Position at the next close", why.after)
    yield _trades(why.trades)


def overview_section(run: Rerun, k: int, lines: Sequence[Line]) -> Section:
    """The whole decision of bar k: a row for each symbol."""
    account = run.result.log[k]
    where = f"{run.market.name}, session {run.session}" if run.session else run.market.name
    title = (
        f"{where}, decided at the close of {instant(run.result.timestamps[k])}: equity "
        f"{account['equity']:,.2f}, drawdown {account['drawdown']:.1%}, "
        f"exposure {account['exposure']:.0%}, {account['kelly']:.0%} of the tilt"
    )
    header = ("symbol", "score", "signal", "held", "target", "order", "became", "reasons")
    rows = [
        (
            each.symbol,
            *(number(value, "+.3f") for value in (each.score, each.signal)),
            *(number(value, ".2%") for value in (each.held, each.target)),
            each.order or "none",
            each.became or "-",
            ", ".join(map(rule_name, each.reasons)) or "-",
        )
        for each in lines
    ]
    return Section(title, rows, header, (1, 2, 3, 4))


def number(value: float, spelling: str) -> str:
    """A number, or a dash for one that is missing; infinity is no limit."""
    if math.isnan(value):
        return "-"
    return "none" if math.isinf(value) else format(value, spelling)


def instant(stamp: pd.Timestamp | None) -> str:
    """A bar or an instant, UTC."""
    return "-" if stamp is None else written(stamp)


def _bar(why: Explanation) -> list[Row]:
    price = why.price
    return [
        ("bar", f"{instant(why.bar)}, decided at its close: {instant(why.decided_at)} UTC"),
        ("open, high, low", ", ".join(map(price_text, (price.open, price.high, price.low)))),
        ("close", f"{price_text(price.close)}, {number(price.change, '+.2%')} since the last"),
        ("volume", number(price.volume, ",.0f" if price.volume >= 1e3 else ",.6g")),
        ("σ", f"{number(price.sigma, '.2%')} per bar, of its last 63 returns"),
    ]


def _features(features: Sequence[FeatureValue], everything: bool) -> Section:
    """The features; unless all are wanted, those that are the most unusual for this symbol."""
    shown, title = list(features), f"Features: all {len(features)}"
    if not everything:
        shown.sort(key=lambda each: 0.0 if math.isnan(each.z_score) else -abs(each.z_score))
        shown = shown[:_UNUSUAL]
        title = (
            f"Features: the {len(shown)} most unusual of {len(features)} (--all-features shows all)"
        )
    rows = [
        (
            each.name,
            number(each.value, "+.3f"),
            number(each.z_score, "+.1f"),
            number(100 * each.percentile, ".0f"),
            f"{each.family.replace('_', ' ')}: {each.meaning}",
        )
        for each in shown
    ]
    header = ("feature", "value", "z", "percentile", "in words; z and percentile: of its past year")
    return Section(title, rows, header, (1, 2, 3))


def _prediction(said: Predicted | None, *, recorded: bool) -> Section:
    """`recorded`: by a session, which keeps what it decides by, and no other head."""
    if said is None:
        return Section("Prediction", [("none", "nothing was predicted at this bar")])
    expected = f"{number(said.expected, '+.2%')} over {said.horizon} bars"
    heads = (
        ("score", "+.4f", f"expected return in units of σ√h: {expected}"),
        ("p_down", ".1%", "probability of a fall"),
        ("p_flat", ".1%", "probability of next to no move"),
        ("p_up", ".1%", "probability of a rise"),
        ("position", "+.3f", "what the network would hold, -1 to 1"),
        ("volatility", ".2%", "forecast per bar"),
        ("risk", ".1%", "probability of a fall of more than 2 σ√h on the way"),
    )
    rows = [
        (name, number(value, spelling), text)
        for name, spelling, text in heads
        if not (math.isnan(value := getattr(said, name)) and recorded)
    ]
    model = "as the session recorded it" if recorded else f"of the model of fold {said.fold}"
    title = f"Prediction {model}"
    return Section(title, rows, ("head", "says", "which means"), (1,))


def _eligibility(why: Explanation) -> Section:
    title = "Eligibility: may be bought" if why.eligible else "Eligibility: may NOT be bought"
    rows = [
        (
            each.rule.replace("_", " "),
            "met" if each.met else "NOT met",
            *(
                price_text(value) if each.rule == "price_floor" else number(value, ",.6g")
                for value in (each.figure, each.limit)
            ),
            each.text,
        )
        for each in why.eligibility
    ]
    return Section(title, rows, ("rule", "", "figure", "limit", "in words"), (2, 3))


def _account(account: AccountAtClose) -> Section:
    rows = [
        ("equity", "", number(account.equity, ",.2f"), "", "at the close, quote currency"),
        ("gross", "", number(account.gross, ".1%"), "", "longs and shorts, of equity"),
        ("net", "", number(account.net, ".1%"), "", "longs less shorts, of equity"),
    ]
    for each in account.limits:
        spelling = ".2f" if each.rule == "turbulence" else ".2%"
        figures = (number(each.figure, spelling), number(each.limit, spelling))
        acts = "ACTS" if each.acts else "rests"
        rows.append((rule_name(each.rule), acts, *figures, each.text))
    cooling, acts = f"{account.cooling_off}", "ACTS" if account.cooling_off else "rests"
    blocked = "bars for which the symbol stays blocked after a stop"
    rows.append((rule_name("cooling_off"), acts, cooling, "0", blocked))
    header = ("account", "", "figure", "limit", "in words")
    return Section("Account, and the limits on it", rows, header, (2, 3))


def _position(title: str, held: Held | None) -> Section:
    if held is None:
        return Section(title, [("none", "nothing of the symbol is held")])
    price, cost = price_text(held.price), price_text(held.average_cost)
    stop, take = (
        "none" if math.isinf(level) else price_text(level) for level in (held.stop, held.take)
    )
    rows = [
        ("quantity", f"{held.quantity:,.10g} at {price}, {held.weight:.2%} of equity"),
        ("since", f"{instant(held.since)}, at an average cost of {cost}, fees apart"),
        ("stop-loss", stop + (" (trailing)" if held.trailing else "")),
        ("take-profit", take),
    ]
    return Section(f"{title}, {instant(held.at)}", rows)


def _target(why: Explanation) -> Section:
    rows = []
    for each in why.steps:
        value = number(each.value, "+.2%")
        if each.unit != "weight":
            value = f"{number(each.value, '+.3f')} {each.unit}"
        limited = not math.isnan(each.figure)
        against = f"{number(each.figure, '.1%')} of {number(each.limit, '.1%')}" if limited else "-"
        mark = "cuts" if each.changed and limited else ""
        rows.append((each.name, value, mark, against, number(each.gross, ".1%"), each.text))
    header = ("step", "symbol", "", "figure of limit", "book gross", "in words")
    return Section("From score to target", rows, header, (1, 3, 4))


def _order(order: ExplainedOrder | None) -> list[Row]:
    if order is None:
        return [("none", "see the reasons")]
    levels = [x for x in (order.limit_price, order.stop_price) if not math.isnan(x)]
    at = f"at {price_text(levels[0])}" if levels else "at the next open"
    return [
        ("order", f"{order.side} {order.quantity:,.10g}, {order.type}, {at}"),
        ("worth", f"{order.notional:,.2f} at the close"),
        ("id", order.client_order_id),
    ]


def _vetoes(vetoes: Sequence[Veto]) -> Section:
    if not vetoes:
        return Section("Vetoes", [("none", "no rule refused anything")])
    rows = [
        (rule_name(each.rule), number(each.figure, ",.6g"), number(each.limit, ",.6g"), each.text)
        for each in vetoes
    ]
    return Section("Vetoes", rows, ("rule", "figure", "limit", "in words"), (1, 2))


def _became(filled: Sequence[FillOutcome]) -> Section:
    if not filled:
        return Section("What became of it", [("nothing", "no fill in the next bar")])
    rows = []
    for each in filled:
        texts = [reason.text for reason in each.reasons]
        if each.quantity:
            price = (
                f"{each.quantity:+,.10g} at {price_text(each.price)}; the open was "
                f"{price_text(each.open)}, {each.against_open:+.1f} bp to our cost"
            )
            texts.insert(0, price)
        rows.append((each.kind, instant(each.at), "; ".join(texts)))
        if each.quantity:
            costs = (
                f"slippage {each.slippage:,.2f} ({each.slippage_bp:.1f} bp), fee {each.fee:,.2f} "
                f"({each.fee_bp:.1f} bp)"
            )
            rows.append(("", "", costs))
    return Section("What became of it", rows, ("fill", "in the bar of", ""))


def _trades(trades: Sequence[Trade]) -> Section:
    if not trades:
        return Section("Trade", [("none", "the decision belongs to no round trip")])
    rows = []
    for each in trades:
        ended = "still open at the end"
        if each.closed_at is not None:
            ended = (
                f"to {instant(each.closed_at)} ({each.bars} bars), ended by "
                f"{rule_name(each.exit)}; profit and loss {each.pnl:+,.2f} on {each.invested:,.2f} "
                f"({each.pnl / each.invested:+.2%}), after fees"
            )
        rows.append((each.side, f"from {instant(each.opened_at)} {ended}"))
    return Section("Trade that it belongs to", rows)


def plain_text(section: Section) -> str:
    """The section as aligned lines of text, for a pipe: nothing is folded or cut."""
    title = spaced(section.title)
    if not section.rows:
        return f"{title}\n  none"
    rows = [section.header, *section.rows] if any(section.header) else section.rows
    rows = [tuple(map(spaced, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [title]
    for row in rows:
        cells = [
            cell.rjust(width) if i in section.numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)


def rich_table(section: Section) -> Any:
    """The section as a table of a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    named = any(section.header)
    table = Table(
        title=spaced(section.title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if named else None,
        show_header=named,
        pad_edge=False,
    )
    for i, name in enumerate(section.header):
        side: Any = "right" if i in section.numbers else "left"
        table.add_column(name, justify=side, no_wrap=i < len(section.header) - 1, overflow="fold")
    for row in section.rows or [("none",) + ("",) * (len(section.header) - 1)]:
        table.add_row(*(Text(spaced(cell)) for cell in row))
    return table
