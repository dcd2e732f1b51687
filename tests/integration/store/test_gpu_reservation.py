"""Large jobs get their GPUs: small ones may overtake them only for a while."""

from datetime import timedelta

import pytest

from fitqueue.states import JobState
from service.db import Database
from service.store import gpu_reservation, jobs, leases
from service.store.gpus import VisibleGPU
from service.store.leases import Lease
from tests.integration.fixture_types import AdvanceClock, Claim, RegisterWorker, Submit, TryClaim
from tests.integration.store.operations import FOUR_GPUS, finish, get_job

LONGER_THAN_THE_DELAY = gpu_reservation.RESERVATION_DELAY.total_seconds() + 1


def test_small_jobs_overtake_a_large_one_only_for_a_while(
    submit: Submit,
    try_claim: TryClaim,
    claim: Claim,
    advance_clock: AdvanceClock,
    database: Database,
    register_worker: RegisterWorker,
) -> None:
    submit(resources={"gpus": 1})
    running = claim(gpus=FOUR_GPUS).lease
    large, small = submit(resources={"gpus": 4}), submit(resources={"gpus": 1})
    register_worker("w1")
    assert claim(gpus=FOUR_GPUS, seconds=600).lease.job_id == small
    waiting, without_gpus = submit(resources={"gpus": 1}), submit()
    advance_clock(LONGER_THAN_THE_DELAY)
    register_worker("w1")
    assert claim(gpus=FOUR_GPUS).lease.job_id == without_gpus, "a job without GPUs takes none from the large one"
    assert try_claim(gpus=FOUR_GPUS) is None, "the two free GPUs are reserved for the large one"
    urgent = submit(resources={"gpus": 1}, priority=1)
    assert claim(gpus=FOUR_GPUS, seconds=600).lease.job_id == urgent, "a job before it in the queue is not held up"
    for job_id in (running.job_id, small, urgent):
        finish(database, Lease(job_id, get_job(database, job_id).attempt, "w1"))
    assert claim(gpus=FOUR_GPUS).lease.job_id == large
    assert try_claim(gpus=FOUR_GPUS) is None
    assert get_job(database, waiting).state is JobState.QUEUED


@pytest.mark.parametrize("reason", ["too large", "foreign program", "other pool", "pausing"])
def test_no_gpu_is_reserved_for_a_job_that_cannot_start_here(
    reason: str,
    submit: Submit,
    claim: Claim,
    advance_clock: AdvanceClock,
    register_worker: RegisterWorker,
    database: Database,
) -> None:
    submit(resources={"gpus": 1})
    claim(gpus=FOUR_GPUS, seconds=600)
    pool = "elsewhere" if reason == "other pool" else "default"
    large = submit(resources={"gpus": 5 if reason == "too large" else 4, "pool": pool})
    advance_clock(LONGER_THAN_THE_DELAY)
    small = submit(resources={"gpus": 1})
    register_worker("w1")
    register_worker("w2", ["elsewhere"], ["GPU-w", "GPU-x", "GPU-y", "GPU-z"])
    if reason == "pausing":
        with database.write() as session:
            job = jobs.get(session, large)
            job.not_before = job.created_at + timedelta(hours=1)
    with database.write() as session:
        visible = [VisibleGPU(uuid, is_used=reason == "foreign program" and uuid == "GPU-d") for uuid in FOUR_GPUS]
        claimed = leases.claim(session, "w1", ["default"], visible, 30)
    assert claimed is not None
    assert claimed.lease.job_id == small


def test_workers_of_other_pools_respect_the_reservations_on_their_machine(
    submit: Submit, claim: Claim, try_claim: TryClaim, advance_clock: AdvanceClock, register_worker: RegisterWorker
) -> None:
    submit(resources={"gpus": 1})
    claim(gpus=FOUR_GPUS, seconds=600)
    submit(resources={"gpus": 4, "pool": "large"})
    advance_clock(LONGER_THAN_THE_DELAY)
    submit(resources={"gpus": 1})
    register_worker("w1", ["default"])
    register_worker("w2", ["large"])
    assert try_claim("w1", gpus=FOUR_GPUS) is None
    advance_clock(31)  # w2 is not alive any more, and no other worker of the machine serves its pool
    register_worker("w1", ["default"])
    assert try_claim("w1", gpus=FOUR_GPUS) is not None
