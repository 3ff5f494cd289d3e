"""Commands that run at the same time, each a process of this machine."""

import asyncio
import os
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence

_PATIENCE = 60.0  # seconds that a process has to end after it was asked to


def leave_with_parent() -> None:
    """End this process when the one that started it has ended, however that did.

    A kill that is meant for the parent does not reach its children: they would work on, and write
    beside those of the next run.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_each(
    commands: Mapping[str, Sequence[str]],
    at_once: int,
    ended: Callable[[str, bool], object],
    variables: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Run commands, some at a time, until all have ended; one that fails stops no other.

    Ctrl-C, or whatever else ends this call early, asks those that run to end, and waits for it.

    Args:
        commands: by a name for each.
        at_once: how many run at the same time, at least 1.
        ended: told the name of each as it ends, and whether it succeeded.
        variables: that they have beside those of this process.

    Returns:
        By name, what those that failed said on stderr.
    """
    return asyncio.run(_run_each(commands, at_once, ended, {**os.environ, **(variables or {})}))


async def _run_each(
    commands: Mapping[str, Sequence[str]],
    at_once: int,
    ended: Callable[[str, bool], object],
    environment: dict[str, str],
) -> dict[str, str]:
    gate, failed = asyncio.Semaphore(at_once), dict[str, str]()

    async def run(name: str, command: Sequence[str]) -> None:
        """One command, when there is room for it."""
        async with gate:
            process = await asyncio.create_subprocess_exec(*command, stderr=PIPE, env=environment)
            try:
                _, said = await process.communicate()
            finally:
                await _end(process)
            if process.returncode:
                failed[name] = said.decode(errors="replace") or _how_it_ended(process.returncode)
            ended(name, process.returncode == 0)

    async with asyncio.TaskGroup() as group:
        for name, command in commands.items():
            group.create_task(run(name, command))
    return failed


def _how_it_ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"killed by signal {-code}; was memory short?"


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
