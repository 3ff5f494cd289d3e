"""Why a paper session earned something else than the backtest: five parts of the difference.

A chain of runs leads from the backtest to the session. All begin with the session's capital at its
first bar, and each has one ingredient more as it was on paper:

    backtest   bars and predictions as they are stored now, decided on at every close
    data       the bars as they were seen: what was revised since is as it was
    signal     the predictions as they were made: by another model, or of other features
    timing     the bars that were seen and decided on, under the operator's word; orders that filled
               in a later bar fill there
    fill       quantities and prices as they were executed: in part, not at all, by hand
    cost       fees, dividends, borrow, funding and interest as they were paid

A part is the P&L of its run less that of the run before, so the parts add up. What two ingredients
did together is in the later one: another order of the chain gives other parts. This one is the
order of cause. Predictions are made of bars, orders of predictions, fills of orders, fees of fills;
a run with a later ingredient and without an earlier one would be of orders that nobody could have
made. So each part is what its ingredient changed in the world as it was up to there.

A run whose account differs decides on other quantities. So `fill` takes over how the session's
fills were beside the engine's, not what they were: see `on_paper`. With all ingredients the run has
the session's own orders and fills, and its account; what is left to the marks is `unexplained`.

Letters: T rows, N symbols, K bars of the session, D days.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import grids_of
from trading_pipeline.core.backtest.on_paper import OnPaper, executed, on_paper, timed
from trading_pipeline.core.backtest.recorded import Recorded, bar_by_bar, replayed
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.bars import PRICES
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import EvaluationError

PARTS = ("data", "signal", "timing", "fill", "cost")
Eligible = Callable[[Panel], np.ndarray]  # who may be bought at each close, (T, N) bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Divergence:
    """The difference by day, in quote currency."""

    market: str
    session: str
    capital: float
    until: pd.Timestamp  # its last bar
    # (D,) rows by `day`, UTC: equity (the session's at its end), paper and backtest (P&L),
    # each of PARTS, unexplained.
    days: pd.DataFrame

    @property
    def difference(self) -> pd.Series:
        """(D,) P&L on paper less that of the backtest."""
        return self.days["paper"] - self.days["backtest"]

    @property
    def share(self) -> pd.Series:
        """(D,) the same as a fraction of the session's equity before the day."""
        before = self.days["equity"] - self.days["paper"]
        return self.difference / before.where(before > 0)

    @property
    def total(self) -> float:
        """Of all days, as a fraction of the backtest's equity."""
        ended = self.capital + float(self.days["backtest"].sum())
        return float(self.difference.sum()) / ended if ended > 0 else np.nan

    @property
    def parts(self) -> pd.Series:
        """Each part of all days, in the order of the chain; `unexplained` is the last."""
        return self.days[[*PARTS, "unexplained"]].sum()


def divergence(
    paper: OnPaper, stored: Panel, predictions: pd.DataFrame, market: Market, eligible_of: Eligible
) -> Divergence:
    """Split the difference between a session and the backtest of the same days.

    It ends with the last bar of the session of which the stored bars are there, and the stored
    predictions of the bar before.

    Args:
        stored: the bars as they are stored now. predictions: of the walk-forward, stored now.
        eligible_of: as session and backtest ask.

    Raises:
        EvaluationError: bars or predictions of the session's days are not stored yet.
    """
    paper = _comparable(paper, stored, predictions)
    seen, terms = paper.recorded, Terms.of(market, paper.capital)
    ends = int(stored.timestamps.searchsorted(seen.panel.timestamps[-1], "right"))
    now = _as_stored(stored.until(ends), predictions, seen, eligible_of)
    bars = _with_bars(now, seen, eligible_of)
    basis = seen.basis(market)
    account, apart = on_paper(paper, basis, terms)
    told = seen, basis, terms, paper.session
    in_time = bar_by_bar(*told, timed(apart, market.costs)) if apart.late else replayed(*told)
    runs = [
        *(
            replayed(each, each.basis(market), terms, paper.session)
            for each in (now, bars, _with_signals(bars, seen))
        ),
        in_time,
        in_time
        if apart.is_filled_as_modelled
        else bar_by_bar(*told, executed(apart, market.costs)),
        account,
    ]
    return Divergence(
        market=market.name,
        session=paper.session,
        capital=paper.capital,
        until=seen.panel.timestamps[-1],
        days=_by_day(runs, paper),
    )


def _comparable(paper: OnPaper, stored: Panel, predictions: pd.DataFrame) -> OnPaper:
    """The session's bars that a backtest can be made of by now."""
    seen = paper.recorded
    stamps = seen.panel.timestamps[seen.first :]
    known = int(stamps.searchsorted(stored.timestamps[-1], "right"))
    told = pd.DatetimeIndex(predictions["timestamp"])
    predicted = int(stamps.searchsorted(told.max(), "right")) if len(told) else 0
    bars = min(len(stamps), known, predicted + 1)
    if bars < 2 or predicted < 1:
        raise EvaluationError(
            f"the session {paper.session} has {len(stamps)} bars from {stamps[0]:%Y-%m-%d %H:%M} "
            f"on; stored are bars of {known} of them, and predictions of {predicted}. Two bars are "
            "the least: the nightly schedule stores them, or `trading-pipeline download` and "
            "`trading-pipeline train`"
        )
    return replace(paper, recorded=_until(seen, bars), equity=paper.equity[:bars])


def _until(seen: Recorded, bars: int) -> Recorded:
    stop = seen.first + bars
    grids = {
        name: getattr(seen, name)[:stop]
        for name in ("score", "volatility", "half_life", "eligible")
    }
    own = {name: getattr(seen, name)[:bars] for name in ("halted", "missed")}
    return Recorded(panel=seen.panel.until(stop), first=seen.first, **grids, **own)


