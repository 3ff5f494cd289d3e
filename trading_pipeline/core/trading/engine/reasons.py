"""Why an order has the size it has: bits that the kernels set, and their names.

A bit says that a rule changed something for this symbol at this bar, not merely that it exists.
"""

# What shaped the target.
LONG_ONLY = 1 << 0  # a negative signal in a book that may not be short
VOLATILITY_TARGET = 1 << 1  # scaled to the profile's volatility
SYMBOL_CAP = 1 << 2
GROUP_CAP = 1 << 3  # of a sector, or of symbols that move together
GROSS_CAP = 1 << 4
KELLY_CAP = 1 << 5
LEVERAGE_CAP = 1 << 6
NET_CAP = 1 << 7
DRAWDOWN_HALF = 1 << 8
NO_TRADE_BAND = 1 << 9  # too close to the target to be worth the cost
LOT = 1 << 10  # rounded towards zero
# What refused an order, or part of it.
MIN_NOTIONAL = 1 << 11
INELIGIBLE = 1 << 12
NO_BAR = 1 << 13
NO_SCORE = 1 << 14
NO_SHORTS = 1 << 15  # a sale of more than is held, in a book that may not be short
COOLING_OFF = 1 << 16  # blocked after a stop
DAILY_LOSS = 1 << 17
WEEKLY_LOSS = 1 << 18
MONTHLY_LOSS = 1 << 19
TURBULENCE = 1 << 20  # the volatility circuit breaker
DRAWDOWN_FLAT = 1 << 21
KILL_SWITCH = 1 << 22
BANKRUPT = 1 << 23
# What happened at the fill.
BUYING_POWER = 1 << 24  # cut to what cash and leverage allow
PARTICIPATION = 1 << 25  # cut to a share of the bar's volume
LAPSED = 1 << 26  # no bar, no volume, or its price was not reached in time
STOP_LOSS = 1 << 27
TRAILING_STOP = 1 << 28
TAKE_PROFIT = 1 << 29
DELISTED = 1 << 30  # settled, for its bars ended
CASH_IN_LIEU = 1 << 31  # of the fraction of a share that a split left

NAMES: dict[int, str] = {
    LONG_ONLY: "long_only",
    VOLATILITY_TARGET: "volatility_target",
    SYMBOL_CAP: "symbol_cap",
    GROUP_CAP: "group_cap",
    GROSS_CAP: "gross_cap",
    KELLY_CAP: "kelly_cap",
    LEVERAGE_CAP: "leverage_cap",
    NET_CAP: "net_cap",
    DRAWDOWN_HALF: "drawdown_half",
    NO_TRADE_BAND: "no_trade_band",
    LOT: "lot",
    MIN_NOTIONAL: "min_notional",
    INELIGIBLE: "ineligible",
    NO_BAR: "no_bar",
    NO_SCORE: "no_score",
    NO_SHORTS: "no_shorts",
    COOLING_OFF: "cooling_off",
    DAILY_LOSS: "daily_loss",
    WEEKLY_LOSS: "weekly_loss",
    MONTHLY_LOSS: "monthly_loss",
    TURBULENCE: "turbulence",
    DRAWDOWN_FLAT: "drawdown_flat",
    KILL_SWITCH: "kill_switch",
    BANKRUPT: "bankrupt",
    BUYING_POWER: "buying_power",
    PARTICIPATION: "participation",
    LAPSED: "lapsed",
    STOP_LOSS: "stop_loss",
    TRAILING_STOP: "trailing_stop",
    TAKE_PROFIT: "take_profit",
    DELISTED: "delisted",
    CASH_IN_LIEU: "cash_in_lieu",
}
# Rules that refuse: each of these on an order is a veto with a figure and a limit.
VETOES = (
    MIN_NOTIONAL,
    INELIGIBLE,
    NO_BAR,
    NO_SCORE,
    NO_SHORTS,
    COOLING_OFF,
    DAILY_LOSS,
    WEEKLY_LOSS,
    MONTHLY_LOSS,
    TURBULENCE,
    DRAWDOWN_FLAT,
    KILL_SWITCH,
    BANKRUPT,
)

VETO_BITS = sum(VETOES)

_EXITS = (STOP_LOSS, TRAILING_STOP, TAKE_PROFIT, DELISTED, CASH_IN_LIEU)


def kind_of(bits: int) -> str:
    """What filled: 'order', or the barrier that it was, or 'delisted' or 'cash_in_lieu'."""
    return next((NAMES[exit_] for exit_ in _EXITS if int(bits) & exit_), "order")


def names_of(bits: int) -> str:
    """The names of the bits set, joined by '|', lowest bit first; empty for 0."""
    return "|".join(name for bit, name in NAMES.items() if int(bits) & bit)
