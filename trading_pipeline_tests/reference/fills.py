"""The reference fills: what one bar does to an account and its orders.

In this order: interest, borrow and funding; splits and dividends; symbols that are gone for good;
stops that the open has passed; orders at the open, those that lower exposure first; stops
within the bar; limit and stop orders at their levels; the stops of what those made; the mark.
"""

from math import inf, isnan, trunc


def trade_one_bar(account, row, day, bars, splits, dividends):
    """One bar of an account, from the close before it to its own close.

    Args:
        day: days since 1970. bars: those of the symbols that have one. splits, dividends: by
            symbol, where there is one.
    """
    account.row = row
    _interest(account)
    for symbol, holding in account.holdings.items():
        if holding.quantity or holding.order:
            split, dividend = splits.get(symbol), dividends.get(symbol)
            _night(account, symbol, holding, split, dividend, bars.get(symbol))
            if holding.order:
                holding.order.age += 1
            if symbol not in bars:
                _settle(account, symbol, holding, day)
    there = {s: h for s, h in account.holdings.items() if s in bars}
    room = {}
    for symbol, holding in there.items():
        holding.seen = day
        allowed = account.costs.participation
        volume = bars[symbol].volume
        room[symbol] = inf if allowed == inf else 0.0 if isnan(volume) else allowed * volume
    day = _Day(account, bars, room)
    for symbol, holding in there.items():
        day.stops_at_open(symbol, holding)
    day.orders({s: day.due_at_open(s, h) for s, h in there.items()}, within=False)
    for symbol, holding in there.items():
        day.stops_within(symbol, holding, bars[symbol].open)
    due = {s: day.due_within(s, h) for s, h in there.items()}
    by_limit, opened = day.orders(due, within=True)
    for symbol, order in due.items():
        if order:
            limit = symbol in by_limit
            day.stops_within(symbol, there[symbol], order["price"], only_stop=limit)
    for symbol, holding in account.holdings.items():
        _evening(account, symbol, holding, bars.get(symbol), symbol in opened)
    account.gross_before = sum(abs(h.quantity) * (h.last or 0) for h in account.holdings.values())


def _interest(account):
    """On debit cash; a bankrupt account that holds nothing is closed."""
    if account.cash < 0 and not (account.bankrupt and account.gross_before == 0):
        paid = account.cash * account.costs.debit / account.bars_per_year
        account.cash += paid
        account.outcome.flows[account.row, "", "interest"] += paid


def _night(account, symbol, holding, split, dividend, bar):
    flows, costs, years = {}, account.costs, 1 / account.bars_per_year
    if holding.quantity:
        value = holding.quantity * holding.last
        flows["borrow"] = value * costs.borrow * years if value < 0 else 0.0
        flows["funding"] = -value * costs.funding * years
    if split:
        holding.quantity *= split
        for name in ("last", "entry", "best", "received", "own_stop", "own_take"):
            _change(holding, name, lambda price: price / split)
        if holding.order:
            holding.order.quantity *= split
            for name in ("level", "stop", "take"):
                _change(holding.order, name, lambda price: price / split)
    if dividend and holding.quantity:
        flows["dividend"] = holding.quantity * dividend
        holding.received += dividend
        for name in ("own_stop", "own_take"):
            _change(holding, name, lambda price: price - dividend)
    if dividend and holding.order:
        bid = holding.order.kind == "limit" and holding.order.quantity > 0
        stop_to_sell = holding.order.kind == "stop" and holding.order.quantity < 0
        if bid or stop_to_sell or holding.order.kind == "market":
            for name in ("level", "stop", "take"):
                _change(holding.order, name, lambda price: price - dividend)
    if split:
        _whole(account, symbol, holding, bar.open if bar else holding.last)
    for kind, money in flows.items():
        account.cash += money
        account.outcome.flows[account.row, symbol, kind] += money


def _whole(account, symbol, holding, price):
    """No order of fractions of a lot, no holding of fractions of a share (or of a finer lot)."""
    order, lot = holding.order, account.costs.lot
    if not lot:
        return
    closing = order and order.quantity == -holding.quantity
    unit, held = min(lot, 1.0), holding.quantity
    whole = trunc(held / unit * (1 + 1e-12)) * unit
    if abs(held - whole) > 1e-12 * abs(held):
        account.cash += (held - whole) * price
        account.outcome.fills[account.row, symbol, "in_lieu"] = {
            "quantity": whole - held,
            "price": price,
            "fee": 0.0,
            "slippage": 0.0,
            "why": "cash_in_lieu",
        }
    holding.quantity = whole
    if held and not whole:
        holding.forget()
    if order:
        order.quantity = -whole if closing else account.lots(order.quantity)
        if not order.quantity:
            account.outcome.lapsed.add((account.row, symbol))
            holding.order = None


