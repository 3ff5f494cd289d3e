"""Why an order has the size it has: bits that the kernels set, and the one table of what they mean.

A bit says that a rule changed something for this symbol at this bar, not merely that it exists.
All that is told about a reason stands in its row of `REASONS`: here, or beside the rule itself as
those of the whole account do, in `risk`.
"""

from collections.abc import Callable
from math import nan
from typing import Any, NamedTuple

SHAPED = "shaped"  # the target, or the quantity to it
REFUSED = "refused"  # an order or part of it: a veto, with a figure and a limit
CUT = "cut"  # at the fill
EXIT = "exit"  # a fill that no order asked for


class Facts(NamedTuple):
    """The records of one decision, or arrays of the records of many."""

    rules: Any  # Parameters
    account: Any  # Account
    decision: Any  # Decision


Measure = Callable[[Facts], Any]


class Watched(NamedTuple):
    """A limit on the whole account as an explanation lists it, whether it acts or rests."""

    text: str
    while_acting: str = ""  # added to the text; filled as a sentence is


class Reason(NamedTuple):
    """A row of the table.

    The sentence is filled with the figure and the limit, and with fields of the records of
    `Facts`, as in `{account[kelly]:.1%}`.
    """

    name: str
    kind: str
    sentence: str
    figure: Measure  # what was measured; NaN: nothing
    limit: Measure  # what it was compared with
    protects: bool  # the account: an event of the report, and no matter of sizing or bookkeeping
    unwanted: str  # why the raw target is zero; empty for reasons that come later
    watched: Watched | None

    def told(self, facts: Facts) -> str:
        """The sentence about one decision."""
        known = {"figure": self.figure(facts), "limit": self.limit(facts)}
        return self.sentence.format(**known, **facts._asdict())


REASONS: dict[int, Reason] = {}


def reason(
    place: int,
    name: str,
    kind: str,
    sentence: str,
    *,
    figure: Measure = lambda _: nan,
    limit: Measure = lambda _: nan,
    protects: bool = False,
    unwanted: str = "",
    watched: Watched | None = None,
) -> int:
    """Put a reason into the table, and return its bit.

    Raises:
        ValueError: another reason has the place, or the name.
    """
    if 1 << place in REASONS or name in {each.name for each in REASONS.values()}:
        raise ValueError(f"there is a reason {name!r} or one at place {place} already")
    REASONS[1 << place] = Reason(name, kind, sentence, figure, limit, protects, unwanted, watched)
    return 1 << place


