"""Since when the symbols of a market are listed at a venue, and which of them it trades now.

A listing does not change, so it is remembered. But a venue may tell one too late, which would hide
the bars before it: one after the market's start is asked for until `NIGHTS` days told the same.
"""

from datetime import datetime

import pandas as pd

from trading_pipeline.adapters.sources.source import LiveSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.venue_calls import VenueCalls
from trading_pipeline.core.market.fetch_plan import NIGHTS
from trading_pipeline.errors import BarsError, SourceError, UnknownSymbol

LISTED_FOR = pd.Timedelta(days=30)  # that a listing is believed before it is asked again


class Listings:
    """The listings of symbols; one that cannot be told, or is unknown, fails alone.

    first: the first stamp of each symbol that has not failed; told: those that were asked for now.
    ended: symbols that the venue does not trade now. errors: what was wrong, by symbol.
    """

    def __init__(self, source: LiveSource, store: BarStore, calls: VenueCalls) -> None:
        self.first: dict[str, pd.Timestamp] = {}
        self.told: dict[str, pd.Timestamp] = {}
        self.ended: set[str] = set()
        self.errors: dict[str, SourceError | BarsError] = {}
        self._source, self._store, self._calls = source, store, calls
        self._where = " ".join(source.identity().values())

    def ask(
        self, symbols: tuple[str, ...], start: pd.Timestamp, now: datetime, refetch: bool
    ) -> None:
        """Ask for what is not remembered and believed.

        Args:
            start: of the history that is wanted. now: at the venue. refetch: remember nothing.

        Raises:
            CredentialsError: the keys are missing or refused.
            SourceError: the venue could not say what it trades.
        """
        known = self._store.listed()
        fresh = known["asked_at"].between(now - LISTED_FOR, now) & (not refetch)
        fresh &= (known["listed"] <= start) | (known["nights"] >= NIGHTS)
        earlier, names = known.set_index("symbol")["listed"], self._known_to_venue(symbols)
        believed = set(known.loc[fresh, "symbol"])
        asked, size = [name for name in names if name not in believed], self._source.at_once
        parts = [asked[n : n + size] for n in range(0, len(asked), size)]
        failed = self._answered(parts)
        if size > 1 and not self._calls.is_down:
            self._answered([[name] for name in failed])
        self.first = {name: earlier[name] for name in names if name in believed}
        self.first |= {name: min(at, earlier.get(name, at)) for name, at in self.told.items()}

    def _known_to_venue(self, symbols: tuple[str, ...]) -> list[str]:
        """Those that the venue knows; what it does not know is an error of that symbol alone."""
        try:
            traded = self._source.traded(symbols)
        except UnknownSymbol:
            traded = set()
            for symbol in symbols:
                try:
                    traded |= self._source.traded([symbol])
                except UnknownSymbol as error:
                    self.errors[symbol] = error
        known = [symbol for symbol in symbols if symbol not in self.errors]
        self.ended = set(known) - traded
        return known

    def _answered(self, parts: list[list[str]]) -> list[str]:
        """Keep answers, or what was wrong with them; returns the symbols that have failed."""
        failed: list[str] = []
        for names, answer in self._calls.each(self._source.listings, parts):
            if not isinstance(answer, pd.DataFrame):
                self.errors |= dict.fromkeys(names, answer)
                failed += names
                continue
            for row in answer.itertuples():
                self.errors.pop(row.symbol, None)
                if pd.isna(row.listed):
                    self.errors[row.symbol] = self._without_bars(row.symbol, row.status)
                else:
                    self.told[row.symbol] = row.listed
        return failed

    def _without_bars(self, symbol: str, status: str) -> SourceError:
        if symbol in set(self._store.watermarks()["symbol"]):
            remedy = ", though some are stored; run it again"
        else:
            remedy = " so far; leave it in the market, and they come by themselves, or take it out"
        return SourceError(
            f"{self._where} lists {symbol} ({status}), and has no bars of it{remedy}"
        )