def _change(thing, name, how):
    if getattr(thing, name) is not None:
        setattr(thing, name, how(getattr(thing, name)))


def _settle(account, symbol, holding, day):
    """Bars ended for good: a long loses a share of its last price, a short gains nothing."""
    if not holding.quantity or day - holding.seen < account.costs.delisted_after:
        return
    price = holding.last * (1 - account.costs.delisting_loss if holding.quantity > 0 else 1)
    account.cash += holding.quantity * price
    account.outcome.fills[account.row, symbol, "exit"] = {
        "quantity": -holding.quantity,
        "price": price,
        "fee": 0.0,
        "slippage": 0.0,
        "why": "delisted",
    }
    holding.quantity = 0.0
    holding.forget()
    if holding.order:
        holding.order.dead = True


class _Day:
    """The hours of one bar; `room` is what volume still allows, in units by symbol."""

    def __init__(self, account, bars, room):
        self.account, self.bars, self.room = account, bars, room
        self.served = set()  # symbols whose order has had its go

    def stops_at_open(self, symbol, holding):
        """What the open has passed goes at the open, unless an order closes it there anyway."""
        long, open_, order = holding.quantity > 0, self.bars[symbol].open, holding.order
        if not holding.quantity:
            return
        if order and order.kind == "market":
            sells_all = order.quantity <= -holding.quantity
            buys_all = order.quantity >= -holding.quantity
            if sells_all if long else buys_all:
                return
        stop, trailed, take = self.account.stops(holding)
        stopped = stop is not None and (open_ <= stop if long else open_ >= stop)
        taken = take is not None and (open_ >= take if long else open_ <= take)
        if stopped or holding.goes_on:
            self._leave(symbol, holding, open_, "trailing_stop" if trailed else "stop_loss")
        elif taken:
            self._leave(symbol, holding, open_, "take_profit")

    def stops_within(self, symbol, holding, since, only_stop=False):
        """What the bar touches goes at its level, or at `since` if the market stood beyond it."""
        bar, long = self.bars[symbol], holding.quantity > 0
        if not holding.quantity:
            return
        stop, trailed, take = self.account.stops(holding)
        if stop is not None and (bar.low <= stop if long else bar.high >= stop):
            price = min(stop, since) if long else max(stop, since)
            self._leave(symbol, holding, price, "trailing_stop" if trailed else "stop_loss")
        elif only_stop or take is None:
            return
        elif bar.high >= take if long else bar.low <= take:
            price = max(take, since) if long else min(take, since)
            self._leave(symbol, holding, price, "take_profit")

    def _leave(self, symbol, holding, price, why):
        account, stopped = self.account, why != "take_profit"
        holding.cooling = account.horizon
        holding.cooling_side = 1 if holding.quantity > 0 else -1
        if holding.order:
            holding.order.dead = True
        quantity = -holding.quantity
        if abs(quantity) > self.room[symbol]:
            quantity = self._part(symbol, quantity)
            holding.goes_on = holding.goes_on or stopped
        if quantity:
            sigma, volume = holding.sigma, self.bars[symbol].volume
            slippage = account.slippage(abs(quantity), sigma, volume) if stopped else 0.0
            self.room[symbol] -= abs(quantity)
            bill = holding.stop_bill if stopped else holding.take_bill
            account.trade(
                symbol, "exit", quantity, price, slippage, maker=not stopped, why=why, bill=bill
            )

    def _part(self, symbol, quantity):
        units = self.account.lots(min(abs(quantity), max(self.room[symbol], 0.0)))
        return units if quantity > 0 else -units

    def due_at_open(self, symbol, holding):
        """The order, if it executes at the open: price and the fraction it loses."""
        order, bar = holding.order, self.bars[symbol]
        if not order or order.dead:
            return None
        buys, level = order.quantity > 0, order.level
        if order.kind == "limit" and (bar.open > level if buys else bar.open < level):
            return None
        if order.kind == "stop" and (bar.open < level if buys else bar.open > level):
            return None
        due = self._due(symbol, order, bar.open)
        if due:
            due["slippage"] = self.account.slippage(abs(due["now"]), order.sigma, bar.volume)
            if order.kind == "limit":  # never worse than the limit
                due["slippage"] = min(due["slippage"], abs(level / bar.open - 1))
        return due

    def due_within(self, symbol, holding):
        """The order, if the bar reaches its level; one that was due at the open has had its go."""
        order, bar = holding.order, self.bars[symbol]
        if not order or order.dead or order.kind == "market" or symbol in self.served:
            return None
        needs_fall = (order.quantity > 0) == (order.kind == "limit")
        if bar.low > order.level if needs_fall else bar.high < order.level:
            return None
        due = self._due(symbol, order, order.level)
        if due:
            stop = order.kind == "stop"
            lost = self.account.slippage(abs(due["now"]), order.sigma, bar.volume)
            due["slippage"] = lost if stop else 0.0
            due["maker"] = not stop
        return due

    def _due(self, symbol, order, price):
        """As much of the order as volume allows; the rest stays in the order."""
        now = order.quantity
        if abs(now) > max(self.room[symbol], 0.0):
            now = self._part(symbol, now)
        order.quantity -= now
        self.served.add(symbol)
        return {"order": order, "now": now, "price": price, "maker": False} if now else None

    def orders(self, due, within):
        """Lower exposure, then raise it, all cut by one share if money is short.

        Returns the symbols that a limit order traded, and those that one opened.
        """
        due = {symbol: order for symbol, order in due.items() if order}
        holdings, opened, by_limit = self.account.holdings, set(), set()
        for symbol, order in due.items():
            held = holdings[symbol].quantity
            lowering = 0.0
            if held * order["now"] < 0:
                lowering = min(abs(held), abs(order["now"])) * (1 if order["now"] > 0 else -1)
                self._execute(symbol, order, lowering)
            order["now"] -= lowering
        rising = {symbol: order for symbol, order in due.items() if order["now"]}
        share = self._share(rising)
        for symbol, order in rising.items():
            quantity = order["now"]
            if share < 1:
                quantity = self.account.lots(quantity * share)
                if abs(quantity) * order["price"] < self.account.costs.min_notional:
                    quantity = 0.0
            if quantity:
                if within and order["order"].kind == "limit":
                    by_limit.add(symbol)
                    if not holdings[symbol].quantity:
                        opened.add(symbol)
                self._execute(symbol, order, quantity)
        return by_limit, opened

    def _execute(self, symbol, order, quantity):
        self.room[symbol] -= abs(quantity)
        self.account.trade(
            symbol,
            "order",
            quantity,
            order["price"],
            order["slippage"],
            maker=order["maker"],
            why="order",
            bill=order["order"].bill,
            order=order["order"],
        )

    def _share(self, rising):
        """How much of the orders keeps gross within leverage × equity after their costs."""
        account, leverage = self.account, self.account.costs.leverage
        equity, gross, wanted, cost = account.cash, 0.0, 0.0, 0.0
        for symbol, holding in account.holdings.items():
            if holding.quantity:
                price = self.bars[symbol].open if symbol in self.bars else holding.last
                equity += holding.quantity * price
                gross += abs(holding.quantity) * price
        for order in rising.values():
            units, price, lost = abs(order["now"]), order["price"], order["slippage"]
            wanted += units * price
            fee = account.fee(units, price * (1 + lost), order["maker"])
            cost += units * price * lost + order["order"].bill.due(fee, account.costs.minimum_fee)
        room, need = leverage * equity - gross, wanted + leverage * cost
        return 1 if not rising or need <= room * (1 + 1e-12) else max(room, 0.0) / need


def _evening(account, symbol, holding, bar, opened_by_limit):
    """Orders wait or lapse; what is held is marked, and a trailing stop follows its best price."""
    order = holding.order
    if order and order.quantity == 0:
        holding.order = None
    elif order and (order.dead or order.age >= order.good_for):
        account.outcome.lapsed.add((account.row, symbol))
        holding.order = None
    if bar is None or not holding.quantity:
        return
    holding.last = bar.close
    best = bar.high if holding.quantity > 0 else bar.low
    if opened_by_limit:
        best = bar.close
    best += holding.received
    if holding.best is not None and account.trail_distance < inf:
        better = best > holding.best if holding.quantity > 0 else best < holding.best
        holding.best = best if better else holding.best
