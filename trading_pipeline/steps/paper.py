"""Paper trading on stored bars: a session that replays them, one at a time. See also `live.py`.

Each bar is lived through, then decided on: features from the bars up to here, the prediction of
the checkpoint of the fold it belongs to, the decision.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from trading_pipeline.adapters.kill_switch import is_paused
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.learning.soundness import check_checkpoint
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import LedgerError, TradingError
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.guard import Guard, guarded
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of, read_panel
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.replay_speed import seconds_a_bar
from trading_pipeline.steps.session import Session, SessionBar
from trading_pipeline.steps.streams import session_stream

PAUSE = 2.0  # seconds between two questions whether the operator still wants a pause
IN_SERVICE = "production"  # begins the key of the fold of a live session's model


def replay(
    ledger: Ledger,
    home: Home,
    plan: Plan,
    watch: Advance,
    *,
    session: str,
    capital: float,
    start: str = "",
    end: str = "",
    speed: str = "max",
    running: Callable[[], bool] = lambda: True,
) -> Iterator[dict[str, Any]]:
    """Run a session over its rows; after each bar, the account in a few numbers.

    It holds the market's lease meanwhile: one session trades a market at a time.

    Args:
        session: the same name with the same terms goes on where it stopped.
        start, end: first and last day, YYYY-MM-DD; empty: all that checkpoints can trade.
        speed: see `seconds_a_bar`.
        running: whether the run that trades goes on; where it does not, nothing more is done.

    Raises:
        TradingError: a checkpoint is missing, or there is no such day. LedgerError: other terms.
        LeaseHeld: another session trades the market. LeaseLost: another one took over, or the run
            was ended from outside.
    """
    pause = seconds_a_bar(speed, plan.market.timeframe)
    now, sleep = home.clock.now, home.clock.sleep
    with guarded(ledger, plan.market.name, session, now, sleep, running=running) as guard:
        yield from _replayed(
            ledger, home, plan, watch, guard, session, capital, (start, end), pause
        )


def _replayed(
    ledger: Ledger,
    home: Home,
    plan: Plan,
    watch: Advance,
    guard: Guard,
    session: str,
    capital: float,
    days: tuple[str, str],
    pause: float,
) -> Iterator[dict[str, Any]]:
    recordings, stream = home.recordings(plan.market), session_stream(plan.market.name, session)
    refuse_other_kind(ledger, stream, live=False)
    seen = guard.during(partial(Recording.read, ledger, stream, recordings))
    panel = read_panel(home, plan.market)
    panel = seen.continued(panel) if seen else panel
    folds = _trained_folds(home, plan, panel)
    first, last = _span(panel, folds, *days)
    known = seen.predictions if seen else past_predictions(home, plan, panel, first)
    account = Session(
        ledger,
        plan.market,
        Forecaster(panel, plan.market, folds, lambda key: _load(home, plan, key), known),
        recordings,
        session=session,
        capital=capital,
        clock=home.clock.now,
        guard=guard,
    )
    tally = Tally(account)
    for bar in account.run(first, last):
        row = int(panel.timestamps.get_loc(bar.at))
        watch(row - first + 1, last - first + 1, f"{bar.at:%Y-%m-%d} equity {bar.equity:,.0f}")
        yield tally.after(bar)
        guard.wait(pause, home.clock.sleep)
        while is_paused(ledger, plan.market.name):
            guard.wait(PAUSE, home.clock.sleep)
    if not tally.bars:
        yield tally.said(account.resumed_at)


@dataclass
class Tally:
    """What a session came to since it was started, for a person."""

    session: Session
    bars: int = 0
    fills: int = 0
    vetoes: int = 0

    def after(self, bar: SessionBar) -> dict[str, Any]:
        """The account after one more bar, in a few numbers."""
        self.bars, self.fills = self.bars + 1, self.fills + len(bar.filled.fills)
        self.vetoes += 0 if bar.decided is None else len(bar.decided.vetoes)
        return self.said(bar.at)

    def said(self, at: pd.Timestamp | None) -> dict[str, Any]:
        """The account as it is, at its last bar."""
        return {
            "stream": self.session.stream,
            "last_bar": str(at),
            "bars": self.bars,
            "fills": self.fills,
            "vetoes": self.vetoes,
            "equity": round(self.session.trader.equity, 2),
            "positions": len(self.session.trader.holdings()),
            "events": self.session.seq,
        }


def refuse_other_kind(ledger: Ledger, stream: str, *, live: bool) -> None:
    """Raise LedgerError where a session of a venue's bars would go on as a replay, or one of stored
    bars with those of a venue: each bar is seen once, and models are not the same."""
    model = ledger.last(stream, "model")
    if model is not None and model.payload["fold"].startswith(IN_SERVICE) != live:
        kinds = ("one of the bars of a venue", "a replay of stored bars")
        raise LedgerError(
            f"{stream} is {kinds[live]}, and cannot go on as {kinds[not live]}; give another "
            "--session"
        )


def past_predictions(home: Home, plan: Plan, panel: Panel, first: int) -> pd.DataFrame | None:
    """Predictions stored of bars before row `first`: the evidence of a new session."""
    store = home.predictions(plan.market)
    if not (folds := store.folds()):
        return None
    stored = store.read(folds)
    return stored[stored["timestamp"] < panel.timestamps[first]]


def _trained_folds(home: Home, plan: Plan, panel: Panel) -> list[Fold]:
    """Folds up to the newest that has a checkpoint; a hole among them is refused."""
    known = home.checkpoints(plan.market).names()
    folds = folds_of(panel, plan.recipe)
    trained = [key for key in folds if key in known]
    wanted = [key for key in folds if trained and key <= trained[-1]]
    if missing := [key for key in wanted if key not in known]:
        raise TradingError(
            f"no checkpoint for fold {', '.join(missing)}; run `trading-pipeline train --market "
            f"{plan.market.name}` first"
        )
    return [folds[key] for key in wanted]


def _load(home: Home, plan: Plan, key: str) -> dict[str, Any]:
    """The checkpoint of a fold; that of other bars is taken, that of other settings refused."""
    store = home.checkpoints(plan.market)
    checkpoint = store.read(key)
    check_checkpoint(checkpoint, plan.recipe)
    return {**checkpoint, "sha256": store.verify(key)}


def _span(panel: Panel, folds: list[Fold], start: str, end: str) -> tuple[int, int]:
    """First and last row to live through."""
    if not folds:
        raise TradingError(
            "no fold has a checkpoint to trade with; run `trading-pipeline demo` or `train` first"
        )
    first, last = folds[0].test.first, folds[-1].test.last
    if start:
        first = max(first, int(panel.timestamps.searchsorted(_day(start))))
    if end:
        after = int(panel.timestamps.searchsorted(_day(end) + pd.Timedelta(days=1)))
        last = min(last, after - 1)
    if first > last:
        days = (
            f"{panel.timestamps[folds[0].test.first]:%Y-%m-%d} to {panel.timestamps[-1]:%Y-%m-%d}"
        )
        raise TradingError(f"nothing to replay there: checkpoints can trade {days}")
    return first, last


def _day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(text, tz="UTC")
    except ValueError as error:
        raise TradingError(f"{text!r} is not a day; write it like 2009-12-31") from error
