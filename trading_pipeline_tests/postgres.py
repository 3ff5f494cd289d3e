"""A PostgreSQL server that lives as long as the tests that need it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

# A new database would be 7 MB each.
EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public
"""


@dataclass(frozen=True)
class Postgres:
    """A server on 127.0.0.1: user `postgres`, no password; what it keeps need not outlive a crash
    of the machine."""

    programs: Path
    folder: Path
    port: int
    user: str | None  # who runs it; None: whoever runs the tests

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-o", options)

    def stop(self) -> None:
        """At once, as a crash of it would."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def empty_database(self) -> str:
        """The URL of its database, from which everything is gone and everybody else, too."""
        url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(EMPTY)
        connection.close()
        return url

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", f"{self.folder}/data", *arguments]
        log = self.folder / "log"
        with log.open("a") as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, user=self.user, cwd=self.folder, check=False
            )
        assert done.returncode == 0, log.read_text()


@contextmanager
def throw_away_postgres() -> Iterator[Postgres]:
    """A new server.

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
        server = Postgres(programs, Path(folder), _free_port(), user)
        server._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs() -> Path | None:
    """Debian keeps initdb and pg_ctl out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    return Path(initdb).resolve().parent if initdb else None


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
