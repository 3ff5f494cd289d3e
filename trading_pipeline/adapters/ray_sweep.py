"""A sweep on the workers of a Ray cluster, each of which trades some of the profiles.

Where RAY_ADDRESS names a cluster, that one; else one of this machine, for as long as the sweep.
"""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.sweep import Sweep, joined, sweep
from trading_pipeline.core.progress import Advance
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import SettingsError

ADDRESS = "RAY_ADDRESS"  # Ray's own variable
_TASK = 16  # profiles of a task: a second or so of work for what it costs to send it
_ROOM = 100_000_000  # bytes that a cluster of ours has for results, beside what is shared


def sweep_on_ray(
    basis: Basis, terms: Terms, profiles: Mapping[str, Profile], watch: Advance
) -> Sweep:
    """As `sweep`, and equal to it bit for bit, wherever the workers are.

    They need this package in the version that is here: the same image.

    Raises:
        SettingsError: Ray is not installed, or no cluster answers.
        TradingError: a score is infinite.
    """
    # One text of bytes: arrays that Ray shares cannot be written, and then kernels are others.
    shared = pickle.dumps((basis, terms))
    with _cluster(2 * len(shared) + _ROOM) as ray:
        task, handed = ray.remote(num_cpus=1)(_traded), ray.put(shared)
        parts = [task.remote(handed, each) for each in _tasks(profiles)]
        done, waiting = 0, list(parts)
        while waiting:
            (ready,), waiting = ray.wait(waiting, num_returns=1)
            done += len(_result(ray, ready).profiles)
            watch(done, len(profiles), "")
        return joined([_result(ray, each) for each in parts])


def _traded(shared: bytes, profiles: dict[str, Profile]) -> Sweep:
    basis, terms = pickle.loads(shared)
    return sweep(basis, terms, profiles)


def _tasks(profiles: Mapping[str, Profile]) -> Iterator[dict[str, Profile]]:
    left = iter(profiles.items())
    while part := dict(islice(left, _TASK)):
        yield part


def _result(ray: Any, reference: Any) -> Sweep:
    try:
        result: Sweep = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # as if it were raised here
    return result


@contextmanager
def _cluster(memory: int) -> Iterator[Any]:
    """Ray, connected; what is ours ends with it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it tells nobody of us
    # Workers have the environment of the cluster: none is made for the sweep.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "Ray is not installed; pip install 'trading-pipeline[ray]', or sweep in this process"
        ) from error
    known = os.environ.get(ADDRESS)
    own: dict[str, Any] = (
        {} if known else {"include_dashboard": False, "object_store_memory": memory}
    )
    try:
        _knock(known)
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"no Ray cluster answers at {known or 'this machine'} ({error}); start one with `ray "
            f"start --head`, and give HOST:6379 in {ADDRESS}, or unset it for one of this machine"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Ask whether anybody listens: Ray would wait for minutes, and then end the process."""
    if address and ":" in address:
        place = urlsplit(address if "//" in address else f"//{address}")
        socket.create_connection((place.hostname or "", place.port or 0), timeout=10).close()
