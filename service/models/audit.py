"""Who did what, when and from where."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import DDL, Index, String, event
from sqlalchemy.orm import Mapped, mapped_column

from service.column_types import Base, RowId


class AuditEntry(Base):
    """An action of a user. Rows are added in the transaction of the action, and are never changed.

    - `user` and `user_id` are who did it. A command on the database has no id: it is the operator's.
    - `address` is that of the client.
    - `target_id` is what it was done to; `data` has no secrets.
    """

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(String(64))
    user: Mapped[str] = mapped_column(String(64))
    token_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    target_kind: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(255))
    data: Mapped[dict[str, Any]]

    __table_args__ = (
        Index(None, "at"),
        Index(None, "user", "id"),
        Index(None, "action", "id"),
        Index(None, "target_id", "id"),
        {"sqlite_autoincrement": True},
    )


# A program that is wrong, or an operator in a hurry, cannot rewrite what was done. Workers delete old
# rows; those of the last day cannot be deleted either.
_APPEND_ONLY: Final = {
    "sqlite": (
        "CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log BEGIN "
        "SELECT RAISE(ABORT, 'audit_log is append-only'); END",
        "CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log WHEN OLD.at > datetime('now', '-1 day') BEGIN "
        "SELECT RAISE(ABORT, 'audit_log is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'audit_log is append-only'; END $$",
        "CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log FOR EACH ROW "
        "EXECUTE FUNCTION audit_log_append_only()",
        "CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log FOR EACH ROW "
        "WHEN (OLD.at > clock_timestamp() - interval '1 day') EXECUTE FUNCTION audit_log_append_only()",
        "CREATE TRIGGER audit_log_not_emptied BEFORE TRUNCATE ON audit_log EXECUTE FUNCTION audit_log_append_only()",
    ),
}

for _dialect, _statements in _APPEND_ONLY.items():
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(AuditEntry.__table__, "after_create", _ddl.execute_if(dialect=_dialect))
