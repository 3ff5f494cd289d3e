"""The reference orders: what an account may send, and the orders of a table."""

from trading_pipeline_tests.reference.account import Order, known


def place(account, symbol, quantity, *, price, refused_by, kind="market", **terms):
    """Send an order after all that may refuse it; the vetoes are written down.

    Args:
        price: of the close, which the least notional is measured at.
        refused_by: names of the rules that refuse new exposure now.
    """
    holding, outcome, key = account.holdings[symbol], account.outcome, (account.row, symbol)
    held = holding.quantity
    lowering = 0.0
    if held * quantity < 0:
        lowering = -held if abs(quantity) > abs(held) else quantity
    if quantity != lowering and refused_by:
        outcome.vetoes |= {(*key, rule) for rule in refused_by}
        quantity = lowering
    if quantity != -held:  # a position can always be closed whole
        quantity = account.lots(quantity)
        if quantity and abs(quantity) * price < account.costs.min_notional:
            outcome.vetoes.add((*key, "min_notional"))
            quantity = 0.0
    holding.order = None
    if quantity:
        holding.order = Order(quantity, kind=kind, **terms)
        outcome.orders[key] = (quantity, kind, terms.get("level"))
    return quantity


def place_table(account, limits, rows, closes, eligible, sigmas, shorts):
    """The orders decided on at one close, under the limits of the account.

    Args:
        rows: of the table. closes, eligible, sigmas: by symbol.
    """
    limits.watch()
    account.bankrupt = limits.bankrupt
    if limits.closing():
        close_all(account, limits, sigmas)
        for row in rows:
            key = (account.row, row["symbol"])
            account.outcome.vetoes |= {(*key, rule) for rule in limits.closing()}
        return
    asked = {row["symbol"] for row in rows}
    for symbol, holding in account.holdings.items():
        if limits.refusing() and holding.order is not None and symbol not in asked:
            lower_what_rests(account, limits, symbol)
    for row in rows:
        symbol, outcome = row["symbol"], account.outcome
        holding = account.holdings[symbol]
        holding.order = None  # a new one replaces the one that rests
        if symbol not in closes:
            outcome.vetoes.add((account.row, symbol, "no_bar"))
            continue
        quantity = row["quantity"] if row["side"] == "buy" else -row["quantity"]
        if not shorts:
            cut = max(quantity, -max(holding.quantity, 0.0))
            if quantity < 0 and cut == 0:
                outcome.vetoes.add((account.row, symbol, "no_shorts"))
            quantity = cut
        refused_by = limits.refusing() | (set() if eligible[symbol] else {"ineligible"})
        kind = row.get("type", "market")
        place(
            account,
            symbol,
            quantity,
            price=closes[symbol],
            refused_by=refused_by,
            kind=kind,
            level=known(row.get({"limit": "limit_price", "stop": "stop_price"}.get(kind))),
            good_for=row.get("bars", 1),
            stop=known(row.get("stop_loss")),
            take=known(row.get("take_profit")),
            sigma=known(sigmas[symbol]),
        )


def lower_what_rests(account, limits, symbol):
    """In a period that is over, an order that rests may only lower what is held."""
    order, held = account.holdings[symbol].order, account.holdings[symbol].quantity
    allowed = 0.0
    if order.quantity * held < 0:
        allowed = -held if abs(order.quantity) > abs(held) else order.quantity
    if allowed != order.quantity:
        key = (account.row, symbol)
        account.outcome.vetoes |= {(*key, rule) for rule in limits.refusing()}
        order.quantity = allowed
        if not allowed:
            account.holdings[symbol].order = None


def close_all(account, limits, sigmas):
    """Everything goes at the next open, and nothing else does."""
    for symbol, holding in account.holdings.items():
        holding.order = None
        if holding.quantity:
            key = (account.row, symbol)
            if not holding.goes_on:  # a stop that is worked off is that order
                holding.order = Order(-holding.quantity, sigma=known(sigmas[symbol]))
                account.outcome.orders[key] = (-holding.quantity, "market", None)
            account.outcome.vetoes |= {(*key, rule) for rule in limits.closing()}
