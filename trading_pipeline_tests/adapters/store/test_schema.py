"""A ledger's database gets today's schema when it is opened, whoever made it."""

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from trading_pipeline.adapters.store import schema
from trading_pipeline.adapters.store.event_table import EVENTS
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import LedgerError

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
# Written by the code from before there were versions: a session, an operator's words, a trial.
UNVERSIONED = ROOT / "trading_pipeline_tests" / "golden" / "ledger_without_a_version.sqlite"
HEAD_OF_ITS_SESSION = "d7713913276ef1854687f17b27d8d1941df6454ebb21103991ef24900d5a350e"


@pytest.fixture
def database(url):
    """The database of `url`, to look at and to spoil behind the ledger's back."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    yield engine
    engine.dispose()


def put_unversioned(database: sa.Engine) -> list[tuple]:
    """The ledger of before, as it is in a file, or its rows in the table that it had; its rows."""
    with sqlite3.connect(UNVERSIONED) as old:
        (ddl,) = old.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchone()
        rows = old.execute("SELECT * FROM events ORDER BY stream, seq").fetchall()
    if database.dialect.name == "sqlite":
        shutil.copy(UNVERSIONED, database.url.database)
    else:
        with database.begin() as connection:
            connection.exec_driver_sql(ddl)
            connection.exec_driver_sql(f"INSERT INTO events VALUES ({'%s,' * 7} %s)", rows)
    return rows


def run(database: sa.Engine, sql: str) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(sql)


def tables(database: sa.Engine) -> list[str]:
    return sorted(sa.inspect(database).get_table_names())


def test_a_new_database_gets_the_schema_that_the_code_reads(url, database):
    Ledger(url).close()
    assert tables(database) == ["beats", "events", "ledger_version"]
    with database.connect() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, EVENTS.metadata) == []
        assert context.get_current_revision() == schema.REVISIONS[-1]
    assert sa.inspect(database).get_pk_constraint("events")["constrained_columns"] == [
        *("stream", "seq")
    ]


def test_a_ledger_of_before_is_taken_as_it_is(url, database):
    rows = put_unversioned(database)
    with Ledger(url) as ledger:
        assert {stream: ledger.verify(stream) for stream in ledger.streams()} == {
            "operator/sample": 2,
            "paper/sample/default": 7,
            "trials": 1,
        }
        assert ledger.last("paper/sample/default").hash == HEAD_OF_ITS_SESSION
        with database.connect() as connection:
            found = connection.exec_driver_sql("SELECT * FROM events ORDER BY stream, seq").all()
        assert sorted(map(tuple, found)) == sorted(rows)
        ledger.append("paper/sample/default", "fill", NOW, {}, NOW, after=7)
        assert ledger.verify("paper/sample/default") == 8
    assert tables(database) == ["beats", "events", "ledger_version"]


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(url, database):
    with Ledger(url) as ledger:
        ledger.append("s", "fill", NOW, {}, NOW)
    run(database, "UPDATE ledger_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match=r"newer version.*schema 9999.*knows 0002.*install that"):
        Ledger(url)
    run(database, "UPDATE ledger_version SET version_num = '0002'")
    with Ledger(url) as ledger:
        assert ledger.verify("s") == 1


def test_somebody_elses_table_of_that_name_is_left_alone(url, database):
    run(database, "CREATE TABLE events (id INTEGER, name TEXT)")
    with pytest.raises(LedgerError, match="`events` that is not a ledger's; give the ledger"):
        Ledger(url)
    assert tables(database) == ["events"]


def test_the_versions_of_others_in_the_same_database_are_left_alone(url, database):
    """In compose Dagster's tables are in it, with a version by alembic of their own."""
    run(database, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    run(database, "INSERT INTO alembic_version VALUES ('of dagster')")
    Ledger(url).close()
    with database.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert found == "of dagster"


OPEN_AT_ONCE = """
import sys, time
from trading_pipeline.adapters.store.ledger import Ledger
import alembic.command
print("ready", flush=True)
sys.stdin.readline()
with Ledger(sys.argv[1]) as ledger:
    print(ledger.verify("paper/sample/default"))
"""


@pytest.mark.slow
@pytest.mark.sampled(2)
def test_of_processes_that_open_an_old_ledger_at_once_one_migrates(url, database):
    put_unversioned(database)
    command = [sys.executable, "-c", OPEN_AT_ONCE, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (output, process.returncode) == ("7\n", 0), errors
    with database.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM ledger_version").all() == [
            (schema.REVISIONS[-1],)
        ]


def test_a_migration_that_fails_leaves_nothing_behind(url, database, monkeypatch):
    """All of it is in one transaction, the version included."""

    def tear(connection: sa.Connection, where: str) -> None:
        migrate(connection, where)
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    migrate = schema.migrate
    monkeypatch.setattr("trading_pipeline.adapters.store.event_table.migrate", tear)
    put_unversioned(database)
    with pytest.raises(LedgerError, match="no_such_table"):
        Ledger(url)
    assert tables(database) == ["events"]


def test_the_revisions_are_those_of_the_scripts():
    config = Config()
    config.set_main_option("script_location", "trading_pipeline.adapters.store:migrations")
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == schema.REVISIONS


def test_opening_a_ledger_with_nothing_to_migrate_does_not_load_alembic(tmp_path):
    """Every command and every sensor opens it; alembic takes a quarter of a second to load."""
    Ledger(tmp_path / "ledger.sqlite").close()
    code = (
        "import sys; from pathlib import Path\n"
        "from trading_pipeline.adapters.store.ledger import Ledger\n"
        "Ledger(Path(sys.argv[1])).close(); sys.exit('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", code, tmp_path / "ledger.sqlite"]
    assert subprocess.run(command, check=False).returncode == 0


def test_opening_a_ledger_with_nothing_to_migrate_waits_for_no_writer(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger, ledger._table.writing(), Ledger(path, patience=1) as other:
        assert other.streams() == []


def test_a_file_that_two_processes_make_at_once_is_opened_by_both(tmp_path):
    """To write ahead is set by who opens first, and the other would not wait for it by itself."""
    for turn in range(8):
        place, gate = tmp_path / str(turn) / "ledger.sqlite", Barrier(4)

        def opened(place=place, gate=gate):
            gate.wait(10)
            with Ledger(place) as ledger:
                return ledger.streams()

        with ThreadPoolExecutor(4) as pool:
            assert [each.result(30) for each in [pool.submit(opened) for _ in range(4)]] == [[]] * 4
