"""Is the market data fit to learn from and trade on?"""

import dagster as dg
import pandas as pd

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import BarsError

_SHOWN = 5


def bars_obey_market_invariants(market: Market) -> dg.AssetChecksDefinition:
    """high >= open, close >= low > 0; volume >= 0; one row per (timestamp, symbol)."""

    @dg.asset_check(
        asset=[market.name, "raw_bars"], name="bars_obey_market_invariants", blocking=True
    )
    def obey_market_invariants(home: Home) -> dg.AssetCheckResult:
        """Reads what is stored, not what was fetched."""
        bars = home.bars(market).read()
        try:
            check_bars(bars, where=str(home.bars(market).folder))
        except BarsError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        return dg.AssetCheckResult(passed=True, metadata={"rows": len(bars)})

    return obey_market_invariants


def no_session_is_missing(market: Market) -> dg.AssetChecksDefinition:
    """Between a symbol's first and last bar there is one for every session of the calendar."""

    @dg.asset_check(asset=[market.name, "raw_bars"], name="no_session_is_missing", blocking=True)
    def no_missing_session(home: Home) -> dg.AssetCheckResult:
        """Blocks when more than 1 % of a symbol's bars are missing; names the first ones."""
        gaps = missing_bars(home.bars(market).read(), market)
        many = {symbol: stamps for symbol, (stamps, share) in gaps.items() if share > TOLERATED}
        found = {symbol: len(stamps) for symbol, (stamps, _) in gaps.items() if len(stamps)}
        return dg.AssetCheckResult(
            passed=not many,
            description=_complaint(home, market, many) if many else None,
            metadata={"missing": found or "none"},
        )

    return no_missing_session


TOLERATED = 0.01  # share of a symbol's bars: halts and outages happen


def _complaint(home: Home, market: Market, gaps: dict[str, pd.DatetimeIndex]) -> str:
    """Which bars are missing, and what can be done about it."""
    names = "; ".join(
        f"{symbol}: {len(stamps)} bars, first "
        f"{', '.join(f'{stamp:%Y-%m-%d %H:%M}' for stamp in stamps[:_SHOWN])}"
        for symbol, stamps in gaps.items()
    )
    return (
        f"{home.bars(market).folder}: more than {TOLERATED:.0%} of the bars that the calendar "
        f"{market.calendar} expects are missing ({names}). Fill them in the source, leave the "
        "symbol out, or let the history start after the gap."
    )


def missing_bars(bars: pd.DataFrame, market: Market) -> dict[str, tuple[pd.DatetimeIndex, float]]:
    """Stamps that the calendar expects and a symbol lacks, with their share; by symbol."""
    if bars.empty:
        return {}
    calendar = trading_calendar(market.calendar, market.timeframe)
    step = pd.Timedelta(microseconds=1)
    expected = calendar.sessions(bars["timestamp"].min(), bars["timestamp"].max() + step)
    gaps = {}
    for symbol, rows in bars.groupby("symbol"):
        stamps = pd.DatetimeIndex(rows["timestamp"])
        due = expected[(expected >= stamps[0]) & (expected <= stamps[-1])]
        lacking = due.difference(stamps)
        gaps[str(symbol)] = (lacking, len(lacking) / max(1, len(due)))
    return gaps
