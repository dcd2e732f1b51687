from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from service.db import Database
from service.models import GPUClaim, Job
from service.store import actions, leases, tokens, workers
from service.store.gpus import VisibleGPU
from service.store.leases import ClaimedJob
from tests.integration.fixture_types import Claim, HeldGPUs, Perform, RegisterWorker, Submit, TryClaim
from tests.integration.store.operations import FOUR_GPUS, MORE_EPOCHS, REASONS_FOR_STATE, finish, train_epoch

pytest.register_assert_rewrite("tests.integration.store.lifecycle_machine")


@pytest.fixture
def try_claim(database: Database) -> TryClaim:
    """A function that claims the next job for a worker, and returns None if no job fits."""

    def try_claim(
        worker: str = "w1", pools: tuple[str, ...] = ("default",), gpus: Sequence[str] = (), seconds: float = 30.0
    ) -> ClaimedJob | None:
        with database.write() as session:
            return leases.claim(session, worker, pools, [VisibleGPU(uuid) for uuid in gpus], seconds)

    return try_claim


@pytest.fixture
def claim(try_claim: TryClaim) -> Claim:
    """A function that claims the next job, of which there must be one."""

    def claim(*arguments: Any, **options: Any) -> ClaimedJob:
        claimed = try_claim(*arguments, **options)
        assert claimed is not None
        return claimed

    return claim


@pytest.fixture
def register_worker(database: Database) -> RegisterWorker:
    """A function that registers a worker, or lets a registered one send a heartbeat."""

    def register(worker: str, pools: Sequence[str] = ("default",), gpus: Sequence[str] = FOUR_GPUS) -> None:
        with database.write() as session:
            workers.register(session, worker, host="h", pools=pools, slots=1, devices=[], gpus=gpus)

    return register


@pytest.fixture
def held_gpus(database: Database) -> HeldGPUs:
    """A function that returns which job holds each GPU."""

    def held() -> dict[str, str]:
        with database.read() as session:
            return {row.gpu_uuid: row.job_id for row in session.scalars(select(GPUClaim))}

    return held


@pytest.fixture
def ada(database: Database) -> str:
    """The id of a token with the name `ada`."""
    with database.write() as session:
        token_id = tokens.verify(session, tokens.create(session, "ada"))
    assert token_id is not None
    return token_id


@pytest.fixture
def perform(database: Database) -> Perform:
    """A function that performs an action on a job as Ada, and returns the job as the store returns it."""
    by_name: dict[str, Callable[..., Job]] = {
        "cancel": actions.cancel,
        "pause": actions.pause,
        "resume": actions.resume,
        "extend": lambda session, job_id, by: actions.extend(session, job_id, MORE_EPOCHS, by),
    }

    def perform(action: str, job_id: str) -> Job:
        with database.write() as session:
            return by_name[action](session, job_id, "ada")

    return perform


@pytest.fixture
def job_in_state(database: Database, submit: Submit, claim: Claim, perform: Perform) -> Callable[[str], str]:
    """A function that returns the id of a job in a state. If it has run, one epoch was trained and can be resumed."""

    def make(state: str) -> str:
        job_id = submit()
        if state == "paused":
            perform("pause", job_id)
        elif state != "queued":
            lease = claim().lease
            train_epoch(database, lease)
            if (reason := REASONS_FOR_STATE.get(state)) is not None:
                assert finish(database, lease, reason)
        return job_id

    return make
