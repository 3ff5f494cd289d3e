"""A Ray cluster on this machine's loopback, as `ray start --head` makes one."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from trading_pipeline_tests.postgres import free_port

_RAY = str(Path(sys.executable).parent / "ray")
_PATIENCE = 300  # seconds


@contextmanager
def ray_cluster(cpus: int) -> Iterator[str]:
    """The cluster's address, which RAY_ADDRESS has too; it takes jobs as well as tasks, of those
    that have its token. Only its own processes are ended: `ray stop` would end those of every
    cluster of the machine."""
    port = free_port()
    with (
        TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        # A step is the command `dagster`, which a worker finds where its own Python is.
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        options = {
            "--port": port,
            "--num-cpus": cpus,
            "--object-store-memory": 200_000_000,
            "--include-dashboard": "true",  # its server takes the jobs
            "--dashboard-host": "127.0.0.1",
            "--dashboard-port": free_port(),
            "--node-ip-address": "127.0.0.1",
            "--temp-dir": folder,
        }
        given = [f"{name}={value}" for name, value in options.items()]
        subprocess.run(
            [_RAY, "start", "--head", "--disable-usage-stats", *given],
            check=True,
            capture_output=True,
            timeout=_PATIENCE,
        )
        try:
            yield f"127.0.0.1:{port}"
        finally:
            _end(folder)


def jobs(address: str) -> list[dict]:
    """What the cluster knows of the jobs that were submitted to it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import json, sys; from ray.job_submission import JobSubmissionClient as C; "
            "print(json.dumps([j.dict() for j in C(sys.argv[1]).list_jobs()], default=str))",
            address,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _end(folder: str) -> None:
    """End the processes of the cluster, which all know its folder, and those that they started."""
    ours = set()
    for process in psutil.process_iter():
        try:
            if folder in " ".join(process.cmdline()):
                ours |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    for process in ours:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(ours, timeout=30)