def _as_stored(
    panel: Panel, predictions: pd.DataFrame, seen: Recorded, eligible_of: Eligible
) -> Recorded:
    """What a backtest of the session's days knows."""
    score, half_life, volatility = grids_of(panel, predictions)
    first = int(panel.timestamps.searchsorted(seen.panel.timestamps[seen.first]))
    K = len(panel.timestamps) - first
    return Recorded(
        panel=panel,
        first=first,
        score=score,
        volatility=volatility,
        half_life=half_life,
        eligible=eligible_of(panel),
        halted=np.zeros(K, dtype=bool),
        missed=np.zeros(K, dtype=bool),
    )


def _with_bars(now: Recorded, seen: Recorded, eligible_of: Eligible) -> Recorded:
    """The stored bars, those that were seen as they were seen; the others stay."""
    panel = _as_seen(now.panel, seen.panel)
    at = panel.timestamps.get_indexer(now.panel.timestamps)
    first = int(panel.timestamps.searchsorted(seen.panel.timestamps[seen.first]))
    K, shape = len(panel.timestamps) - first, panel.close.shape
    return Recorded(
        panel=panel,
        first=first,
        score=_placed(shape, (at, now.score)),
        volatility=_placed(shape, (at, now.volatility)),
        half_life=_placed(shape[:1], (at, now.half_life)),
        eligible=eligible_of(panel),
        halted=np.zeros(K, dtype=bool),
        missed=np.zeros(K, dtype=bool),
    )


def _with_signals(bars: Recorded, seen: Recorded) -> Recorded:
    """The predictions as they were made; a bar that was missed may have none."""
    made = np.isfinite(seen.score).any(axis=1)
    made[: seen.first] = True
    made[seen.first :] |= ~seen.missed
    at = bars.panel.timestamps.get_indexer(seen.panel.timestamps[made])
    grids = {name: getattr(bars, name).copy() for name in ("score", "volatility", "half_life")}
    for name, grid in grids.items():
        grid[at] = getattr(seen, name)[made]
    return replace(bars, **grids)


def _as_seen(stored: Panel, seen: Panel) -> Panel:
    """All bars of both, a bar of both as it was seen, in the units of what was seen."""
    stamps = stored.timestamps.union(seen.timestamps)
    theirs, ours = (stamps.get_indexer(each.timestamps) for each in (stored, seen))
    unseen = np.ones(len(stamps), dtype=bool)
    unseen[ours] = False
    shape = len(stamps), len(seen.symbols)

    def both(name: str) -> np.ndarray:
        return _placed(shape, (theirs, getattr(stored, name)), (ours, getattr(seen, name)))

    grids = {name: both(name) for name in (*PRICES, "volume", "split", "dividend", "factor")}
    # What the bar after one that was missed has of actions is that bar's, too, as it was seen.
    after = np.flatnonzero(unseen[:-1] & ~unseen[1:]) + 1
    for row in after[np.isin(after, theirs)]:
        for name in ("split", "dividend"):
            grids[name][row] = getattr(stored, name)[int(np.flatnonzero(theirs == row)[0])]
    grids["factor"][unseen] *= _ratio(stored, seen, stamps)[unseen]
    doubts = np.zeros(shape, dtype=bool)
    doubts[theirs] = np.broadcast_to(stored.in_doubt, stored.close.shape)
    doubts[ours] = np.broadcast_to(seen.in_doubt, seen.close.shape)
    return Panel(
        timestamps=stamps,
        symbols=seen.symbols,
        **grids,
        total_return_units=seen.total_return_units,
        shares=stored.shares if unseen[0] else seen.shares,
        in_doubt=doubts if doubts.any() else False,
    )


def _ratio(stored: Panel, seen: Panel, stamps: pd.DatetimeIndex) -> np.ndarray:
    """(U, N) from the units of the stored bars to those of the seen ones, at the last common bar
    before each stamp, or else the first one after."""
    common = stored.timestamps.intersection(seen.timestamps)
    ours, theirs = (each.timestamps.get_indexer(common) for each in (seen, stored))
    ratio = pd.DataFrame(seen.factor[ours] / stored.factor[theirs], index=common)
    values: np.ndarray = ratio.reindex(stamps).ffill().bfill().fillna(1.0).to_numpy()
    return values


def _placed(shape: tuple[int, ...], *parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A grid of NaN with rows put in, each part over those before it."""
    grid = np.full(shape, np.nan)
    for rows, values in parts:
        grid[rows] = values
    return grid


def _by_day(runs: list[BacktestResult], paper: OnPaper) -> pd.DataFrame:
    """P&L of the marks, of the backtest, and the steps from one run to the next."""
    marked = pd.Series(paper.equity, paper.recorded.panel.timestamps[paper.recorded.first :])
    curves = [*(pd.Series(run.equity, run.timestamps) for run in runs), marked]
    closes = pd.concat(
        [each.groupby(each.index.normalize()).last() for each in curves],
        axis=1,
        keys=["backtest", *PARTS, "paper"],
    )
    closes = closes.ffill().fillna(paper.capital)
    earned = closes.diff().fillna(closes.iloc[:1] - paper.capital)
    steps = earned.diff(axis=1)
    table = pd.DataFrame({"equity": closes["paper"], "paper": earned["paper"]})
    table["backtest"] = earned["backtest"]
    for name in PARTS:
        table[name] = steps[name]
    return table.assign(unexplained=steps["paper"]).rename_axis("day")
