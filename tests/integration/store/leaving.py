"""The ways in which a running job can leave its worker without ending."""

from collections.abc import Callable

from service.db import Database
from service.store.leases import Lease
from tests.integration.fixture_types import AdvanceClock
from tests.integration.store.operations import expire_leases, fail_attempt, requeue

LeaveWorker = Callable[[Database, Lease, AdvanceClock], object]


def _expire(database: Database, _lease: Lease, advance_clock: AdvanceClock) -> None:
    advance_clock(31)
    assert expire_leases(database) == [], "a job that is paused or cancelled gives no pool any work"


WAYS_TO_LEAVE: dict[str, LeaveWorker] = {
    "requeued": lambda database, lease, _advance_clock: requeue(database, lease),
    "failed": lambda database, lease, _advance_clock: fail_attempt(database, lease),
    "expired": _expire,
}
