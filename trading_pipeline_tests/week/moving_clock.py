"""A clock that several processes share and a test moves: it goes at its usual pace, and leaps.

Its state is a file that `TEST_CLOCK` names: an instant, and what this machine's steady clock said
then. Who sleeps by it says until when in a folder beside it, so that a test can leap there.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from trading_pipeline.adapters.clock import Clock

VARIABLE = "TEST_CLOCK"
_LOOK = 0.02  # seconds of a sleeper between two looks at the clock


class MovingClock:
    """The clock of a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.sleepers = path, path.with_name("sleepers")

    @classmethod
    def of_environment(cls) -> "MovingClock":
        return cls(Path(os.environ[VARIABLE]))

    def start(self, now: datetime) -> None:
        self.sleepers.mkdir(exist_ok=True)
        self._write(now.timestamp())

    def leap(self, seconds: float) -> None:
        """Let so much time pass at once; one process alone moves the clock."""
        self._write(self.seconds() + seconds)

    def seconds(self) -> float:
        """Since 1970."""
        then, steady = json.loads(self.path.read_bytes())
        return float(then + time.monotonic() - steady)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def sleep(self, seconds: float) -> None:
        until = self.seconds() + seconds
        note = self.sleepers / f"{os.getpid()}.{threading.get_native_id()}"
        _put(note, repr(until))
        try:
            while (left := until - self.seconds()) > 0:
                time.sleep(min(left, _LOOK))
        finally:
            note.unlink()

    def asleep(self) -> dict[int, float]:
        """By process that lives, until when the first of its sleepers sleeps."""
        found: dict[int, float] = {}
        for note in self.sleepers.iterdir():
            name, _, thread = note.name.partition(".")
            if not name.isdigit() or not thread.isdigit() or not psutil.pid_exists(int(name)):
                continue
            try:
                until = float(note.read_text())
            except FileNotFoundError:  # awake by now
                continue
            found[int(name)] = min(until, found.get(int(name), until))
        return found

    @property
    def given(self) -> Clock:
        """What the product is given."""
        return Clock(self.now, self.sleep, self.seconds)

    def _write(self, now: float) -> None:
        _put(self.path, json.dumps([now, time.monotonic()]))


def _put(path: Path, text: str) -> None:
    """At once, for whoever reads it."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text)
    draft.replace(path)


def install(clock: MovingClock) -> None:
    """Let Dagster live by it, in this process: instants of its own, and those of what it logs.

    Time-outs between processes, which gRPC counts, stay real.
    """
    from dagster import _time

    _time._mockable_get_current_timestamp = clock.seconds
    _time._mockable_get_current_datetime = clock.now
    logging.setLogRecordFactory(_dated(logging.LogRecord, clock))


def _dated(make: Callable[..., logging.LogRecord], clock: MovingClock) -> Any:
    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        made.created = clock.seconds()
        made.msecs = made.created % 1 * 1000
        return made

    return record
