"""A paper session that is killed at every named point, as often as there are seeds.

    python -m trading_pipeline_tests.steps.kills --seeds 10

Each kill is a SIGKILL to a process of its own, at one visit of one point, which the seed chooses;
then another process goes on. Orders go to a venue that keeps books of its own: in a file, where
fills are simulated, or behind a broker's API on this machine.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from trading_pipeline.adapters import kill_points
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.walk import MarketRow
from trading_pipeline.core.trading.trader import Trader
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.guard import guarded
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.session import Session
from trading_pipeline_tests.core.trading.markets import NAMES, panel_of

N, FIRST, LAST = 8, 70, 89  # symbols; the session's first and last row
MARKET = Market(
    name="killed",
    source="parquet",
    symbols=NAMES[:N],
    start=date(2024, 1, 1),
    calendar="24/7",
    horizon=5,
    costs=Costs(min_notional=400.0, leverage=1.0),
    limits={"band": 0.0, "weekly_loss": 0.02, "daily_loss": 0.012},
)
FOLDS = [
    Fold("one", Rows(0, 1), Rows(2, 3), Rows(FIRST, FIRST + 9)),
    Fold("two", Rows(0, 1), Rows(2, 3), Rows(FIRST + 10, LAST)),
]
CAPITAL = 100_000.0
POINTS = {"simulated": 28, "at_alpaca": 40, "at_binance": 40}  # by setting
STREAM = "paper/killed/s"
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


@cache
def panel() -> Panel:
    """Calm, then falling for a week, so that limits trip."""
    rng = np.random.default_rng(11)
    moves = rng.normal(0.001, 0.02, (LAST + 1, N))
    moves[FIRST + 6 : FIRST + 9] -= 0.02
    close = 50 * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.003, close.shape))
    return panel_of(close, opened)


class Scripted(Forecaster):
    """Says scores that were made up, from the bars up to the row and no others."""

    def _predictor(self, checkpoint: dict[str, Any]) -> Any:
        return Model(checkpoint)

    def _needs(self) -> tuple[int, int]:
        return 1, 1

    def _asked(self, seen: MarketRow) -> Any:
        rng = np.random.default_rng((self.predictor.seed, seen.row))
        return SimpleNamespace(score=rng.normal(size=N), volatility=seen.sigma)


class Model:
    """What `Forecaster` asks of a predictor."""

    calibration = SimpleNamespace(half_life=4.0)

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        self.seed = checkpoint["seed"]

    def restart(self, symbols: int) -> None:
        """It has no book."""


class Venue:
    """Books of its own, in a file: orders by their id, fills by order and bar."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.orders: dict[str, Any] = {}
        self.fills: dict[str, Any] = {}
        for line in lines:
            kind, key, row = json.loads(line)
            assert key not in getattr(self, kind), "booked twice"
            getattr(self, kind)[key] = row

    def submit(self, order: Any) -> dict[str, Any]:
        """The same order again is the order that it has."""
        self._book("orders", order["client_order_id"], dict(order))
        return {"status": "new", "filled_quantity": 0.0}

    def execute(self, trader: Trader, bar: Any) -> Any:
        """The engine's fills, booked here as well."""
        filled = trader.fill(bar)
        for row in filled.fills.to_dict("records"):
            key = f"{row['client_order_id']}@{row['filled_at']}"
            self._book("fills", key, {"symbol": row["symbol"], "quantity": row["quantity"]})
        return filled

    @property
    def positions(self) -> dict[str, float]:
        held: dict[str, float] = {}
        for row in self.fills.values():
            held[row["symbol"]] = held.get(row["symbol"], 0.0) + row["quantity"]
        return {name: each for name, each in held.items() if abs(each) > 1e-9}

    def _book(self, kind: str, key: str, row: dict[str, Any]) -> None:
        if key in getattr(self, kind):
            return
        getattr(self, kind)[key] = row
        with self.path.open("a") as file:
            file.write(json.dumps([kind, key, row]) + "\n")
            file.flush()
            os.fsync(file.fileno())


def trade(folder: Path, attempt: int, last: int = LAST) -> None:
    """One process's worth of the session; each starts when the lease of the one before is over."""
    now = BEGIN + timedelta(hours=attempt)
    ticks = iter(range(10**9))

    def clock() -> datetime:
        return now + timedelta(seconds=3 * next(ticks))

    venue, recordings = Venue(folder / "venue.jsonl"), RecordingStore(folder / "recordings")
    with (
        Ledger(folder / "ledger.sqlite") as ledger,
        guarded(ledger, MARKET.name, "s", clock, lambda seconds: None) as guard,
    ):
        seen = Recording.read(ledger, STREAM, recordings)
        session = Session(
            ledger,
            MARKET,
            Scripted(
                seen.continued(panel()) if seen else panel(),
                MARKET,
                FOLDS,
                lambda key: {"fingerprint": f"model {key}", "seed": len(key)},
                seen.predictions if seen else None,
            ),
            recordings,
            session="s",
            capital=CAPITAL,
            clock=clock,
            execute=venue.execute,
            send=venue.submit,
            guard=guard,
        )
        for _ in session.run(FIRST, last):
            pass


