"""One trade of one symbol: what it costs, and what it makes of the position and its barriers."""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.dtypes import Account, Fill, Parameters, Position

_WORST = 0.9  # fraction that an order may lose to impact: a sale brings something


@kernel
def fee_of(rules: Parameters, quantity: float, paid: float, rate: float) -> float:
    """Money, for |quantity| units at `paid`: a fraction, and so much a unit."""
    units = abs(quantity)
    return float(units * paid * rate + units * rules.fee_per_share)


@kernel
def charged(rules: Parameters, fee: float, prepaid: float) -> float:
    """What a fill with this `fee` costs now: an order's first fill pays its minimum at least.

    That minimum has `prepaid` fees of the fills that follow, so that all fills of an order together
    pay the larger of its minimum and its fees.
    """
    if math.isnan(prepaid):
        return float(max(fee, rules.minimum_fee))
    return float(max(fee - prepaid, 0.0))


@kernel
def slippage_of(rules: Parameters, quantity: float, sigma: float, volume: float) -> float:
    """The fraction that an order of this size loses: fixed, and the square root of its share.

    Without a volatility or a volume there is nothing to measure impact in, and none is charged.
    The law says nothing of orders many times the volume; no order loses more than nine tenths.
    """
    if rules.impact == 0 or not sigma > 0 or not volume > 0:
        return float(rules.slippage)
    impact = rules.impact * sigma * math.sqrt(abs(quantity) / volume)
    return float(min(rules.slippage + impact, _WORST))


@kernel
def whole_lots(rules: Parameters, quantity: float) -> float:
    """Rounded towards zero; a whole number of lots may lie one rounding below itself."""
    if rules.lot == 0:
        return quantity
    return float(math.trunc(quantity / rules.lot * (1 + 1e-12)) * rules.lot)


@kernel
def after_split(rules: Parameters, quantity: float) -> float:
    """What may be held of it: whole shares, or whole lots where a lot is less than a share.

    An odd lot of whole shares is held, and can be closed; issuers pay cash for fractions alone.
    """
    if rules.lot < 1:
        return whole_lots(rules, quantity)
    return float(math.trunc(quantity * (1 + 1e-12)))


@kernel
def pay_out(
    rules: Parameters,
    account: Account,
    position: Position,
    quantity: float,
    price: float,
    row: Fill,
) -> None:
    """Trade `quantity` (signed) that no order asks for, at `price` and free of cost."""
    position.noted = 1
    row.age, row.quantity, row.price = 1, quantity, price
    account.cash -= quantity * price
    account.traded += abs(quantity) * price
    position.quantity += quantity
    if position.quantity == 0:
        forget(position)
    set_levels(rules, position)


@kernel
def execute(
    rules: Parameters,
    account: Account,
    position: Position,
    quantity: float,
    price: float,
    slippage: float,
    rate: float,
    exits: bool,
    row: Fill,
) -> None:
    """Trade `quantity` (signed, not 0) at `price` made worse by `slippage`, a fraction.

    `exits` says that the position's barrier trades and not the pending order.
    """
    paid = price * (1 + math.copysign(slippage, quantity))
    fee = _charge(rules, position, fee_of(rules, quantity, paid, rate), exits)
    row.quantity += quantity
    row.price = paid
    row.fee += fee
    row.slippage += abs(quantity) * price * slippage
    position.capacity -= abs(quantity)
    take_in(rules, account, position, quantity, paid, fee)


@kernel
def take_in(
    rules: Parameters,
    account: Account,
    position: Position,
    quantity: float,
    paid: float,
    fee: float,
) -> None:
    """What `quantity` (signed, not 0) traded at the price `paid` makes of account and position."""
    account.cash -= quantity * paid + fee
    account.fees += fee
    account.traded += abs(quantity) * paid
    position.noted = 1
    _hold(position, quantity, paid)
    set_levels(rules, position)


@kernel
def _charge(rules: Parameters, position: Position, fee: float, exits: bool) -> float:
    """What this fill costs, noted with the order that it belongs to."""
    prepaid = position.exit_prepaid if exits else position.order_prepaid
    cost = charged(rules, fee, prepaid)
    left = cost - fee if math.isnan(prepaid) else max(prepaid - fee, 0.0)
    if exits:
        position.exit_prepaid = left
    else:
        position.order_prepaid = left
    return cost


@kernel
def _hold(position: Position, quantity: float, paid: float) -> None:
    """The position after a trade: average entry, and σ frozen when it was opened."""
    before, after = position.quantity, position.quantity + quantity
    if after == 0:
        forget(position)
    elif before * after <= 0:
        position.entry, position.best, position.sigma = paid, paid, position.order_sigma
        position.dividends = 0.0
        position.own_stop, position.own_take = position.order_stop, position.order_take
        position.exit_prepaid, position.triggered = np.nan, 0
    elif abs(after) > abs(before):
        position.entry = (position.entry * before + paid * quantity) / after
        position.dividends *= before / after  # what was added got none of them
    position.quantity = after


@kernel
def forget(position: Position) -> None:
    """Nothing of a position that is closed guides the next one."""
    position.entry, position.best, position.sigma = np.nan, np.nan, np.nan
    position.dividends = 0.0
    position.own_stop, position.own_take = np.nan, np.nan
    position.exit_prepaid, position.triggered = np.nan, 0


@kernel
def set_levels(rules: Parameters, position: Position) -> None:
    """Stop and take-profit of the position as it is; NaN, which nothing touches, for none.

    Levels that came with the order hold instead of the profile's; a trailing stop only tightens.
    """
    position.stop, position.take, position.trailed = position.own_stop, position.own_take, 0
    if position.quantity == 0 or not position.sigma > 0:
        return
    side = math.copysign(1.0, position.quantity)
    if math.isnan(position.stop) and not math.isinf(rules.stop_loss):
        position.stop = _away(position, position.entry, -side * rules.stop_loss)
    if math.isnan(position.take) and not math.isinf(rules.take_profit):
        position.take = _away(position, position.entry, side * rules.take_profit)
    if not math.isinf(rules.trailing_stop):
        trail = _away(position, position.best, -side * rules.trailing_stop)
        if math.isnan(position.stop) or (trail - position.stop) * side > 0:
            position.stop, position.trailed = trail, 1


@kernel
def _away(position: Position, price: float, distance: float) -> float:
    """The price at which the total return since `price` is `distance` × σ; below 0: none is.

    A unit is worth its price and the dividends that it has paid, which cannot fall any more.
    """
    value = (price + position.dividends) * math.exp(distance * position.sigma)
    return float(value - position.dividends)
