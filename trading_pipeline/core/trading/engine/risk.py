"""Limits on the whole account: losses by period, drawdown, turbulence, kill switch, bankruptcy.

Everything is looked at once a bar, at its close, and acts on the decision of that close. A loss
limit makes it reduce-only for the rest of its period, a turbulent market for as long as it
lasts; drawdown and the kill switch close positions. The kernels change the account's record in
place.
"""

import math

import numpy as np

from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW
from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.dtypes import FLAT, FULL, HALF, Account, Parameters
from trading_pipeline.core.trading.engine.reasons import REFUSED, SHAPED, Watched, reason


def _loss_limit(place: int, name: str, period: str, now: str, before: str) -> int:
    """The reason of a limit on the loss since the close of the previous period."""
    loss = f"{period}_loss"
    return reason(
        place, name, REFUSED,
        f"nothing new {now}: the book's loss is {{figure:.2%}} since {before} close, and reached "
        "the limit of {limit:.2%}",
        figure=lambda at: at.account[loss],
        limit=lambda at: at.rules[name],
        protects=True,
        watched=Watched(f"loss since the close of the previous {period}; at the limit "
                        f"nothing new is bought for the rest of the {period}"),
    )  # fmt: skip


DAILY_LOSS = _loss_limit(17, "daily_loss", "day", "today", "yesterday's")
WEEKLY_LOSS = _loss_limit(18, "weekly_loss", "week", "this week", "last week's")
MONTHLY_LOSS = _loss_limit(19, "monthly_loss", "month", "this month", "last month's")
DRAWDOWN_HALF = reason(
    8, "drawdown_half", SHAPED,
    "halved: equity is {figure:.1%} below the halving rule's peak now, and half size began at "
    "{limit:.0%}",
    figure=lambda at: at.account["rule_drawdown"],
    limit=lambda at: at.rules["halve"],
    protects=True,
    watched=Watched("drawdown from the rule's peak; at the limit targets are halved",
                    "; in this size for {account[days_in_size]} days"),
)  # fmt: skip
DRAWDOWN_CONTROL = reason(
    32, "drawdown_control", SHAPED,
    "scaled to {account[drawdown_share]:.0%} with the whole account: equity is {figure:.1%} below "
    "its peak, which fades with time, and nothing is left at {limit:.0%}",
    figure=lambda at: at.account["drawdown"],
    limit=lambda at: at.rules["drawdown_limit"],
    protects=True,
    watched=Watched("drawdown from a peak that ages; the exposure falls in "
                    "proportion, to nothing at the limit"),
)  # fmt: skip
DRAWDOWN_FLAT = reason(
    21, "drawdown_flat", REFUSED,
    "everything is closed: drawdown {figure:.1%} against {limit:.0%}, or still within the pause "
    "that followed",
    figure=lambda at: at.account["rule_drawdown"],
    limit=lambda at: at.rules["flat"],
    protects=True,
    watched=Watched("the same; at the limit everything is closed",
                    "; in this size for {account[days_in_size]} days"),
)  # fmt: skip
TURBULENCE = reason(
    20, "turbulence", REFUSED,
    "nothing new: the market moves {figure:.1f} times as much as it usually does, limit "
    "{limit:.1f}",
    figure=lambda at: at.account["turbulence"],
    limit=lambda at: at.rules["breaker"],
    protects=True,
    watched=Watched("the market's last 5 bars in units of its usual moves; at the "
                    "limit nothing new is bought"),
)  # fmt: skip
KILL_SWITCH = reason(
    22, "kill_switch", REFUSED, "everything is closed: the operator's kill switch", protects=True
)
BANKRUPT = reason(
    23, "bankrupt", REFUSED, "everything is closed: equity is {figure:,.2f}",
    figure=lambda at: at.account["equity"],
    limit=lambda _: 0.0,
    protects=True,
)  # fmt: skip

REFUSING = DAILY_LOSS | WEEKLY_LOSS | MONTHLY_LOSS | TURBULENCE  # new exposure
CLOSING = DRAWDOWN_FLAT | KILL_SWITCH | BANKRUPT  # all positions
_LATELY = 5  # bars that the circuit breaker looks at


@kernel
def roll_periods(account: Account, periods: np.ndarray) -> None:
    """Enter the periods of a new bar: marks become the equity of the close before it."""
    if periods[0] != account.day:
        account.day, account.day_mark, account.day_breached = periods[0], account.equity, 0
        account.days_in_size += 1
    if periods[1] != account.week:
        account.week, account.week_mark, account.week_breached = periods[1], account.equity, 0
    if periods[2] != account.month:
        account.month, account.month_mark, account.month_breached = periods[2], account.equity, 0


