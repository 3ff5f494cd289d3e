"""The strategy's account once more, with everything that was decided, for whoever asks why.

Letters: T rows of the panel, N symbols, K bars of the backtest; bar k of it is row start + k.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis, half_lives, score_grid, volatilities
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.engine.dtypes import Array, Decision
from trading_pipeline.core.trading.engine.reasons import Facts
from trading_pipeline.core.trading.profiles import Profile, profile_of
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import TradingError


@dataclass(frozen=True, kw_only=True, eq=False)
class Rerun:
    """A backtest's strategy, run again."""

    panel: Panel
    market: Market
    capital: float
    predictions: pd.DataFrame
    basis: Basis
    result: BacktestResult  # with the decision on every symbol at every bar

    @classmethod
    def of(
        cls,
        panel: Panel,
        predictions: pd.DataFrame,
        eligible: np.ndarray,
        market: Market,
        capital: float,
    ) -> Self:
        """Arguments as those of `run_backtest`, whose strategy has the same orders and fills."""
        score, lasting = score_grid(panel, predictions), half_lives(panel, predictions)
        forecast = volatilities(panel, predictions)
        basis = Basis.of(panel, score, eligible, market, lasting, forecast)
        result = basis.trade(Terms.of(market, capital), everything=True)
        return cls(
            panel=panel,
            market=market,
            capital=capital,
            predictions=predictions,
            basis=basis,
            result=result,
        )

    @property
    def profile(self) -> Profile:
        return profile_of(self.market)

    def row(self, k: int) -> int:
        """The panel's row of bar k."""
        return self.basis.start + k

    def decided(self, k: int) -> Array[Decision]:
        """(N,) at the close of bar k."""
        N = len(self.panel.symbols)
        return self.result.decisions[k * N : (k + 1) * N]

    def facts(self, k: int, n: int) -> Facts:
        """What the reasons for the decision on symbol n at bar k are told from."""
        return Facts(self.result.rules[0], self.result.log[k], self.decided(k)[n])

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Its closed round trips."""
        return self.result.trades()

    def column(self, symbol: str) -> int:
        """The symbol's place.

        Raises:
            TradingError: there is no such symbol; names those that are alike, and all.
        """
        symbols = self.panel.symbols
        if symbol in symbols:
            return symbols.index(symbol)
        spelt = {name.upper(): name for name in symbols}
        near = [spelt[name] for name in get_close_matches(symbol.upper(), spelt, n=3)]
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        shown = ", ".join(symbols[:30]) + (" ..." if len(symbols) > 30 else "")
        raise TradingError(
            f"{self.market.name} has no symbol {symbol!r}; {meant}it has {len(symbols)}: {shown}"
        )

    def bar(self, at: pd.Timestamp, day: bool) -> int:
        """The bar k that opened at an instant, or the last bar of a day.

        Args:
            at: tz-aware UTC. day: whether any bar of that day is meant.

        Raises:
            TradingError: there is no such bar, or it was not decided on; names the nearest.
        """
        stamps, first, last = self.panel.timestamps, self.row(0), self.row(len(self.result.log) - 2)
        following = int(stamps.searchsorted(at + pd.Timedelta(days=1) if day else at, "left"))
        row = following - 1 if day else following
        there = 0 <= row < len(stamps) and (stamps[row] >= at if day else stamps[row] == at)
        if not there:
            before = int(stamps.searchsorted(at, "left")) - 1
            near = [written(stamps[i]) for i in (before, before + 1) if 0 <= i < len(stamps)]
            raise TradingError(
                f"{self.market.name} has no bar at {written(at)}; the nearest "
                f"{'are' if len(near) > 1 else 'is'} {' and '.join(near)}. Decisions reach from "
                f"{written(stamps[first])} to {written(stamps[last])}"
            )
        if row < first:
            raise TradingError(
                f"nothing was decided at {written(stamps[row])}: bars before the first fold only "
                f"train. The first decision is {written(stamps[first])}, the last "
                f"{written(stamps[last])}"
            )
        if row > last:
            raise TradingError(
                f"nothing was decided at {written(stamps[row])}: the backtest ends there, for no "
                f"bar or no prediction follows. The last decision is {written(stamps[last])}"
            )
        return row - first


def written(stamp: pd.Timestamp) -> str:
    """A bar as a person would ask for it: the date, and the time of day if it has one."""
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%dT%H:%M}"
