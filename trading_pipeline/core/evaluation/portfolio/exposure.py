"""What became of the volatility target: what was realised, and which rule bound how often."""

from collections.abc import Mapping

import numpy as np

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.trading.engine import reasons, risk
from trading_pipeline.core.trading.engine.reasons import REASONS

_RULES = (
    *(reasons.VOLATILITY_TARGET, reasons.GROSS_CAP, reasons.NET_CAP, reasons.LEVERAGE_CAP),
    *(reasons.SYMBOL_CAP, risk.DRAWDOWN_CONTROL, risk.DRAWDOWN_HALF, risk.DRAWDOWN_FLAT),
)
NONE = "none"


def bound_of(result: BacktestResult) -> dict[str, float]:
    """Share of the decisions at which each rule bound, in [0, 1], and at which NONE did.

    The volatility target or a cap binds where the account would be larger without it, a symbol cap
    where it cut any symbol. Several may bind at once. The decision of the last close, which nothing
    fills, does not count.
    """
    bits = result.log["bound"][:-1]
    known = {REASONS[bit].name: bits & bit != 0 for bit in _RULES}
    nothing = ~np.any(list(known.values()), axis=0)
    return {name: float(each.mean()) for name, each in {**known, NONE: nothing}.items()}


def exposure(
    target: float, realised: Estimate, bound: Mapping[str, float] | None
) -> dict[str, object]:
    """Keys target and realised, both volatilities a year, and bound, as of `bound_of` or None.

    Args:
        target: of the profile; infinite, which is None in what is returned: there is none.
    """
    return {
        "target": target if np.isfinite(target) else None,
        "realised": realised.to_dict(),
        "bound": None if bound is None else dict(bound),
    }
