"""A slow, obvious simulation of unmanaged books: what the kernels must agree with.

One symbol after the other, in plain Python, dictionaries instead of records.
"""

from math import isnan


def reference_equity(panel, weights, costs, bars_per_year, capital):
    """Equity at each close of a book that asks for `weights` (NaN: hold) and may go short."""
    cash, held, last, orders, path = capital, {}, {}, {}, []
    symbols = range(len(panel.symbols))
    for t in range(len(panel.timestamps)):
        interest = min(cash, 0) * costs.debit / bars_per_year
        borrow = sum(q * last[n] for n, q in held.items() if q < 0) * costs.borrow / bars_per_year
        cash += interest + borrow
        for n in symbols:
            ratio = panel.split[t, n]
            held[n] = held.get(n, 0) * ratio
            orders[n] = orders.get(n, 0) * ratio
            last[n] = last.get(n, 0) / ratio
            cash += held[n] * panel.dividend[t, n]
        opens = {n: panel.open[t, n] for n in symbols if not isnan(panel.open[t, n])}
        lower, higher = split_orders(held, {n: orders[n] for n in opens})
        for n, quantity in lower.items():
            cash -= trade(held, n, quantity, opens[n], costs)
        share = affordable(cash, held, {**last, **opens}, higher, costs)
        for n, quantity in higher.items():
            part = quantity * share
            if share == 1 or abs(part) * opens[n] >= costs.min_notional:
                cash -= trade(held, n, part, opens[n], costs)
        last |= {n: panel.close[t, n] for n in opens}
        equity = cash + sum(q * last[n] for n, q in held.items())
        path.append(equity)
        orders = {}
        for n in opens:
            if not isnan(weights[t, n]):
                wanted = weights[t, n] * equity / last[n] - held[n]
                closing = weights[t, n] == 0
                small = abs(wanted) * last[n] < costs.min_notional
                orders[n] = 0 if small and not closing else wanted
    return path


def split_orders(held, orders):
    """The parts of orders that lower and that raise exposure."""
    lower = {n: max(min(q, max(-held[n], 0)), min(-held[n], 0)) for n, q in orders.items()}
    return lower, {n: q - lower[n] for n, q in orders.items()}


def trade(held, n, quantity, price, costs):
    """Change the position, and return the money it took."""
    held[n] += quantity
    paid = price * (1 + costs.slippage * (1 if quantity > 0 else -1))
    return quantity * paid + abs(quantity) * paid * costs.fee


def affordable(cash, held, prices, orders, costs):
    """The share of rising orders that leaves gross <= leverage × equity after costs."""
    equity = cash + sum(q * prices[n] for n, q in held.items())
    room = costs.leverage * equity - sum(abs(q) * prices[n] for n, q in held.items())
    wanted = sum(abs(q) * prices[n] for n, q in orders.items())
    per_unit = 1 + costs.leverage * (costs.slippage + costs.fee * (1 + costs.slippage))
    if wanted == 0 or wanted * per_unit <= room * (1 + 1e-12):
        return 1
    return max(room, 0) / (wanted * per_unit)
