"""Do the books of the report add up?"""

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.steps.home import Home

TOLERANCE = 1e-6  # fraction of capital; CSV keeps every digit, sums do not


def accounts_balance(market: Market) -> dg.AssetChecksDefinition:
    """Capital + cash flows - what the fills cost = what is held, from the report's own files."""

    @dg.asset_check(asset=[market.name, "backtest_report"], name="accounts_balance", blocking=True)
    def balance(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Reads the written tables, so that a damaged report fails too."""
        from trading_pipeline.adapters.reports.audit import audit

        findings = audit(home.report(market), TOLERANCE)
        return dg.AssetCheckResult(passed=not findings, description="; ".join(findings[:5]) or None)

    return balance
