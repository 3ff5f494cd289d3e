"""Why an order has the size it has: bits that the kernels set, and their names.

A bit says that a rule changed something for this symbol at this bar, not merely that it exists.
"""

# What shaped the target.
LONG_ONLY = 1 << 0  # a negative signal in a book that may not be short
VOLATILITY_TARGET = 1 << 1  # scaled to the profile's volatility
SYMBOL_CAP = 1 << 2
GROSS_CAP = 1 << 3
KELLY_CAP = 1 << 4
LEVERAGE_CAP = 1 << 5
NET_CAP = 1 << 6
DRAWDOWN_HALF = 1 << 7
NO_TRADE_BAND = 1 << 8  # too close to the target to be worth the cost
LOT = 1 << 9  # rounded towards zero
# What refused an order, or part of it.
MIN_NOTIONAL = 1 << 10
INELIGIBLE = 1 << 11
NO_BAR = 1 << 12
NO_SCORE = 1 << 13
COOLING_OFF = 1 << 14  # blocked after a stop
DAILY_LOSS = 1 << 15
WEEKLY_LOSS = 1 << 16
MONTHLY_LOSS = 1 << 17
DRAWDOWN_FLAT = 1 << 18
KILL_SWITCH = 1 << 19
BANKRUPT = 1 << 20
# What happened at the fill.
BUYING_POWER = 1 << 21  # cut to what cash and leverage allow at the open
LAPSED = 1 << 22  # no bar to fill it on
STOP_LOSS = 1 << 23
TAKE_PROFIT = 1 << 24

NAMES: dict[int, str] = {
    LONG_ONLY: "long_only",
    VOLATILITY_TARGET: "volatility_target",
    SYMBOL_CAP: "symbol_cap",
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
    COOLING_OFF: "cooling_off",
    DAILY_LOSS: "daily_loss",
    WEEKLY_LOSS: "weekly_loss",
    MONTHLY_LOSS: "monthly_loss",
    DRAWDOWN_FLAT: "drawdown_flat",
    KILL_SWITCH: "kill_switch",
    BANKRUPT: "bankrupt",
    BUYING_POWER: "buying_power",
    LAPSED: "lapsed",
    STOP_LOSS: "stop_loss",
    TAKE_PROFIT: "take_profit",
}
# Rules that refuse: each of these on an order is a veto with a figure and a limit.
VETOES = (
    MIN_NOTIONAL,
    INELIGIBLE,
    NO_BAR,
    NO_SCORE,
    COOLING_OFF,
    DAILY_LOSS,
    WEEKLY_LOSS,
    MONTHLY_LOSS,
    DRAWDOWN_FLAT,
    KILL_SWITCH,
    BANKRUPT,
)


def names_of(bits: int) -> str:
    """The names of the bits set, joined by '|', lowest bit first; empty for 0."""
    return "|".join(name for bit, name in NAMES.items() if int(bits) & bit)
