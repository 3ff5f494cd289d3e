"""An explanation as sections of text: what the command prints, in a terminal or down a pipe."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from trading_pipeline.core.market.bars import price_text


class Section(NamedTuple):
    """A title, and a table below it; `numbers` are the columns to align on the right."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: tuple[int, ...] = ()


_UNUSUAL = 12  # features shown, unless all are wanted


def sections_of(why: Any, all_features: bool) -> Iterator[Section]:
    """An `Explanation`, from what was known to what became of it."""
    yield _bar(why)
    yield _features(why.features, all_features)
    yield _prediction(why.prediction)
    yield _eligibility(why)
    yield _account(why.account)
    yield _position("Position held at the close", why.held)
    yield _target(why)
    yield _order(why.order)
    yield Section("Reasons", ("reason", ""), [(each.name, each.text) for each in why.reasons])
    yield _vetoes(why.vetoes)
    yield _became(why.became)
    yield _position("Position at the next close", why.after)
    yield _trades(why.trades)


def lines_of(lines: Sequence[Any], title: str) -> Section:
    """The whole decision of a bar: a row for each `Line`."""
    header = ("symbol", "score", "signal", "held", "target", "order", "became", "reasons")
    rows = [
        (
            each.symbol,
            number(each.score, "+.3f"),
            number(each.signal, "+.3f"),
            number(each.held, ".2%"),
            number(each.target, ".2%"),
            each.order or "none",
            each.became or "-",
            ", ".join(each.reasons) or "-",
        )
        for each in lines
    ]
    return Section(title, header, rows, (1, 2, 3, 4))


def number(value: float, spelling: str) -> str:
    """A number, or a dash for one that is missing; infinity is no limit."""
    if math.isnan(value):
        return "-"
    return "none" if math.isinf(value) else format(value, spelling)


def instant(stamp: pd.Timestamp | None) -> str:
    """A bar or an instant, UTC."""
    if stamp is None:
        return "-"
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"


def _bar(why: Any) -> Section:
    price = why.price
    prices = (price.open, price.high, price.low)
    rows = [
        ("bar", f"{instant(why.bar)}, decided at its close: {instant(why.decided_at)} UTC"),
        ("open, high, low", ", ".join(map(price_text, prices))),
        ("close", f"{price_text(price.close)}, {number(price.change, '+.2%')} since the last"),
        ("volume", number(price.volume, ",.0f" if price.volume >= 1e3 else ",.6g")),
        ("σ", f"{number(price.sigma, '.2%')} per bar, of its last 63 returns"),
    ]
    return Section("Bar", ("", ""), rows)


def _features(features: Sequence[Any], everything: bool) -> Section:
    """The features; unless all are wanted, those that are the most unusual for this symbol."""
    shown, title = list(features), f"Features: all {len(features)}"
    if not everything:
        shown = sorted(shown, key=lambda each: -abs(_known(each.z_score)))[:_UNUSUAL]
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
    return Section(title, header, rows, (1, 2, 3))


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _prediction(said: Any) -> Section:
    if said is None:
        return Section("Prediction", ("", ""), [("none", "nothing was predicted at this bar")])
    expected = f"{number(said.expected, '+.2%')} over {said.horizon} bars"
    rows = [
        ("score", number(said.score, "+.4f"),
         f"expected return in units of σ√h: {expected}"),
        ("p_down", number(said.p_down, ".1%"), "probability of a fall"),
        ("p_flat", number(said.p_flat, ".1%"), "probability of next to no move"),
        ("p_up", number(said.p_up, ".1%"), "probability of a rise"),
        ("position", number(said.position, "+.3f"), "what the network would hold, -1 to 1"),
        ("volatility", number(said.volatility, ".2%"), "forecast per bar"),
        ("risk", number(said.risk, ".1%"), "probability of a fall of more than 2 σ√h on the way"),
    ]  # fmt: skip
    title = f"Prediction of the model of fold {said.fold}"
    return Section(title, ("head", "says", "which means"), rows, (1,))


def _eligibility(why: Any) -> Section:
    title = "Eligibility: may be bought" if why.eligible else "Eligibility: may NOT be bought"
    rows = [
        (
            each.rule.replace("_", " "),
            "met" if each.met else "NOT met",
            *(_figure(each.rule, value) for value in (each.figure, each.limit)),
            each.text,
        )
        for each in why.eligibility
    ]
    return Section(title, ("rule", "", "figure", "limit", "in words"), rows, (2, 3))


def _figure(rule: str, value: float) -> str:
    return price_text(value) if rule == "price_floor" else number(value, ",.6g")


def _account(account: Any) -> Section:
    rows = [
        ("equity", "", number(account.equity, ",.2f"), "", "at the close, quote currency"),
        ("gross", "", number(account.gross, ".1%"), "", "longs and shorts, of equity"),
        ("net", "", number(account.net, ".1%"), "", "longs less shorts, of equity"),
    ]
    for each in account.limits:
        spelling = ".2f" if each.rule == "turbulence" else ".2%"
        figures = (number(each.figure, spelling), number(each.limit, spelling))
        rows.append(
            (each.rule.replace("_", " "), "ACTS" if each.acts else "rests", *figures, each.text)
        )
    rows.append(
        ("cooling off", "ACTS" if account.cooling_off else "rests", f"{account.cooling_off}", "0",
         "bars for which the symbol stays blocked after a stop")
    )  # fmt: skip
    header = ("account", "", "figure", "limit", "in words")
    return Section("Account, and the limits on it", header, rows, (2, 3))


