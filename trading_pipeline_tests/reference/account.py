"""The reference account: cash, what is held of each symbol, and what every trade cost.

Plain Python, written from what the simulation says it does and sharing no code with it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from math import copysign, exp, inf, isnan, sqrt, trunc

WORST_SLIPPAGE = 0.9


def known(number):
    """The number, or None where there is none."""
    return None if number is None or isnan(number) else float(number)


@dataclass
class Bill:
    """What one order owes: a minimum, or the sum of its fills' fees if that is more."""

    fees: float = 0.0
    paid: float = 0.0

    def due(self, fee, minimum):
        """What one more fill with that fee would cost."""
        return max(minimum, self.fees + fee) - self.paid

    def settle(self, fee, minimum):
        """Pay it, and say how much that was."""
        due = self.due(fee, minimum)
        self.fees += fee
        self.paid += due
        return due


@dataclass
class Order:
    """What is still to be bought (> 0) or sold."""

    quantity: float
    kind: str = "market"
    level: float | None = None
    good_for: int = 1
    age: int = 0
    stop: float | None = None  # the bracket of what it opens
    take: float | None = None
    sigma: float | None = None
    dead: bool = False  # it lapses when the bar is over
    bill: Bill = field(default_factory=Bill)


@dataclass
class Holding:
    """One symbol: what is held, what is ordered, and what guides both."""

    quantity: float = 0.0
    last: float | None = None
    seen: int = 0
    order: Order | None = None
    entry: float | None = None
    best: float | None = None  # with the dividends until then
    received: float = 0.0  # dividends a share since entry, of an average share
    sigma: float | None = None
    own_stop: float | None = None
    own_take: float | None = None
    goes_on: bool = False  # a stop that volume did not let out whole
    stop_bill: Bill = field(default_factory=Bill)
    take_bill: Bill = field(default_factory=Bill)
    cooling: int = 0
    cooling_side: float = 0.0
    signal: float | None = None
    unscored: int = 0

    def forget(self):
        """Nothing is held any more, so nothing guards it."""
        self.entry = self.best = self.sigma = self.own_stop = self.own_take = None
        self.goes_on, self.received = False, 0.0
        self.stop_bill, self.take_bill = Bill(), Bill()


@dataclass
class Bar:
    """Prices and volume of one symbol."""

    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass
class Outcome:
    """Everything that a run wrote down."""

    equity: list = field(default_factory=list)
    fills: dict = field(default_factory=dict)  # (row, symbol, 'order', 'exit' or 'in_lieu')
    orders: dict = field(default_factory=dict)  # (row, symbol): quantity, kind, level
    vetoes: set = field(default_factory=set)  # (row, symbol, rule)
    lapsed: set = field(default_factory=set)  # (row, symbol)
    flows: dict = field(default_factory=lambda: defaultdict(float))  # (row, symbol, kind)


class Account:
    """Cash and holdings by symbol, under one set of costs and stops."""

    def __init__(self, symbols, *, capital, costs, bars_per_year, horizon, profile):
        self.cash, self.costs, self.horizon = float(capital), costs, horizon
        self.bars_per_year = bars_per_year
        self.holdings = {symbol: Holding() for symbol in symbols}
        self.bankrupt, self.gross_before = False, 0.0
        self.outcome, self.row = Outcome(), 0
        root = sqrt(horizon)
        self.stop_distance = profile.stop_loss * root if profile else inf
        self.take_distance = profile.take_profit * root if profile else inf
        self.trail_distance = profile.trailing_stop * root if profile else inf

    def equity(self):
        """At the last prices seen."""
        return self.cash + sum(h.quantity * h.last for h in self.holdings.values() if h.quantity)

    def fee(self, units, paid, maker):
        """In money, of so many units at the price paid; the minimum is the bill's."""
        rate = self.costs.fee
        if maker and self.costs.maker_fee is not None:
            rate = self.costs.maker_fee
        return units * (paid * rate + self.costs.fee_per_share)

    def slippage(self, units, sigma, volume):
        """Fraction of the price that a fill loses: a constant, and the square-root impact."""
        loss = self.costs.slippage
        if sigma and sigma > 0 and volume > 0:
            loss += self.costs.impact * sigma * sqrt(units / volume)
        return min(loss, WORST_SLIPPAGE)

    def lots(self, quantity):
        """Whole lots, towards zero."""
        if not self.costs.lot:
            return quantity
        return trunc(quantity / self.costs.lot * (1 + 1e-12)) * self.costs.lot

    def trade(self, symbol, slot, quantity, price, slippage, *, maker, why, bill, order=None):
        """Pay, and hold what comes of it; the fee goes on the bill of the order."""
        paid = price * (1 + slippage if quantity > 0 else 1 - slippage)
        nothing = {"quantity": 0.0, "price": paid, "fee": 0.0, "slippage": 0.0, "why": why}
        fill = self.outcome.fills.setdefault((self.row, symbol, slot), nothing)
        fee = bill.settle(self.fee(abs(quantity), paid, maker), self.costs.minimum_fee)
        self.cash -= quantity * paid
        self.cash -= fee
        fill["quantity"] += quantity
        fill["fee"] += fee
        fill["slippage"] += abs(quantity) * price * slippage
        self._hold(self.holdings[symbol], quantity, paid, order)

    def _hold(self, holding, quantity, paid, order):
        before, after = holding.quantity, holding.quantity + quantity
        holding.quantity = after
        if after == 0:
            holding.forget()
        elif before == 0:
            holding.entry = holding.best = paid
            holding.sigma, holding.goes_on = order.sigma, False
            holding.own_stop, holding.own_take = order.stop, order.take
        elif abs(after) > abs(before):
            holding.entry = (before * holding.entry + quantity * paid) / after
            diluted = holding.received * before / after
            holding.best += diluted - holding.received
            holding.received = diluted

    def stops(self, holding):
        """Stop, whether it is the trailing one, and take-profit of what is held; None for none.

        What a share has paid is added to what it is worth, so its price may be lower by that.
        """
        side, stop, take = copysign(1, holding.quantity), holding.own_stop, holding.own_take
        got = holding.received
        trailed = False
        if holding.sigma and holding.sigma > 0:
            if stop is None and self.stop_distance < inf:
                stop = holding.entry * exp(-side * self.stop_distance * holding.sigma) - got
            if take is None and self.take_distance < inf:
                take = holding.entry * exp(side * self.take_distance * holding.sigma) - got
            if self.trail_distance < inf:
                trail = holding.best * exp(-side * self.trail_distance * holding.sigma) - got
                if stop is None or (trail > stop if side > 0 else trail < stop):
                    stop, trailed = trail, True
        return stop, trailed, take
