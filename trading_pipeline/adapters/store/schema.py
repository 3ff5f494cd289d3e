"""Which schema a ledger's database has, and how an older one gets today's.

The table `ledger_version` names the newest revision that was run. It is not alembic's usual
`alembic_version`: in compose that one is Dagster's, in the same database. A new revision is a
script in `migrations/versions`, a name in REVISIONS, and what it changes in `event_table`. Rows
stay as they are, since their hashes cover every column.
"""

from threading import Lock

import sqlalchemy as sa

from trading_pipeline.errors import LedgerError

REVISIONS = (
    "0001",
    "0002",
)  # oldest first; here, so that a ledger is opened without loading alembic
VERSION_TABLE = "ledger_version"

_ONE_AT_A_TIME = Lock()  # alembic's `op` and `context` are one for all threads


def is_current(connection: sa.Connection, where: str) -> bool:
    """Whether there is nothing to migrate.

    Raises:
        LedgerError: a newer version of this package was there; `where` is what it calls the place.
    """
    version = _version(connection)
    if version is not None and version not in REVISIONS:
        raise LedgerError(
            f"ledger {where} was written by a newer version of trading-pipeline (schema {version}; "
            f"this one knows {REVISIONS[-1]} and older): install that version, or use another home"
        )
    return version == REVISIONS[-1]


def migrate(connection: sa.Connection, where: str) -> None:
    """Run, in the transaction of `connection`, the revisions that the database lacks."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.attributes["where"] = where
    config.set_main_option("script_location", f"{__package__}:migrations")
    with _ONE_AT_A_TIME:
        command.upgrade(config, REVISIONS[-1])


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
