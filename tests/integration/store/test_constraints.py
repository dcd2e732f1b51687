"""The constraints of the tables: what no code can write, however wrong it is."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from fitqueue.states import JobState, Reason
from service.db import Database
from service.models import Job
from tests.integration.fixture_types import Submit


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "done"},
        {"state": JobState.RUNNING},
        {"state": JobState.SUCCEEDED},
        {"finished_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"reason": Reason.COMPLETED},
        {"lease_expires_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"cancel_requested_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"phase": "training"},
        {"epoch": 99},
        {"failed_attempts": 1},
        {"idempotency_key": "k"},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_a_queued_job_cannot_have_contradictory_columns(
    database: Database, submit: Submit, columns: dict[str, object]
) -> None:
    job_id = submit()
    assignments = ", ".join(f"{column} = :{column}" for column in columns)
    with pytest.raises(IntegrityError, match=r"(?i)check constraint"), database.write() as session:
        session.execute(text(f"UPDATE jobs SET {assignments} WHERE id = :id"), {**columns, "id": job_id})
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(epoch=1))
