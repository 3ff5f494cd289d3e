"""A PostgreSQL server that lives as long as the tests that need it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
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
    of the machine, unless it is `durable`."""

    programs: Path
    folder: Path
    port: int
    user: str | None  # who runs it; None: whoever runs the tests
    durable: bool = False

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        options += "" if self.durable else " -c fsync=off"
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
def throw_away_postgres(durable: bool = False) -> Iterator[Postgres]:
    """A new server; skips the test where PostgreSQL is not installed."""
    found = need_postgres()
    user = _server_user()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if user:
            shutil.chown(folder, user)
        server = Postgres(found, Path(folder), free_port(), user, durable)
        server._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def need_postgres() -> Path:
    """The folder of PostgreSQL's programs.

    Skips the test where it is not installed, except in CI, which installs it.
    """
    if (found := programs()) is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to have PostgreSQL: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found


def as_image(
    folder: Path, port: int, environment: Mapping[str, str]
) -> tuple[list[str], str | None]:
    """What the image `postgres` does when it starts, in a folder: makes user and database if there
    are none; the command of its server, and who has to run it."""
    user, found = _server_user(), need_postgres()
    data, password = str(folder / "data"), folder / "password"
    folder.mkdir(parents=True)
    password.write_text(Path(environment["POSTGRES_PASSWORD_FILE"]).read_text())
    if user:
        shutil.chown(folder, user)
        shutil.chown(password, user)
    initdb = [str(found / "initdb"), "-D", data, "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"]
    initdb += ["-U", environment["POSTGRES_USER"], "--pwfile", str(password)]
    server = [str(found / "postgres"), "-D", data, "-c", "fsync=off"]
    alone = [str(found / "postgres"), "--single", "-D", data, "-c", "fsync=off", "postgres"]
    create = f'CREATE DATABASE "{environment["POSTGRES_DB"]}"\n'
    for command, text in ((initdb, ""), (alone, create)):
        subprocess.run(
            command, input=text.encode(), user=user, cwd=folder, check=True, capture_output=True
        )
    password.unlink()
    return [*server, "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1"], user


def _server_user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root


def programs() -> Path | None:
    """Debian keeps initdb and pg_ctl out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    return Path(initdb).resolve().parent if initdb else None


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
