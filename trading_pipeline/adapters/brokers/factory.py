"""From what a market's entry says to its broker. Clients are imported when opened."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from trading_pipeline.core.market.market import Market

if TYPE_CHECKING:  # they load pandas, which not every command needs
    from trading_pipeline.adapters.sources.retry import Patience
    from trading_pipeline.core.trading.broker import Broker

SIMULATED, ALPACA, BINANCE_TESTNET = "simulated", "alpaca", "binance_testnet"
# The sources whose live bars each trades.
BROKERS = {ALPACA: ("alpaca",), BINANCE_TESTNET: ("binance", "ccxt")}


@dataclass(frozen=True)
class BrokerFactory:
    """Where a market's orders go."""

    broker: str = SIMULATED  # or one of BROKERS
    url: str | None = None  # in place of the venue's own
    per_minute: float = 200.0  # requests that Alpaca allows
    key: SecretStr | None = None
    secret: SecretStr | None = None

    def open(
        self, market: Market, clock: Callable[[], datetime], patience: "Patience | None" = None
    ) -> "Broker | None":
        """The market's broker; None: its fills are simulated.

        Args:
            patience: with a venue that does not answer; if not given, less than a lease lasts,
                for a session asks again by itself, and keeps its lease meanwhile.

        Raises:
            CredentialsError: a key is missing. SettingsError: real money is traded there.
        """
        if self.broker == SIMULATED:
            return None
        from trading_pipeline.adapters.sources.retry import Patience

        patient = patience or Patience(tries=2, first=0.5, limit=15.0, timeout=10.0)
        if self.broker == ALPACA:
            from trading_pipeline.adapters.brokers.alpaca import AlpacaBroker

            return AlpacaBroker(
                self.key,
                self.secret,
                clock=clock,
                timeframe=market.timeframe,
                trading_url=self.url,
                per_minute=self.per_minute,
                patience=patient,
            )
        from trading_pipeline.adapters.brokers.ccxt_broker import CcxtBroker

        return CcxtBroker(
            self.key, self.secret, market.symbols, clock=clock, url=self.url, patience=patient
        )
