"""What a bar costs a paper session, from its close to orders sent: 500 symbols, preset `small`.

CPU seconds of the process, all threads together: the bar is fetched already, and the venue answers
at once. The network is of the preset's size and was never trained.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.steps.session import Session
from trading_pipeline_tests.steps.soak import BEGIN, forecaster_of, made_up, market_of

ROWS, BARS, WARM_UP = 700, 12, 2  # days of history, bars measured, bars before


def timed(panel: Panel, bars: int, preset: str, folder: Path) -> tuple[list[float], list[Any]]:
    """CPU seconds of each of the last `bars` of a panel, and all orders that were sent."""
    last = len(panel.timestamps) - 1
    first = last + 1 - bars
    market, sent, seconds = market_of(panel, "1d", 21), [], []

    def send(order: Any) -> dict[str, Any]:
        sent.append(dict(order))
        return {"status": "new", "filled_quantity": 0.0}

    with Ledger(folder / "ledger.sqlite") as ledger:
        session = Session(
            ledger,
            market,
            forecaster_of(panel, market, first, last, preset),
            RecordingStore(folder / "recordings"),
            session="timed",
            capital=10_000_000.0,
            clock=lambda: BEGIN,
            send=send,
        )
        began = time.process_time()
        for _ in session.run(first, last):
            seconds.append(time.process_time() - began)
            began = time.process_time()
    return seconds, sent


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--symbols", type=int, default=500)
    asked.add_argument("--preset", default="small")
    given = asked.parse_args()
    names = tuple(f"S{n:03d}" for n in range(given.symbols))
    with tempfile.TemporaryDirectory() as folder:
        panel = made_up(ROWS + WARM_UP + BARS, names, "1D")
        seconds, sent = timed(panel, WARM_UP + BARS, given.preset, Path(folder))
    measured = sorted(seconds[WARM_UP:])
    print(
        f"{given.symbols} symbols, {given.preset}: {measured[len(measured) // 2]:.3f} s of CPU a "
        f"bar (median; {measured[0]:.3f} to {measured[-1]:.3f}), {len(sent)} orders in "
        f"{len(seconds)} bars; the first, which looks at the whole history, {seconds[0]:.1f} s"
    )


if __name__ == "__main__":
    main()
