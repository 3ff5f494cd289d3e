"""A line on what a baseline does, a rule is for and a measure is, where a page names them."""

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
_TILT = "Tilt: how far the scores ask to move from the benchmark."
_RULES = {
    "volatility_target": "Scales the account to a volatility a year.",
    "kelly": f"Trades as much of the tilt as the evidence of past predictions allows. {_TILT}",
    "drawdown_control": "Holds less, the deeper the account has fallen below a peak that fades.",
    "halving": "Halves, then closes positions beyond two drawdowns.",
    "loss_limits": "No new exposure after a loss of a day, week or month.",
    "turbulence": "No new exposure while the market moves far more than usual.",
    "stop_loss": "Closes a position that fell too far below its entry.",
    "take_profit": "Closes a position that rose far above its entry.",
    "trailing_stop": "Closes a position that fell too far below its best price.",
    "symbol_cap": "The most that one symbol may weigh.",
    "group_cap": f"The most of the tilt that one sector or cluster may have. {_TILT}",
    "no_trade_region": "No trade whose gain is not worth its cost.",
}
_MEASURES = {
    "log score": "Minus the log of the probability that was given to what came: less is better.",
    "ranked probability score": "Squared distance of the probabilities of ordered classes from "
    "what came, so that a near miss costs less than a far one: less is better.",
    "QLIKE": "Loss of a forecast of volatility, 0 where it came true; too low a forecast costs "
    "more than one too high: less is better.",
}


def measure_said(measure: str) -> str:
    """What a measure of a head is; empty for one that the page explains as a metric."""
    return _MEASURES.get(measure, "")


def baseline_said(name: str) -> str:
    """What a baseline does; empty for one that nobody knows here."""
    return _MANAGED if name.endswith("_managed") else _BASELINES.get(name, "")


def rule_said(rule: str) -> str:
    """What a rule is for; empty for one that nobody knows here."""
    return _RULES.get(rule, "")
