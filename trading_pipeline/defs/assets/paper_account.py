"""The account that a paper session trades, as Dagster's catalog shows it."""

from datetime import timedelta
from typing import Any

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.assets.metadata import of_account
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.steps.home import Home

# Of the wall's clock between two reports at least: a session reports after a bar, and a minute's is
# no news. Less than an hour, for of two bars an hour apart the second may come a moment early.
EVERY = timedelta(minutes=55)


def paper_account(market: Market) -> dg.AssetSpec:
    """The account that the paper job trades; its state is the ledger's."""
    return dg.AssetSpec(
        [market.name, "paper_account"],
        deps=[
            [market.name, asset] for asset in ("model_checkpoint", "production_model", "raw_bars")
        ],
        group_name=market.name,
        kinds={"sqlite"},
        description="A paper account, journalled event by event: bars of a venue are traded with "
        "the production model, a replay of stored bars with the model of each fold. A session "
        "reports to it after a bar, at most once an hour, and at its end.",
    )


class AccountReports:
    """Materializations of the account while a session trades it."""

    def __init__(
        self, context: dg.OpExecutionContext, home: Home, market: Market, session: str
    ) -> None:
        self.context, self.home, self.market, self.session = context, home, market, session
        self._last = self.home.clock.elapsed()

    def after_bar(self, account: dict[str, Any]) -> None:
        """Report where the last report is old enough."""
        if self.home.clock.elapsed() - self._last >= EVERY.total_seconds():
            self.now(account)

    def now(self, account: dict[str, Any]) -> None:
        """Report how the account stands.

        Args:
            account: what the session did since it was started, in a few numbers.
        """
        self._last = self.home.clock.elapsed()
        key = dg.AssetKey([self.market.name, "paper_account"])
        told = {**account, **self._known()}
        self.context.log_event(dg.AssetMaterialization(key, metadata=told))

    def _known(self) -> dict[str, Any]:
        from trading_pipeline.steps.dashboard import Dashboard

        report = self.home.report(self.market)
        try:
            with self.home.ledger() as ledger:
                shown = Dashboard(ledger, self.market, self.session, report)
                return of_account(shown.state(self.home.clock.now()))
        except TradingPipelineError as error:  # a session that never began, or its disk is full
            return {"not_known": str(error)}