def _position(title: str, held: Any) -> Section:
    if held is None:
        return Section(title, ("", ""), [("none", "nothing of the symbol is held")])
    stop = _level(held.stop) + (" (trailing)" if held.trailing else "")
    rows = [
        (
            "quantity",
            f"{held.quantity:,.10g} at {price_text(held.price)}, {held.weight:.2%} of equity",
        ),
        ("since", f"{instant(held.since)}, at {price_text(held.entry)} on average, less dividends"),
        ("stop-loss", stop),
        ("take-profit", _level(held.take)),
    ]
    return Section(f"{title}, {instant(held.at)}", ("", ""), rows)


def _level(price: float) -> str:
    """The price of a protective order; at infinity there is none."""
    return "none" if math.isinf(price) else price_text(price)


def _target(why: Any) -> Section:
    rows = []
    for each in why.steps:
        spelling = "+.2%" if each.unit == "weight" else "+.3f"
        figure, limit = (number(value, ".1%") for value in (each.figure, each.limit))
        against = "-" if figure == "-" else f"{figure} of {limit}"
        mark = "cuts" if each.changed and figure != "-" else ""
        value = number(each.value, spelling) + (f" {each.unit}" if each.unit != "weight" else "")
        rows.append((each.name, value, mark, against, number(each.gross, ".1%"), each.text))
    header = ("step", "symbol", "", "figure of limit", "book gross", "in words")
    return Section("From score to target", header, rows, (1, 3, 4))


def _order(order: Any) -> Section:
    if order is None:
        return Section("Order", ("", ""), [("none", "see the reasons")])
    level = next((x for x in (order.limit_price, order.stop_price) if not math.isnan(x)), None)
    at = "at the next open" if level is None else f"at {price_text(level)}"
    rows = [
        ("order", f"{order.side} {order.quantity:,.10g}, {order.type}, {at}"),
        ("worth", f"{order.notional:,.2f} at the close"),
        ("id", order.client_order_id),
    ]
    return Section("Order", ("", ""), rows)


def _vetoes(vetoes: Sequence[Any]) -> Section:
    rows = [
        (each.rule, number(each.figure, ",.6g"), number(each.limit, ",.6g"), each.text)
        for each in vetoes
    ]
    if not rows:
        return Section("Vetoes", ("", ""), [("none", "no rule refused anything")])
    return Section("Vetoes", ("rule", "figure", "limit", "in words"), rows, (1, 2))


def _became(filled: Sequence[Any]) -> Section:
    rows = []
    for each in filled:
        why = "; ".join(reason.text for reason in each.reasons)
        if not each.quantity:
            rows.append((each.kind, instant(each.at), why))
            continue
        price = (
            f"{each.quantity:+,.10g} at {price_text(each.price)}; the open was "
            f"{price_text(each.open)}, "
            f"{each.against_open:+.1f} bp to our cost"
        )
        costs = (
            f"slippage {each.slippage:,.2f} ({each.slippage_bp:.1f} bp), fee {each.fee:,.2f} "
            f"({each.fee_bp:.1f} bp)"
        )
        rows.append((each.kind, instant(each.at), f"{price}; {why}" if why else price))
        rows.append(("", "", costs))
    if not rows:
        return Section("What became of it", ("", ""), [("nothing", "no fill in the next bar")])
    return Section("What became of it", ("fill", "in the bar of", ""), rows)


def _trades(trades: Sequence[Any]) -> Section:
    if not trades:
        return Section("Trade", ("", ""), [("none", "the decision belongs to no round trip")])
    rows = []
    for each in trades:
        ended, result = "still open when the backtest ends", ""
        if each.closed_at is not None:
            ended = f"to {instant(each.closed_at)} ({each.bars} bars), ended by {each.exit}"
            result = (
                f"; profit and loss {each.pnl:+,.2f} on {each.invested:,.2f} "
                f"({each.pnl / each.invested:+.2%}), after fees"
            )
        rows.append((each.side, f"from {instant(each.opened_at)} {ended}{result}"))
    return Section("Trade that it belongs to", ("", ""), rows)


def plain_text(section: Section) -> str:
    """The section as aligned lines of text, for a pipe: nothing is folded or cut."""
    if not section.rows:
        return f"{section.title}\n  none"
    rows = [section.header, *section.rows] if any(section.header) else section.rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [section.title]
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

    table = Table(
        title=section.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if any(section.header) else None,
        show_header=any(section.header),
        pad_edge=False,
    )
    for i, name in enumerate(section.header):
        last = i == len(section.header) - 1
        table.add_column(
            name, justify="right" if i in section.numbers else "left", no_wrap=not last,
            overflow="fold",
        )  # fmt: skip
    for row in section.rows or [("none",) + ("",) * (len(section.header) - 1)]:
        table.add_row(*map(Text, row))
    return table