@kernel
def watch_losses(rules: Parameters, account: Account) -> None:
    """Compare the close with the marks; a breach stays until its period ends."""
    account.day_loss = 1 - account.equity / account.day_mark
    account.week_loss = 1 - account.equity / account.week_mark
    account.month_loss = 1 - account.equity / account.month_mark
    if account.day_loss >= rules.daily_loss:
        account.day_breached = 1
    if account.week_loss >= rules.weekly_loss:
        account.week_breached = 1
    if account.month_loss >= rules.monthly_loss:
        account.month_breached = 1


@kernel
def watch_drawdown(rules: Parameters, account: Account) -> None:
    """The share of the exposure that a drawdown leaves (Grossman and Zhou, 1993).

    An old peak would hold an account down for ever, so it sinks towards the equity in a year.
    """
    sunk = account.aged_peak + rules.ageing * (account.equity - account.aged_peak)
    account.aged_peak = max(account.equity, sunk)
    account.drawdown = 1 - account.equity / account.aged_peak
    account.drawdown_share = 1.0
    if not math.isinf(rules.drawdown_limit):
        left = (rules.drawdown_limit - account.drawdown) / rules.drawdown_limit
        account.drawdown_share = min(max(left, 0.0), 1.0)


@kernel
def watch_halving(rules: Parameters, account: Account) -> None:
    """Halve, then flat; after a pause half size from a new reference, full again in time."""
    new_peak = account.equity > account.rule_peak
    account.rule_peak = max(account.rule_peak, account.equity)
    account.peak = max(account.peak, account.equity)
    if account.size == FLAT and account.days_in_size >= rules.flat_days:
        # Without a new reference the old drawdown would keep the account flat for ever.
        account.rule_peak = account.equity
        _resize(account, HALF)
    account.rule_drawdown = 1 - account.equity / account.rule_peak
    if account.size == FLAT:
        return
    if account.rule_drawdown >= rules.flat:
        account.flattenings += 1
        _resize(account, FLAT)
    elif account.size == FULL and account.rule_drawdown >= rules.halve:
        account.halvings += 1
        _resize(account, HALF)
    elif account.size == HALF and _may_grow(rules, account, new_peak):
        _resize(account, FULL)


@kernel
def _may_grow(rules: Parameters, account: Account, new_peak: bool) -> bool:
    patient = account.days_in_size >= rules.half_days
    return new_peak or (patient and account.rule_drawdown < rules.halve)


@kernel
def _resize(account: Account, size: int) -> None:
    account.size = size
    account.days_in_size = 0


@kernel
def watch_turbulence(rules: Parameters, account: Account, market: np.ndarray) -> None:
    """Trip the circuit breaker while the market moves far more than it usually does.

    The root mean square return of the market's last 5 bars is compared with that of the 58 before.
    market: (K,), of which the last 63 are looked at; without 63 bars nothing trips.
    """
    before = account.turbulent
    account.turbulence, account.turbulent = 0.0, 0
    if math.isinf(rules.breaker) or len(market) < VOLATILITY_WINDOW:
        return
    usual, now = 0.0, 0.0
    late = len(market) - _LATELY
    for k in range(len(market) - VOLATILITY_WINDOW, late):
        usual += market[k] * market[k]
    for k in range(late, len(market)):
        now += market[k] * market[k]
    if usual > 0:
        account.turbulence = math.sqrt(now / _LATELY / (usual / (VOLATILITY_WINDOW - _LATELY)))
    if account.turbulence >= rules.breaker:
        account.turbulent = 1
        account.breaks += 1 - before


@kernel
def watch(rules: Parameters, account: Account) -> None:
    """All account rules at one close, and which of them act on its decision."""
    if account.equity <= 0:
        account.bankrupt = 1
    watch_losses(rules, account)
    watch_drawdown(rules, account)
    watch_halving(rules, account)
    account.acting = _acting(account)


@kernel
def allowed_size(account: Account) -> float:
    """What targets are multiplied by: 1, 0.5 or 0."""
    if account.size == FLAT or account.killed or account.bankrupt:
        return 0.0
    return 0.5 if account.size == HALF else 1.0


@kernel
def _acting(account: Account) -> int:
    """Bits of the rules that refuse new exposure, halve or close positions now."""
    bits = 0
    if account.day_breached:
        bits |= DAILY_LOSS
    if account.week_breached:
        bits |= WEEKLY_LOSS
    if account.month_breached:
        bits |= MONTHLY_LOSS
    if account.turbulent:
        bits |= TURBULENCE
    if account.drawdown_share < 1:
        bits |= DRAWDOWN_CONTROL
    if account.size == HALF:
        bits |= DRAWDOWN_HALF
    if account.size == FLAT:
        bits |= DRAWDOWN_FLAT
    if account.killed:
        bits |= KILL_SWITCH
    if account.bankrupt:
        bits |= BANKRUPT
    return bits


@kernel
def reduced(order: float, quantity: float) -> float:
    """The part of an order that lowers exposure: towards zero, never through it."""
    if order * quantity >= 0:
        return 0.0
    return math.copysign(min(abs(order), abs(quantity)), order)
