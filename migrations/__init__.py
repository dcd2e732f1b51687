"""The history of the tables, by Alembic: `service.migrate.upgrade` applies it."""
