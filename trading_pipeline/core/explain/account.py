"""The account that a decision was made for, and the limits on it."""

import math
from dataclasses import dataclass

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.trading.engine.reasons import REASONS


@dataclass(frozen=True)
class AccountLimit:
    """A rule on the whole account: what it measured, and where it acts."""

    rule: str
    figure: float
    limit: float
    acts: bool
    text: str


@dataclass(frozen=True)
class AccountAtClose:
    """The account at the close that was decided on."""

    equity: float
    cash: float
    gross: float  # fraction of equity
    net: float
    peak: float  # the drawdown control's
    limits: tuple[AccountLimit, ...]
    cooling_off: int  # bars for which the symbol is blocked after a stop, this one included
    unscored: int  # bars since the symbol's last score


def account_of(run: Rerun, k: int, n: int) -> AccountAtClose:
    """The account at the close of bar k, and what it means for symbol n."""
    log, equity = run.result.log[k], float(run.result.log[k]["equity"])
    return AccountAtClose(
        equity=equity,
        cash=float(log["cash"]),
        gross=float(log["gross"]) / equity if equity > 0 else math.nan,
        net=float(log["net"]) / equity if equity > 0 else math.nan,
        peak=float(log["aged_peak"]),
        limits=_limits(run, k, n),
        cooling_off=int(run.decided(k)[n]["cooling"]),
        unscored=int(run.result.trace[k, n]["unscored"]),
    )


def _limits(run: Rerun, k: int, n: int) -> tuple[AccountLimit, ...]:
    """The rules of the table that watch the account, in its order."""
    facts, limits = run.facts(k, n), []
    for bit, row in REASONS.items():
        if row.watched is not None:
            acts, text = bool(facts.account["acting"] & bit), row.watched.text
            if acts:
                text += row.watched.while_acting.format(**facts._asdict())
            figure, limit = float(row.figure(facts)), float(row.limit(facts))
            limits.append(AccountLimit(row.name, figure, limit, acts, text))
    return tuple(limits)