LONG_ONLY = reason(
    0, "long_only", SHAPED,
    "its tilt is below minus what the benchmark holds of it, and this account may not be short",
)  # fmt: skip
VOLATILITY_TARGET = reason(
    1, "volatility_target", SHAPED,
    "its weight was scaled with the whole account to the volatility target",
)  # fmt: skip
SYMBOL_CAP = reason(2, "symbol_cap", SHAPED, "cut to the most that one symbol may have")
GROUP_CAP = reason(
    3, "group_cap", SHAPED,
    "its tilt was cut with its group, symbols of one sector or that move together",
)  # fmt: skip
GROSS_CAP = reason(
    4, "gross_cap", SHAPED,
    "cut with the whole account to the gross cap of {rules[gross_cap]:.0%}",
)  # fmt: skip
KELLY_CAP = reason(
    5, "kelly_cap", SHAPED,
    "its tilt is {account[kelly]:.0%} of the whole, which is what the evidence of past "
    "predictions, or the lack of it, allows",
)  # fmt: skip
LEVERAGE_CAP = reason(
    6, "leverage_cap", SHAPED,
    "cut with the whole account to the leverage of {rules[leverage]:.0%}",
)  # fmt: skip
NET_CAP = reason(
    7, "net_cap", SHAPED,
    "cut with the whole account until longs and shorts differ by {rules[net_cap]:.0%}",
)  # fmt: skip
NO_TRADE_BAND = reason(
    9, "no_trade_band", SHAPED,
    "no trade: the best weight is {figure:.2%} of equity away, and no change below {limit:.2%} is "
    "worth its cost",
    figure=lambda at: abs(at.decision["aim"] - at.decision["weight"]),
    limit=lambda at: at.decision["band"],
)  # fmt: skip
LOT = reason(10, "lot", SHAPED, "rounded towards zero to whole lots of {rules[lot]:g}")
MIN_NOTIONAL = reason(
    11, "min_notional", REFUSED,
    "refused: an order of {figure:,.2f} is below the minimum of {limit:,.2f}",
    figure=lambda at: abs(at.decision["notional"]),
    limit=lambda at: at.rules["min_notional"],
)  # fmt: skip
INELIGIBLE = reason(
    12, "ineligible", REFUSED,
    "refused: the symbol is not eligible at this bar, so none of it may be bought",
    unwanted="not eligible at this bar",
)  # fmt: skip
NO_BAR = reason(
    13, "no_bar", REFUSED,
    "refused: the symbol has no bar now, so its price is not known",
)  # fmt: skip
NO_SCORE = reason(
    14, "no_score", REFUSED,
    "refused: nothing was predicted, so nothing new is held, and after {rules[horizon]} such bars "
    "nothing at all",
    unwanted="no score for as many bars as a prediction is good for",
)  # fmt: skip
NO_SHORTS = reason(  # a sale of more than is held
    15, "no_shorts", REFUSED,
    "refused: nothing is held, and this book may not be short",
    protects=True,
)  # fmt: skip
COOLING_OFF = reason(
    16, "cooling_off", REFUSED,
    "refused: a stop closed it lately; it stays blocked for {figure} bars, this one included, or "
    "until its signal turns",
    figure=lambda at: at.decision["cooling"],
    limit=lambda _: 0,
    unwanted="blocked after a stop",
)  # fmt: skip
BUYING_POWER = reason(24, "buying_power", CUT, "cut to what cash and leverage allowed at the open")
PARTICIPATION = reason(
    25, "participation", CUT,
    "cut to {rules[participation]:.1%} of the bar's volume",
    protects=True,
)  # fmt: skip
LAPSED = reason(
    26, "lapsed", CUT,
    "lapsed, all of it or what was left: there was no bar or too little volume, its price was not "
    "reached in time, or a stop came first",
)  # fmt: skip
STOP_LOSS = reason(27, "stop_loss", EXIT, "the stop-loss was reached", protects=True)
TRAILING_STOP = reason(28, "trailing_stop", EXIT, "the trailing stop was reached", protects=True)
TAKE_PROFIT = reason(29, "take_profit", EXIT, "the take-profit was reached", protects=True)
DELISTED = reason(
    30, "delisted", EXIT,
    "its bars ended: settled at the last price less {rules[delisting_loss]:.0%} for a long",
    protects=True,
)  # fmt: skip
CASH_IN_LIEU = reason(
    31, "cash_in_lieu", EXIT,
    "a split left a fraction of a share, which was paid in cash at the open",
)  # fmt: skip


def bits_of(kind: str) -> int:
    """The bits of all reasons of a kind that are known by now."""
    return sum(bit for bit, row in REASONS.items() if row.kind == kind)


def reasons_in(bits: int) -> list[Reason]:
    """The reasons set, lowest bit first."""
    rest = int(bits)
    return [REASONS[1 << place] for place in range(rest.bit_length()) if rest >> place & 1]


def names_of(bits: int) -> str:
    """The names of the bits set, joined by '|', lowest bit first; empty for 0."""
    return "|".join(row.name for row in reasons_in(bits))


def kind_of(bits: int) -> str:
    """What filled: 'order', or the stop that it was, or 'delisted' or 'cash_in_lieu'."""
    return next((row.name for row in reasons_in(bits) if row.kind == EXIT), "order")
