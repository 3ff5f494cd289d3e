"""What a ledger says, and keeps, when its database is locked, full or gone."""

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest

from trading_pipeline.adapters.store.ledger import Entry, Ledger
from trading_pipeline.errors import LedgerError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def append(ledger: Ledger, events: int = 1) -> int:
    """The number of the last event then."""
    entries = [Entry("fill", NOW, {"text": "x" * 1000})] * events
    return ledger.append_many("s", entries, NOW)[-1].seq


HOLD_THE_LOCK = """
import select, sys
from trading_pipeline.adapters.store.ledger import Ledger
with Ledger(sys.argv[1]) as ledger, ledger._table.writing():
    print("holding", flush=True)
    select.select([sys.stdin], [], [], 30)  # rather than for ever, if nobody gives up
"""


@contextmanager
def another_process_in_a_transaction(url: str):
    command = [sys.executable, "-c", HOLD_THE_LOCK, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "holding\n"
        try:
            yield
        finally:
            process.communicate("\n", timeout=60)


@pytest.mark.slow
def test_a_locked_ledger_is_called_one_after_some_patience(url):
    """Reading goes on meanwhile; writing does when the lock is gone."""
    with Ledger(url, patience=1) as ledger:
        append(ledger, 2)
        with another_process_in_a_transaction(url):
            began = time.monotonic()
            with pytest.raises(
                LedgerError, match=r"process has been writing to it for 1 s; nothing"
            ):
                append(ledger)
            assert 0.9 < time.monotonic() - began < 20
            assert ledger.verify("s") == 2
        assert append(ledger) == 3
        assert ledger.verify("s") == 3


FULL_IN_POSTGRESQL = """
CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER no_space AFTER INSERT ON events
    FOR EACH ROW WHEN (NEW.seq > 5) EXECUTE FUNCTION no_space()
"""


def test_a_full_database_is_called_one_and_keeps_all_events_or_none(url):
    with Ledger(url) as ledger:
        append(ledger, 2)
        with ledger._table.writing() as connection:
            if url.startswith("postgresql"):
                connection.exec_driver_sql(FULL_IN_POSTGRESQL)
            else:  # of the one connection that there is
                connection.exec_driver_sql("PRAGMA max_page_count = 6")
        with pytest.raises(LedgerError, match=r"(?s)(full|No space).*Nothing was written\. Free"):
            append(ledger, 100)
        assert ledger.verify("s") == 2
        assert append(ledger) == 3
        assert ledger.verify("s") == 3


FILL_THE_DISK = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from trading_pipeline.adapters.store.ledger import Entry, Ledger
from trading_pipeline.errors import LedgerError
now = datetime(2030, 1, 1, tzinfo=UTC)
folder, written = Path(sys.argv[1]), 0
(folder / "filler").write_bytes(bytes(400_000))
with Ledger(folder / "ledger.sqlite") as ledger:
    for size in (20, 1):  # the disk is full in the middle of many, and of a single one
        try:
            while True:
                entries = [Entry("fill", now, {"text": "x" * 1000})] * size
                written = ledger.append_many("s", entries, now)[-1].seq
        except LedgerError as error:
            print(error)
        assert ledger.verify("s") == written > 0
    (folder / "filler").unlink()
    ledger.append("s", "fill", now, {}, now, after=written)
with Ledger(folder / "ledger.sqlite") as ledger:
    assert ledger.verify("s") == written + 1
"""


@pytest.mark.slow
def test_a_full_disk_is_called_one_and_keeps_all_events_or_none(tmp_path):
    """A disk of 1 MB, in a namespace of its own."""
    mount = 'mount -t tmpfs -o size=1M tmpfs "$0" && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk (unshare --user --mount)")
    command = [*unshare, sys.executable, "-c", FILL_THE_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2
    for line in said:
        assert "disk is full. Nothing was written. Free space on its disk" in line


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_file_that_vanishes_under_an_open_ledger_takes_no_more(tmp_path, how):
    """SQLite would write on to a file that nobody finds again."""
    path, aside = tmp_path / "ledger.sqlite", tmp_path / "aside.sqlite"
    with Ledger(path) as ledger:
        append(ledger, 2)
        if how == "removed":
            for file in tmp_path.iterdir():
                file.unlink()
        else:
            path.rename(aside)
        if how == "replaced":
            Ledger(tmp_path / "new.sqlite").close()
            (tmp_path / "new.sqlite").rename(path)
        for use in (append, Ledger.streams):
            with pytest.raises(LedgerError, match="moved, replaced or removed while it was open"):
                use(ledger)
        assert path.exists() == (how == "replaced")
        if how == "moved":
            aside.rename(path)
            assert append(ledger) == 3


@pytest.mark.slow
def test_a_server_that_dies_keeps_all_events_or_none(postgres):
    """Also in the middle of a transaction; the same ledger goes on when the server is back."""
    with Ledger(postgres.empty_database()) as ledger:
        append(ledger, 2)
        (event,) = ledger._table.rows("s", after=1)

        def die_before_the_commit() -> None:
            with ledger._table.writing() as connection:
                ledger._table.insert(connection, [{**event._mapping, "seq": 3}])
                postgres.stop()

        try:
            for write in (die_before_the_commit, partial(append, ledger)):
                with pytest.raises(LedgerError, match="Check that the place is writable, answers"):
                    write()
        finally:
            postgres.start()
        assert ledger.verify("s") == 2
        assert append(ledger) == 3
        assert ledger.verify("s") == 3


@pytest.mark.slow
def test_a_server_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(LedgerError, match="timeout expired"):
            Ledger(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/ledger", patience=2)
        assert time.monotonic() - began < 30
