"""The settings that a command works by, and the markets that it is meant for."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.errors import BrokerError, SettingsError, TradingPipelineError

if TYPE_CHECKING:
    from trading_pipeline.core.trading.broker import OrderState


def settings_of(
    market: str | None = None,
    preset: str | None = None,
    model: str | None = None,
    executor: str | None = None,
    **budget: float | None,
) -> Any:
    """All settings; of the market, if one is named, with what is asked for in place of its own.

    Args:
        budget: epochs, batch_size, learning_rate.
    """
    from trading_pipeline.settings import Settings

    settings = Settings.read()
    if executor is not None:
        settings = settings.model_copy(update={"executor": executor})
    if market is not None:
        settings.market(market)
    given = {"preset": preset, "model": model, **budget}
    asked = {name: value for name, value in given.items() if value is not None}
    if model in LEARNED_BASELINES and (needless := [name for name in budget if name in asked]):
        raise SettingsError(
            f"{model} has no {needless[0].replace('_', ' ')}: that is the network's"
        )
    if market is None or not asked:
        return settings
    entry = settings.markets[market].model_copy(update=asked)
    return settings.model_copy(update={"markets": {**settings.markets, market: entry}})


def markets_of(
    settings: Any, market: str, source: str | None, timeframe: str | None = None
) -> list[str]:
    """The markets meant: one by its name, or all of a source; of a timeframe, if one is given."""
    names = [market]
    if source is not None:
        entries = settings.markets.items()
        names = [name for name, each in entries if source in (each.source, "all")]
        if not names:
            raise SettingsError(_no_market(settings, source, timeframe))
    known = {name: settings.market(name) for name in names}
    found = [name for name, each in known.items() if timeframe in (None, each.timeframe)]
    if not found:
        have = ", ".join(f"{name} of {each.timeframe}" for name, each in known.items())
        raise SettingsError(
            f"no bars of {timeframe} are asked for in pipeline.toml: it has {have}. A market has "
            f"one timeframe; for another one add\n{_entry(source or 'binance', timeframe)}"
        )
    return found


def _no_market(settings: Any, source: str, timeframe: str | None) -> str:
    known = ", ".join(sorted({each.source for each in settings.markets.values()})) or "none"
    complaint = f"no market of source {source!r} in pipeline.toml; it has {known}"
    if source not in _EXAMPLES:
        return complaint
    return f"{complaint}. Add\n{_entry(source, timeframe)}"


_EXAMPLES = {  # by source: the symbols of a first entry, and what else it needs
    "sample": ('"AAPL", "IBM"', ""),
    "parquet": ('"SPY"', '\npath = "panel.parquet"'),
    "alpaca": ('"AAPL", "MSFT"', ""),
    "binance": ('"BTC/USDT", "ETH/USDT"', ""),
    "ccxt": ('"BTC/USD", "ETH/USD"', '\nexchange = "kraken"'),
}


def _entry(source: str, timeframe: str | None) -> str:
    """The lines of pipeline.toml that would make such a market."""
    source = source if source in _EXAMPLES else "binance"
    symbols, more = _EXAMPLES[source]
    name = f"{source}_{timeframe}" if timeframe else source
    return (
        f'[markets.{name}]\nsource = "{source}"{more}\nsymbols = [{symbols}]\n'
        f'timeframe = "{timeframe or "1d"}"\nstart = 2019-01-01'
    )


def cancel_at_broker(settings: Any, market: str) -> "list[OrderState]":
    """Cancel all open orders of a market that was halted at its broker, if it has one.

    Raises:
        BrokerError: they are not, or nobody knows; the market is halted all the same.
    """
    from trading_pipeline.definitions import brokers_of
    from trading_pipeline.steps.order_routing import cancel_all

    known, account = settings.market(market), brokers_of(settings)[market]
    try:
        broker = account.open(known, lambda: datetime.now(UTC))
        return cancel_all(broker) if broker else []
    except TradingPipelineError as error:
        raise BrokerError(
            f"{market} is halted, but its open orders were not all cancelled: {error}. Halt it "
            "again to try once more, or cancel them at the broker"
        ) from error
