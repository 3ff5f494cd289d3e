"""`dagster-daemon run` by the clock that a test moves.

Its threads wait for minutes of that clock, so they look up often; what they then do is theirs.
"""

import threading
import time
from types import SimpleNamespace

from trading_pipeline_tests.week.moving_clock import MovingClock, install

_CLOCK = MovingClock.of_environment()
install(_CLOCK)

from dagster._daemon import controller, daemon  # noqa: E402
from dagster._daemon.cli import run_command  # noqa: E402

_LONGEST = 0.25  # seconds


class _Impatient(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else min(timeout, _LONGEST))


def main() -> None:
    controller.threading = SimpleNamespace(Event=_Impatient, Thread=threading.Thread)
    daemon.time = SimpleNamespace(time=_CLOCK.seconds, sleep=time.sleep)
    run_command()


if __name__ == "__main__":
    main()
