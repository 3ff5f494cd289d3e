"""The account that a decision was made for, and the limits on it."""

import math
from dataclasses import dataclass

from trading_pipeline.core.backtest.rerun import Rerun


@dataclass(frozen=True)
class Limit:
    """A rule on the whole account: what it measured, and where it acts."""

    rule: str
    figure: float
    limit: float
    acts: bool
    text: str


@dataclass(frozen=True)
class Account:
    """The account at the close that was decided on."""

    equity: float
    cash: float
    gross: float  # fraction of equity
    net: float
    peak: float  # the drawdown rule's
    limits: tuple[Limit, ...]
    cooling_off: int  # bars for which the symbol is blocked after a stop, this one included
    unscored: int  # bars since the symbol's last score


def account_of(run: Rerun, k: int, n: int) -> Account:
    """The account at the close of bar k, and what it means for symbol n."""
    log, rules, position = run.book.log[k], run.book.rules[0], run.positions(k)[n]
    equity, scored = float(log["equity"]), math.isfinite(run.basis.score[run.row(k), n])
    limits = [
        Limit(
            f"{period}_loss",
            float(log[f"{period}_loss"]),
            float(rules[limit]),
            bool(log[f"{period}_breached"]),
            f"loss since the close of the previous {period}; at the limit nothing new is bought "
            f"for the rest of the {period}",
        )
        for period, limit in (
            ("day", "daily_loss"),
            ("week", "weekly_loss"),
            ("month", "monthly_loss"),
        )
    ]
    drawdown, size = float(log["drawdown"]), int(log["size"])
    since = f"in this size for {int(log['days_in_size'])} days"
    limits += [
        Limit("halve", drawdown, float(rules["halve"]), size == 1,
              "drawdown from the rule's peak; at the limit targets are halved"
              + (f"; {since}" if size == 1 else "")),
        Limit("flat", drawdown, float(rules["flat"]), size == 2,
              "the same; at the limit everything is closed" + (f"; {since}" if size == 2 else "")),
        Limit("turbulence", float(log["turbulence"]), float(rules["breaker"]),
              bool(log["turbulent"]),
              "the market's last 5 bars in units of its usual moves; at the limit nothing new is "
              "bought"),
    ]  # fmt: skip
    return Account(
        equity=equity,
        cash=float(log["cash"]),
        gross=float(log["gross"]) / equity if equity > 0 else math.nan,
        net=float(log["net"]) / equity if equity > 0 else math.nan,
        peak=float(log["rule_peak"]),
        limits=tuple(limits),
        cooling_off=int(run.decided(k)[n]["cooling"]),
        unscored=0 if scored else int(position["unscored"]) + 1,
    )
