"""What scores are traded by, close by close: the rows of `inputs_of`, bit for bit.

Letters: T rows of the panel, N symbols, K rows of returns.
"""

import numpy as np

from trading_pipeline.core.backtest.basis import forecast_of, in_units_of, scored_inputs
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import Tail, hold_over_gaps
from trading_pipeline.core.market.walk import MarketRow
from trading_pipeline.core.trading.benchmark import drifted, shares_of
from trading_pipeline.core.trading.engine.compiled import own
from trading_pipeline.core.trading.engine.dtypes import periods_of
from trading_pipeline.core.trading.engine.evidence import ShadowBar
from trading_pipeline.core.trading.engine.sizing import YEAR_WINDOW
from trading_pipeline.core.trading.groups import clusters, groups_of
from trading_pipeline.core.trading.inputs import prepare
from trading_pipeline.core.trading.kelly import RunningEvidence
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Signals
from trading_pipeline.errors import TradingError


class SignalWalk:
    """The signals at the close of one row after another."""

    def __init__(
        self,
        panel: Panel,
        market: Market,
        eligible: np.ndarray,
        score: np.ndarray,
        half_life: np.ndarray,
        volatility: np.ndarray,
    ) -> None:
        """At the close of the panel's last row, of which there must be one.

        Args:
            eligible, score, half_life, volatility: as of `inputs_of`, of the panel's rows.
        """
        self.market, self.shares = market, shares_of(panel.symbols, market)
        prepared, groups = prepare(panel), groups_of(panel, market)
        inputs = scored_inputs(
            panel, prepared, score, half_life, volatility, eligible, groups, market
        )
        self._evidence = RunningEvidence(panel, prepared, inputs, Terms.of(market, capital=1.0))
        self._groups, (_, _, self._month) = groups[-1], periods_of(panel.timestamps)[-1]
        begun = int(np.flatnonzero(periods_of(panel.timestamps)[:, 2] == self._month)[0])
        closes = hold_over_gaps(panel.adjusted_close)
        self._close, self._begun = closes[-1], closes[begun]
        self._members = eligible[begun] & (closes[begun] > 0)
        self._traded = Tail(YEAR_WINDOW, panel.traded)
        self._returns = Tail(YEAR_WINDOW, prepared.recent.T)
        self._market = Tail(YEAR_WINDOW, prepared.market)

    def step(
        self,
        panel: Panel,
        seen: MarketRow,
        score: np.ndarray,
        half_life: float,
        volatility: np.ndarray,
    ) -> Signals:
        """At the close of the next row, of which the predictions are given; (N,) arrays.

        Raises:
            TradingError: a score is infinite.
        """
        day, _, month = (int(each) for each in periods_of(panel.timestamps[[seen.row]])[0])
        recent, market = self._remember(seen)
        if month != self._month:
            self._month, self._begun = month, seen.held
            self._members = seen.eligible & (seen.held > 0)
            if not self.market.sectors:
                self._groups = clusters(self._traded.rows[-len(recent) :], recent, market)
        forecast = forecast_of(volatility, seen.sigma)
        scores = in_units_of(forecast[None], score[None], seen.sigma[None])[0]
        if np.isinf(scores).any():
            name = panel.symbols[int(np.flatnonzero(np.isinf(scores))[0])]
            raise TradingError(
                f"score of {name} at {panel.timestamps[seen.row]} is infinite; use NaN for 'none'"
            )
        weights = drifted(seen.held[None], self.shares, self._members, self._begun)[0]
        known = ShadowBar(
            open=own(panel.open[seen.row]),
            close=own(panel.close[seen.row]),
            eligible=own(seen.eligible, bool),
            score=own(scores),
            weight=own(weights),
            volatility=own(seen.sigma),
            forecast=own(forecast),
            beta=own(seen.beta),
            recent=own(recent.T),
            span=(0, len(recent)),
            groups=own(self._groups, np.int64),
            half_life=float(half_life),
        )
        return Signals(
            eligible=seen.eligible,
            volatility=seen.sigma,
            forecast=forecast,
            recent=recent,
            beta=seen.beta,
            market=market,
            groups=self._groups,
            kelly=self._evidence.step(day, known),
            half_life=float(half_life),
            score=scores,
            weights=weights,
        )

    def _remember(self, seen: MarketRow) -> tuple[np.ndarray, np.ndarray]:
        """The row's returns become the newest; those that a decision looks at, and the market's."""
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = seen.held / self._close - 1
        moved[seen.discontinuities] = 0.0
        returns = np.nan_to_num(moved)
        self._close = seen.held
        self._traded.append(seen.traded)
        self._returns.append(returns)
        self._market.append(returns[None].sum(axis=1)[0] / max(int(seen.traded.sum()), 1))
        last = min(YEAR_WINDOW, seen.row)  # there is no return of the first row
        return self._returns.rows[-last:], self._market.rows[-last:]
