"""What a person at a terminal sees while something runs: messages, spinners, progress bars."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import rich.progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from trading_pipeline.adapters.timed_progress import TimedProgress

console = Console(stderr=True)


def say(text: str, style: str | None = None) -> None:
    """To stderr, each message on one line, so that paths in it can be copied and searched for."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner while something runs; a line where there is no terminal."""
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        say(text)
        yield


def shown(path: Path) -> Path:
    """A path as a person would type it: relative, where it is below the folder they are in."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def since(*paths: Path) -> str:
    """When the newest of some files was changed, for whoever wonders why nothing happened."""
    known = [path.stat().st_mtime for path in paths if path.exists()]
    return f"{datetime.fromtimestamp(max(known), UTC):%Y-%m-%d %H:%M} UTC" if known else "ever"


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


@contextmanager
def telling(logger_name: str) -> Iterator[None]:
    """Say what a module logs: why nothing seems to happen while it waits for somebody."""
    logger, teller = logging.getLogger(logger_name), _Teller()
    before = logger.level
    logger.addHandler(teller)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.setLevel(before)


class ProgressBars(TimedProgress):
    """Progress bars for long work: the `progress` resource of a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.bars = rich.progress.Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )

    def __enter__(self) -> "ProgressBars":
        """Keep the terminal for the bars: a run's steps send stderr to their own log files."""
        if console.is_terminal:
            console.file = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars.live.is_started:
            self.bars.stop()
        if console.file is not sys.stderr:
            console.file.close()
            console.file = sys.stderr

    def start(self, label: str, log: Callable[[str], None]) -> Callable[[int, int, str], None]:
        """One bar a piece of work; lines instead of bars where there is no terminal."""
        if not console.is_terminal:
            return super().start(label, say)
        self.bars.start()
        task: TaskID = self.bars.add_task(label, total=None, note="")

        def advance(done: int, total: int, note: str = "") -> None:
            """Draw so much of the bar; a bar that was full is left as it is."""
            if task not in self.bars.task_ids:
                return
            self.bars.update(task, completed=done, total=total, note=note)
            if done >= total:  # its line stays on the screen, and is not drawn again
                self.bars.stop()
                self.bars.remove_task(task)

        return advance
