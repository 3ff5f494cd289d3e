"""A line on what each baseline does and what each rule is for, where a page names them."""

from trading_pipeline.core.model.rivals import RIVALS

_BASELINES = {
    "buy_and_hold": "All symbols in equal parts, bought once and kept.",
    "market_benchmark": "The weights that the market's entry names, restored monthly.",
    "cash": "Nothing, ever.",
    "equal_weight": "The same weight in every symbol, restored monthly.",
    "inverse_volatility": "Calm symbols weigh more, restored monthly.",
    "momentum": "The third that rose most over 12 months but the last, monthly.",
    "reversal": "The third that fell most in the last month, monthly.",
    "trend": "An equal share of each symbol while its last 12 months were up, monthly.",
    "equal_weight_at_target_volatility": "Equal weight, scaled to the volatility target.",
    **{name: f"{kind.what} Fitted to the same folds." for name, kind in RIVALS.items()},
}
_MANAGED = "The same under the strategy's volatility target and risk rules."
_RULES = {
    "volatility_target": "Scales the account to a volatility a year.",
    "kelly": "Trades as much of the tilt as the evidence of past predictions allows.",
    "drawdown_control": "Holds less, the deeper the account has fallen.",
    "halving": "Halves, then closes positions beyond two drawdowns.",
    "loss_limits": "No new exposure after a loss of a day, week or month.",
    "turbulence": "No new exposure while the market moves far more than usual.",
    "stop_loss": "Closes a position that fell too far below its entry.",
    "take_profit": "Closes a position that rose far above its entry.",
    "trailing_stop": "Closes a position that fell too far below its best price.",
    "symbol_cap": "The most that one symbol may weigh.",
    "group_cap": "The most of the tilt that one sector or cluster may have.",
    "no_trade_region": "No trade whose gain is not worth its cost.",
}


def baseline_said(name: str) -> str:
    """What a baseline does; empty for one that nobody knows here."""
    return _MANAGED if name.endswith("_managed") else _BASELINES.get(name, "")


def rule_said(rule: str) -> str:
    """What a rule is for; empty for one that nobody knows here."""
    return _RULES.get(rule, "")
