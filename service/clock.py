"""The time of the database's clock, which all processes share. Their own clocks may differ."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


def now(session: Session) -> datetime:
    """Return the current time in UTC, not the time at which the transaction began."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)  # SQLite runs in this process: its clock is the same, only coarser
    time = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    assert isinstance(time, datetime)
    return time