class Left(SimpleNamespace):
    """What a session left behind: the venue's books and the ledger's, without the times."""

    @classmethod
    def of(cls, folder: Path) -> "Left":
        venue = Venue(folder / "venue.jsonl")
        with Ledger(folder / "ledger.sqlite") as ledger:
            count = ledger.verify(STREAM)
            events = ledger.read(STREAM)
        decisions = [each.payload for each in events if each.kind == "decision"]
        return cls(
            events=[(each.kind, each.at, each.payload) for each in events],
            count=count,
            orders=[order for each in decisions for order in each["orders"]],
            fills=[each.payload for each in events if each.kind == "fill"],
            vetoes=[veto for each in decisions for veto in each["vetoes"]],
            decisions=decisions,
            marks=[each.payload for each in events if each.kind == "mark"],
            venue=venue,
        )


class Place(NamedTuple):
    """Where a session trades in a test."""

    trade: Callable[[int], None]  # one process's worth of it, the first one is number 0
    left: Callable[[], Left]


@contextmanager
def simulated(folder: Path) -> Iterator[Place]:
    """In the simulation, with books in a file."""
    yield Place(partial(trade, folder), partial(Left.of, folder))


Setting = Callable[[Path], AbstractContextManager[Place]]


def in_a_process(work: Callable[[], None]) -> int:
    """Do it in a fork; what the process ended with, as `os.waitpid` says it."""
    return os.waitpid(started_in_a_process(work), 0)[1]


def started_in_a_process(work: Callable[[], None]) -> int:
    """Begin it in a fork, which ends with it; its id."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001  # whatever it is, the fork must end here
            import traceback

            traceback.print_exc()
            os._exit(1)
    return child


def killing(point: str, visit: int) -> Callable[[str], None]:
    """A hook that ends the process at that visit of a point."""
    left = visit

    def hook(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def undisturbed(folder: Path, setting: Setting = simulated) -> tuple[Left, Counter[str]]:
    """A run that nobody ends, in this process; and how often it came to each point."""
    visits: Counter[str] = Counter()
    with setting(folder) as place:
        kill_points.hook = lambda name: visits.update([name])
        try:
            place.trade(0)
        finally:
            kill_points.hook = lambda name: None
        return place.left(), visits


def killed_once(folder: Path, point: str, visit: int, setting: Setting) -> Left:
    """A run that is killed at a visit of a point, and then goes on in another process."""
    with setting(folder) as place:

        def first() -> None:
            kill_points.hook = killing(point, visit)
            place.trade(0)

        status = in_a_process(first)
        assert os.WIFSIGNALED(status), f"no kill at {point}"
        assert os.WTERMSIG(status) == signal.SIGKILL, f"no kill at {point}"
        assert in_a_process(lambda: place.trade(1)) == 0, f"did not go on after a kill {point}"
        return place.left()


def check(whole: Left, left: Left, where: str) -> None:
    """Nothing is lost, nothing doubled, and all is as if nothing had happened."""
    assert left.events == whole.events, (
        f"another history after a kill {where}: {apart(whole, left)}"
    )
    assert left.venue.orders == whole.venue.orders, f"the venue has other orders, killed {where}"
    ids = [order["client_order_id"] for order in left.orders]
    assert sorted(left.venue.orders) == sorted(ids), f"orders lost or doubled, killed {where}"
    assert left.venue.positions.keys() == left.marks[-1]["positions"].keys(), where
    for symbol, quantity in left.venue.positions.items():
        assert np.isclose(quantity, left.marks[-1]["positions"][symbol]), where


def apart(whole: Left, left: Left) -> str:
    for one, other in zip(whole.events, left.events, strict=False):
        if one != other:
            return f"{one} became {other}"
    return f"{len(whole.events)} events became {len(left.events)}"


def survive(
    seeds: int,
    setting: Setting = simulated,
    say: Callable[[str], object] = print,
    part: int = 0,
    parts: int = 1,
) -> int:
    """Kill at every point (of one of several parts) with every seed; how many were survived.

    Raises:
        AssertionError: one was not, or the session is too dull to show anything.
    """
    kills = 0
    with tempfile.TemporaryDirectory() as made:
        whole, visits = undisturbed(Path(made) / "whole", setting)
        assert len(visits) == POINTS[setting.__name__], f"{len(visits)} points: {sorted(visits)}"
        assert len(whole.fills) >= 100, f"only {len(whole.fills)} fills"
        assert len(whole.vetoes) >= 2, f"only {len(whole.vetoes)} vetoes"
        rules = {veto["rule"] for veto in whole.vetoes}
        assert rules & {"daily_loss", "weekly_loss"}, f"no limit tripped: {rules}"
        say(
            f"{len(visits)} points, {len(whole.decisions)} bars, {len(whole.fills)} fills, "
            f"{len(whole.vetoes)} vetoes ({', '.join(sorted(rules))})"
        )
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            for point in sorted(visits)[part::parts]:
                visit = int(rng.integers(visits[point]))
                folder = Path(made) / f"{seed}-{point}"
                left = killed_once(folder, point, visit, setting)
                check(whole, left, f"{point}, visit {visit}")
                kills += 1
            say(f"seed {seed + 1} of {seeds}: {kills} kills survived")
    return kills


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=10)
    asked.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("K", "OF"))
    given = asked.parse_args()
    from trading_pipeline_tests.steps.at_broker import at_alpaca, at_binance

    for setting in (simulated, at_alpaca, at_binance):
        said = partial(print, f"{setting.__name__}:", flush=True)
        survive(given.seeds, setting, said, part=given.part[0], parts=given.part[1])


if __name__ == "__main__":
    main()
