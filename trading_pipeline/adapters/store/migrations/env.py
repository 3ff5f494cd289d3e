"""What alembic runs first: the revisions go through the connection of the ledger that is opened.

It is in a transaction already, with the writers' lock: all revisions are kept, or none.
"""

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"])
context.run_migrations()
