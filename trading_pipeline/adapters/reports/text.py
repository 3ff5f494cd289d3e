"""A summary in words: numbers as a person writes them, and what they come to in a sentence."""

import re
from collections import Counter
from collections.abc import Mapping

from trading_pipeline.adapters.reports.verdicts import (
    Summary,
)
from trading_pipeline.core.evaluation.metrics import METRICS
from trading_pipeline.core.evaluation.portfolio.exposure import NONE
from trading_pipeline.core.evaluation.summary import FOREIGN
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline.core.trading.rules import rule_name

Numbers = Mapping[str, float | None]  # {value, low, high}

_PER_CENT = re.compile(r"(?<=\d)%")
_MOST_TERMS = 5  # that a sentence names

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def spaced(text: str) -> str:
    """A text with one blank before each '%', as everywhere that a person reads."""
    return _PER_CENT.sub(" %", text)


def written(metric: str, value: float | None, sign: str = "-") -> str:
    """A number as a person reads it: '12.3 %', '0.76', '2.1 ×'; undefined is 'n/a'.

    Args:
        metric: its name in METRICS.
        value: fraction or ratio.
        sign: '+' writes the sign of positive numbers too.
    """
    if value is None:
        return "n/a"
    row = METRICS[metric]
    text = f"{value:{sign}{row.form}}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")  # what rounds to nothing has no sign
    return spaced(text) + row.unit


def between(metric: str, numbers: Numbers, sign: str = "-") -> str:
    """The interval, '[low, high]'; empty when it is undefined."""
    low, high = numbers["low"], numbers["high"]
    if low is None or high is None:
        return ""
    return f"[{written(metric, low, sign)}, {written(metric, high, sign)}]"


def period(summary: Summary) -> str:
    """'2006-01-03 to 2013-03-01, 1,801 days out of sample, after costs'; and if made up, so."""
    span = summary["period"]
    made_up = "; synthetic: the edge was planted" if summary["synthetic"] else ""
    days = f"{span['days']:,} days {basis(summary)}{made_up}"
    return f"{span['start'][:10]} to {span['end'][:10]}, {days}"


def basis(summary: Summary) -> str:
    """'out of sample, after costs', unless nobody knows."""
    known = "of foreign predictions" if summary["origin"] == FOREIGN else "out of sample"
    return f"{known}, after costs"


def paired_sentence(summary: Summary) -> str:
    """What the difference to the benchmark is, and whether it can be told from chance."""
    numbers = summary["paired"][summary["benchmark"]]["sharpe_difference"]
    name = titled(summary["benchmark"])
    if numbers["low"] is None:
        return f"The difference to {name} cannot be measured: one of the books never moved."
    side = "above" if numbers["value"] >= 0 else "below"
    measured = f"{abs(numbers['value']):.2f} {side} that of {name}"
    if numbers["low"] <= 0 <= numbers["high"]:
        return f"The strategy's Sharpe ratio is {measured}, which chance alone can explain."
    return f"The strategy's Sharpe ratio is {measured}, which is more than chance explains."


def percentile_sentence(summary: Summary) -> str:
    """Where the result stands among random portfolios on the same bars."""
    share, random = summary["random_percentile"], summary["random"]
    if share is None:
        return "No random portfolios were drawn to compare with."
    by_sharpe, by_return = (
        ordinal(round(100 * each)) for each in (share, random["percentile_of_annual_return"])
    )
    return (
        f"{by_sharpe} percentile by Sharpe ratio, and {by_return} by return, among "
        f"{random['portfolios']:,} portfolios of random scores, sized and limited as the strategy "
        "is, on the same bars."
    )


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    suffix = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def rules_sentence(summary: Summary) -> str:
    """Which rules cost or saved more Sharpe ratio than chance explains; empty without any rule."""
    acted = [row for row in summary["rules"] if row["acted"]]
    if not acted:
        return "No rule ever acted." if summary["rules"] else ""
    moved = [row for row in acted if is_beyond_chance(row["sharpe_difference"])]
    if not moved:
        return "No rule moved the Sharpe ratio by more than chance alone can explain."
    found = (
        f"{rule_name(row['rule'])} {written('sharpe', row['sharpe_difference']['value'], '+')}"
        for row in moved
    )
    return f"Rules that moved the Sharpe ratio by more than chance explains: {', '.join(found)}."


