"""What each reason says to a person, with the figures of the decision it belongs to."""

from typing import NamedTuple

import numpy as np

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.trading.engine import reasons


class Reason(NamedTuple):
    """One bit, its name, and a sentence about it."""

    name: str
    text: str


def reasons_of(run: Rerun, k: int, n: int) -> tuple[Reason, ...]:
    """Why the decision on symbol n at bar k is what it is."""
    return sentences_of(int(run.decided(k)[n]["reasons"]), figures_of(run, k, n))


def sentences_of(bits: int, figures: dict[str, object]) -> tuple[Reason, ...]:
    """The reasons set, lowest bit first, as sentences."""
    return tuple(
        Reason(name, _SENTENCES[bit].format(**figures))
        for bit, name in reasons.NAMES.items()
        if bits & bit
    )


def figures_of(run: Rerun, k: int, n: int) -> dict[str, object]:
    """The numbers that sentences are filled with."""
    rules, account, here = run.book.rules[0], run.book.log[k], run.decided(k)[n]
    change = abs(float(here["target"]) - float(here["weight"]))
    return {
        "signal": float(here["signal"]),
        "target": float(here["target"]),
        "change": change,
        "band": _band(run, k, float(here["target"])),
        "lot": float(rules["lot"]),
        "notional": abs(float(here["notional"])),
        "minimum": float(rules["min_notional"]),
        "horizon": run.market.horizon,
        "cooling": int(here["cooling"]),
        "kelly": float(account["kelly_cap"]),
        "equity": float(account["equity"]),
        **{name: float(account[name]) for name in ("drawdown", "turbulence")},
        **{f"{name}_loss": float(account[f"{name}_loss"]) for name in ("day", "week", "month")},
        **{
            name: float(rules[name])
            for name in (
                *("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat", "breaker"),
                *("gross_cap", "net_cap", "leverage", "participation", "delisting_loss"),
            )
        },
    }


def _band(run: Rerun, k: int, target: float) -> float:
    """The change of weight that is not worth its cost; as `decide` has it."""
    rules, count = run.book.rules[0], max(int(run.book.log[k]["eligible"]), 1)
    floor = min(rules["band_floor"], rules["band"] * rules["gross_cap"] / count)
    return float(np.maximum(rules["band"] * abs(target), floor))


_SENTENCES = {
    reasons.LONG_ONLY: "the signal is {signal:+.3f}, and this book may not be short: it wants "
    "nothing of the symbol",
    reasons.VOLATILITY_TARGET: "its weight was scaled with the whole book to the volatility target",
    reasons.SYMBOL_CAP: "cut to the most that one symbol may have",
    reasons.GROUP_CAP: "cut with its group, symbols of one sector or that move together",
    reasons.GROSS_CAP: "cut with the whole book to the gross cap of {gross_cap:.0%}",
    reasons.KELLY_CAP: "cut with the whole book to a gross weight of {kelly:.1%}, which is what "
    "the evidence of past predictions, or the lack of it, allows",
    reasons.LEVERAGE_CAP: "cut with the whole book to the leverage of {leverage:.0%}",
    reasons.NET_CAP: "the heavier side was cut until longs and shorts differ by {net_cap:.0%}",
    reasons.DRAWDOWN_HALF: "halved: equity is {drawdown:.1%} below the drawdown rule's peak now, "
    "and half size began at {halve:.0%}",
    reasons.NO_TRADE_BAND: "no trade: the target is {change:.2%} of equity away, and a change of "
    "{band:.2%} is not worth its cost",
    reasons.LOT: "rounded towards zero to whole lots of {lot:g}",
    reasons.MIN_NOTIONAL: "refused: an order of {notional:,.2f} is below the minimum of "
    "{minimum:,.2f}",
    reasons.INELIGIBLE: "refused: the symbol is not eligible at this bar, so none of it may be "
    "bought",
    reasons.NO_BAR: "refused: the symbol has no bar now, so its price is not known",
    reasons.NO_SCORE: "refused: nothing was predicted, so nothing new is bought, and after "
    "{horizon} such bars nothing is held",
    reasons.NO_SHORTS: "refused: nothing is held, and this book may not be short",
    reasons.COOLING_OFF: "refused: a stop closed it lately; it stays blocked for {cooling} bars, "
    "this one included, or until its signal turns",
    reasons.DAILY_LOSS: "nothing new today: the book's loss is {day_loss:.2%} since yesterday's "
    "close, and reached the limit of {daily_loss:.2%}",
    reasons.WEEKLY_LOSS: "nothing new this week: the book's loss is {week_loss:.2%} since last "
    "week's close, and reached the limit of {weekly_loss:.2%}",
    reasons.MONTHLY_LOSS: "nothing new this month: the book's loss is {month_loss:.2%} since last "
    "month's close, and reached the limit of {monthly_loss:.2%}",
    reasons.TURBULENCE: "nothing new: the market moves {turbulence:.1f} times as much as it "
    "usually does, limit {breaker:.1f}",
    reasons.DRAWDOWN_FLAT: "everything is closed: drawdown {drawdown:.1%} against {flat:.0%}, or "
    "still within the pause that followed",
    reasons.KILL_SWITCH: "everything is closed: the operator's kill switch",
    reasons.BANKRUPT: "everything is closed: equity is {equity:,.2f}",
    reasons.BUYING_POWER: "cut to what cash and leverage allowed at the open",
    reasons.PARTICIPATION: "cut to {participation:.1%} of the bar's volume",
    reasons.LAPSED: "lapsed, all of it or what was left: there was no bar or too little volume, "
    "its price was not reached in time, or a stop came first",
    reasons.STOP_LOSS: "the stop-loss was reached",
    reasons.TRAILING_STOP: "the trailing stop was reached",
    reasons.TAKE_PROFIT: "the take-profit was reached",
    reasons.DELISTED: "its bars ended: settled at the last price less {delisting_loss:.0%} for a "
    "long",
    reasons.CASH_IN_LIEU: "a split left a fraction of a share, which was paid in cash at the open",
}
