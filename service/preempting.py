"""Asks preemptible jobs to make room for jobs that need their devices. Every worker does it, about once a second."""

from service.db import Database
from service.forecast.turns import TurnsBy
from service.store import preemption


def preempt(database: Database, lease_seconds: float, by: TurnsBy) -> None:
    """Ask as many preemptible jobs to make room as other jobs need.

    Raises:
        DatabaseUnavailable: nobody can tell.
    """
    with database.read() as session:
        if not preemption.may_be_needed(session):
            return
    with database.write() as session:
        preemption.request(session, lease_seconds, by)
