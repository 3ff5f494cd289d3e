"""A PostgreSQL server that lives as long as the tests that need it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _programs() -> Path | None:
    """Debian keeps initdb and pg_ctl out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    return Path(initdb).resolve().parent if initdb else None


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def throw_away_postgres() -> Iterator[int]:
    """A new server's port on 127.0.0.1: user and database `postgres`, no password.

    Skips the test where PostgreSQL is not installed, except in CI, which installs it.
    """
    programs = _programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to have PostgreSQL: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if user:
            shutil.chown(folder, user)
        port = _free_port()

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", f"{folder}/data", *arguments]
            log = Path(folder, "log")
            with log.open("a") as output:
                done = subprocess.run(command, stdout=output, stderr=output, user=user, check=False)
            assert done.returncode == 0, log.read_text()

        run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        run("pg_ctl", "start", "-w", "-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1")
        try:
            yield port
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
