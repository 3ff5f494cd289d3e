"""The strategy's account once more, with everything that was decided, for whoever asks why.

Letters: T rows of the panel, N symbols, K bars of the backtest; bar k of it is row start + k.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.on_paper import OnPaper, on_paper
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.market import Market, unknown_symbol
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
    undecided: np.ndarray  # (K,) bool: bars without a decision
    session: str = ""  # on paper; empty: it is a backtest

    @classmethod
    def of(
        cls,
        panel: Panel,
        predictions: pd.DataFrame,
        eligible: np.ndarray,
        market: Market,
        capital: float,
    ) -> Self:
        """Arguments as those of `run_backtest`, whose strategy has the same orders and fills.

        Raises:
            TradingError: no prediction is of a bar of the panel, or of the newest one alone.
        """
        basis = Basis.of_predictions(panel, predictions, eligible, market)
        if basis.stop - basis.start < 2:
            raise TradingError(
                f"nothing is decided yet: the first prediction is of the newest bar, "
                f"{written(panel.timestamps[-1])}, and the next one has to fill its orders"
            )
        result = basis.trade(Terms.of(market, capital), everything=True)
        return cls(
            panel=panel,
            market=market,
            capital=capital,
            predictions=predictions,
            basis=basis,
            result=result,
            undecided=np.arange(len(result.log)) == len(result.log) - 1,
        )

    @classmethod
    def of_paper(cls, paper: OnPaper, predictions: pd.DataFrame, market: Market) -> Self:
        """The account of a paper session, with its own fills; the newest bar is decided on, too.

        Args:
            predictions: those that it recorded.

        Raises:
            TradingError: it has decided nothing yet.
        """
        basis, terms = paper.recorded.basis(market), Terms.of(market, paper.capital)
        if paper.recorded.missed.all():
            raise TradingError(f"the session {paper.session} has decided nothing yet")
        result, _ = on_paper(paper, basis, terms, newest=True, everything=True)
        return cls(
            panel=paper.recorded.panel,
            market=market,
            capital=paper.capital,
            predictions=predictions,
            basis=basis,
            result=result,
            session=paper.session,
            undecided=paper.recorded.missed,
        )

    @property
    def profile(self) -> Profile:
        """The risk limits that it traded by."""
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
        raise unknown_symbol(self.market.name, symbol, symbols)

    def bar(self, at: pd.Timestamp, day: bool) -> int:
        """The bar k that opened at an instant, or the last bar of a day.

        Args:
            at: tz-aware UTC. day: whether any bar of that day is meant.

        Raises:
            TradingError: there is no such bar, or it was not decided on; names the nearest.
        """
        decided = self.row(0) + np.flatnonzero(~self.undecided)
        stamps, first, last = self.panel.timestamps, int(decided[0]), int(decided[-1])
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
                f"nothing was decided at {written(stamps[row])}: {self._before}. The first "
                f"decision is {written(stamps[first])}, the last {written(stamps[last])}"
            )
        if row > last:
            raise TradingError(
                f"nothing was decided at {written(stamps[row])}: {self._after}. The last decision "
                f"is {written(stamps[last])}"
            )
        if self.undecided[row - self.row(0)]:
            raise TradingError(
                f"nothing was decided at {written(stamps[row])}: the session missed that bar, and "
                "caught up with it when a newer one had closed"
            )
        return row - self.row(0)

    @property
    def _before(self) -> str:
        if self.session:
            return f"the session {self.session} had not begun"
        return "bars before the first fold only train"

    @property
    def _after(self) -> str:
        if self.session:
            return f"the session {self.session} has not come so far"
        return "the backtest ends there, for no bar or no prediction follows"


def written(stamp: pd.Timestamp) -> str:
    """A bar as a person would ask for it: the date, and the time of day if it has one."""
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%dT%H:%M}"
