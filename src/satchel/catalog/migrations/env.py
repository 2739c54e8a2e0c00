"""Alembic's entry point: runs the migrations on the connection that `open_database` hands over."""

from alembic import context

from satchel.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by rebuilding it
    transactional_ddl=False,  # the caller's transaction holds all of it
)
context.run_migrations()
