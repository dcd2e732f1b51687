"""The pools whose workers are notified: those with a job that could be claimed now."""

from service.db import Database
from service.store import actions, leases
from service.store.retry_policy import OUTAGE_DELAY_SECONDS, STALL_DELAY_SECONDS
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.integration.store.operations import fail_attempt, requeue


def _pools_with_work(database: Database) -> list[str]:
    with database.read() as session:
        return leases.pools_with_work(session)


def test_pools_with_work_have_a_job_that_could_be_claimed_now(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    assert _pools_with_work(database) == []
    ids = {pool: submit(resources={"pool": pool}) for pool in ("z", "a", "paused", "cancelled", "pausing")}
    submit(resources={"pool": "a"})
    submit(resources={"pool": "many-gpus", "gpus": 64})
    with database.write() as session:
        actions.pause(session, ids["paused"])
        actions.cancel(session, ids["cancelled"])
    for _ in range(2):
        advance_clock(OUTAGE_DELAY_SECONDS)
        fail_attempt(database, claim(pools=("pausing",)).lease)
    assert _pools_with_work(database) == ["a", "many-gpus", "z"]
    claims = [claim(pools=("a",)), claim(pools=("a",)), claim(pools=("z",))]
    assert _pools_with_work(database) == ["many-gpus"]
    advance_clock(STALL_DELAY_SECONDS)
    assert _pools_with_work(database) == ["many-gpus", "pausing"]
    requeue(database, claims[0].lease)
    with database.write() as session:
        actions.resume(session, ids["paused"])
    assert _pools_with_work(database) == ["a", "many-gpus", "paused", "pausing"]