def exposure_sentence(summary: Summary) -> str:
    """What the volatility target came to, and what bound; empty where that is not known."""
    found = summary["exposure"]
    if found["bound"] is None:
        return ""
    realised = written("annual_volatility", found["realised"]["value"])
    target = "no target"
    if found["target"] is not None:
        target = f"a target of {written('annual_volatility', found['target'])}"
    shares = sorted(found["bound"].items(), key=lambda item: -item[1])
    named = ((rule_name(rule) if rule != NONE else "nothing", v) for rule, v in shares)
    bound = ", ".join(f"{name} {share:.0%}" for name, share in named if share >= 0.005)
    return (
        f"The volatility came to {realised} a year, for {target}. What bound, of the decisions: "
        f"{bound.replace('%', ' %')}."
    )


def costs_sentence(summary: Summary) -> str:
    """Up to how many times the costs of trading it pays; empty where that was not simulated."""
    if "break_even" not in summary["costs"]:
        return ""
    even = summary["costs"]["break_even"]
    name = titled(summary["benchmark"])
    most = f"{even['tested_to']:g} times its costs of trading"

    def until(what: str, multiple: float | None) -> str:
        if multiple is None:
            return f"still {what} at {most}"
        if multiple == 0:
            return f"not {what} even without costs"
        return f"{what} up to {multiple:.1f} times its costs of trading"

    ahead = until(f"above that of {name}", even["sharpe_difference"])
    paid = until("above 0", even["annual_return"])
    return f"The strategy's Sharpe ratio is {ahead}; its return is {paid}."


def capacity_sentence(summary: Summary) -> str:
    """How much capital it can carry; empty where that was not simulated."""
    found = summary["capacity"]
    if found is None:
        return ""
    rows, currency = found["capitals"], summary["traded"]["currency"]
    earned = min(rows[0][name]["value"] or 0.0 for name in ("sharpe", "annual_return"))
    if earned <= 0:
        return "It earns nothing that more capital could take away."
    if found["half_at"] is None:
        most = rounded_money(rows[-1]["capital"], currency)
        said = f"More than half of what it earns is left with {most}, the most that was tried"
    else:
        half = rounded_money(found["half_at"], currency)
        said = f"Half of what it earns is gone with a capital of {half}"
    if found["cut_from"] is not None:
        cut = rounded_money(found["cut_from"], currency)
        said += f"; the volume of the bars cuts one order in twenty from {cut} on"
    return f"{said}."


def rounded_money(amount: float, currency: str | None = None) -> str:
    """An amount to two digits: '1,500,000 USD'."""
    return f"{float(f'{amount:.1e}'):,.0f} {currency or ''}".rstrip()


def in_currency(name: str, summary: Summary) -> str:
    """The name of an amount of money with its currency: 'Capital, USD'."""
    currency = summary["traded"]["currency"]
    return f"{name}, {currency}" if currency else name


def heading(name: str) -> str:
    """A name at the head of a row or a column: 'Buy-and-hold', 'LightGBM'."""
    text = titled(name)
    return text[:1].upper() + text[1:]


def choice_lines(summary: Summary) -> list[str]:
    """Which model traded each fold and why, where validation chose it."""
    return [f"Fold {fold}: {choice}." for fold, choice in summary["choices"].items()]


def start_sentence(summary: Summary) -> str:
    """Which terms the networks of the folds began with; empty where no network trades."""
    starts = list(summary["starts"].values())
    if not starts:
        return ""
    counts = Counter(each["term"] for start in starts for each in start["terms"])
    named = [f"{term} in {count}" for term, count in counts.most_common(_MOST_TERMS)]
    more = f", and {len(counts) - _MOST_TERMS:,} others" if len(counts) > _MOST_TERMS else ""
    found = sum(bool(start["terms"]) for start in starts)
    which = f" ({'; '.join(named)}{more})" if named else ""
    gains = ", ".join(f"{start['gain']:.2f}" for start in starts)
    return (
        "Before training, a regression looks for terms that tell returns: features of a bar, and "
        f"products of two. It found some in {found:,} of {len(starts):,} folds{which}. "
        "What the rest of the network says is added to these, at a weight, fold after fold, of "
        f"{gains}."
    )


def is_beyond_chance(difference: Numbers) -> bool:
    """Whether the interval of a difference leaves out zero."""
    low, high = difference["low"], difference["high"]
    return low is not None and high is not None and not low <= 0 <= high


_COMPARED = {
    "better": "did better than the",
    "worse": "did worse than the",
    "no difference shown": "could not be told from the",
    "not measured": "was not measured against the",
}


def head_sentences(summary: Summary) -> list[str]:
    """A sentence for each head of the network: what it did better, and worse, than its rivals."""
    said: dict[str, list[str]] = {}
    for row in summary["heads"]:
        words = f"{_COMPARED[row['verdict']]} {row['rival']} ({row['measure']})"
        said.setdefault(row["head"], []).append(words)
    return [f"The {head} head {', '.join(each)}." for head, each in said.items()]
