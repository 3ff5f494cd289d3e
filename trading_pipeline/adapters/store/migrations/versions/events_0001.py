"""The table `events`. A ledger from before there were versions has it, and is taken as it is."""

import sqlalchemy as sa
from alembic import context, op

from trading_pipeline.errors import LedgerError

revision = "0001"
down_revision = None

COLUMNS = ("stream", "seq", "kind", "at", "recorded_at", "payload", "prev_hash", "hash")


def upgrade() -> None:
    """Make the table, or leave one of before. Raises LedgerError for a table of somebody else."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("events"):
        types = {"seq": sa.BigInteger()}
        op.create_table(
            "events",
            *(sa.Column(name, types.get(name, sa.Text()), nullable=False) for name in COLUMNS),
            sa.PrimaryKeyConstraint("stream", "seq"),
        )
    elif [column["name"] for column in inspector.get_columns("events")] != list(COLUMNS):
        raise LedgerError(
            f"{context.config.attributes['where']} has a table `events` that is not a ledger's; "
            "give the ledger a database of its own (TP_LEDGER_URL)"
        )
