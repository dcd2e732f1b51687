"""Jobs as users see them: create, get, list, delete."""

import itertools
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import inspect, text

from fitqueue.errors import DatasetNotFound, IdempotencyMismatch, JobNotEnded, JobNotFound
from fitqueue.reports import Position
from fitqueue.states import JobState, Reason
from fitqueue.views import Notice
from service.api.views import job_view
from service.db import Database
from service.store import (
    actions,
    attempt_outcomes,
    deletions,
    diagnoses,
    job_details,
    job_list,
    jobs,
    leases,
    recording,
    step_metrics,
    tokens,
)
from service.store.job_list import Filter
from service.store.jobs import Idempotency
from tests.integration.fixture_types import Claim, MakeSpec, Submit
from tests.integration.store.operations import finish
from tests.reports import checkpoint_written, epoch_ended


def _list_ids(database: Database, before: str | None = None, limit: int = 10, **filters: object) -> list[str]:
    with database.read() as session:
        rows, _ = job_list.list_page(session, Filter(**filters), before, limit)  # type: ignore[arg-type]
        return [row.id for row in rows]


def _delete_rows(database: Database) -> list[str]:
    """Delete all rows of deleted jobs, and return the keys of their files."""
    keys: list[str] = []
    while True:
        with database.write() as session:
            some = deletions.delete_some(session)
        if some is None:
            return keys
        keys += some


def test_a_job_is_read_back_as_it_was_stored(database: Database, make_spec: MakeSpec) -> None:
    spec = make_spec(name="digits", labels={"team": "vision"}, max_runtime_seconds=60, priority=3)
    notice = Notice(pointer="/model", code="translated", message="It was translated.")
    with database.write() as session:
        job_id = jobs.create(session, spec, [notice]).id
    with database.read() as session:
        details = job_details.read(session, jobs.get_whole(session, job_id), 30)
    view = job_view(details, None)
    assert (view.id, view.name, view.state, view.attempt, view.priority) == (job_id, "digits", JobState.QUEUED, 0, 3)
    assert (view.labels, view.notices, view.spec) == ({"team": "vision"}, [notice], spec.to_json())
    assert view.created_at.tzinfo is not None
    assert abs((view.created_at - datetime.now(UTC)).total_seconds()) < 60
    assert (view.progress.percent, view.best, view.worker) == (0.0, None, None)


def test_a_job_of_which_the_loss_is_nan_is_told_which_data_is_the_cause(
    database: Database, make_spec: MakeSpec
) -> None:
    notices = [
        Notice(pointer="/data/x", code="non_finite", message="The array 'x' has NaN in 1 of 256 values."),
        Notice(pointer="/fit", code="suspicious", message="Another notice."),
    ]
    with database.write() as session:
        jobs.create(session, make_spec(), notices)
        claimed = leases.claim(session, "w1", ["default"], [], 30)
        assert claimed is not None
        job = leases.held_job(session, claimed.lease)
        recording.record_epoch(session, job, epoch_ended(1, {"loss": math.nan, "val_loss": 1.0}))
        diagnosis = diagnoses.read(session, job)
    assert diagnosis is not None
    assert "The array 'x' has NaN in 1 of 256 values." in diagnosis.summary
    assert "Another notice." not in diagnosis.summary


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_pages_are_stable_while_jobs_come_and_go(database: Database, submit: Submit, claim: Claim) -> None:
    ids = [submit() for _ in range(5)]
    assert finish(database, claim().lease)
    with database.read() as session:
        rows, cursor = job_list.list_page(session, Filter(), None, 2)
    assert [row.id for row in rows] == [ids[4], ids[3]]
    assert cursor == ids[3]
    submit()
    with database.write() as session:
        jobs.delete(session, ids[0])
    with database.read() as session:
        rows, cursor = job_list.list_page(session, Filter(), cursor, 2)
    assert ([row.id for row in rows], cursor) == ([ids[2], ids[1]], None)


@pytest.mark.parametrize("few", [1, 2, 1000], ids=["all labels are common", "some are", "all labels are rare"])
def test_labels_and_other_filters_go_together(
    database: Database, submit: Submit, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them the database starts from, the jobs are the same, in pages of any size."""
    monkeypatch.setattr(job_list, "_FEW_JOBS", few)
    ids = [
        submit(name=f"job{n % 2}", labels={"team": f"t{n % 3}", "kind": "a", **({"rare": "x"} if n == 4 else {})})
        for n in range(8)
    ]
    newest_first = ids[::-1]

    def expected(passes: Callable[[int], bool]) -> list[str]:
        return [job_id for job_id in newest_first if passes(ids.index(job_id))]

    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"labels": [("kind", "a")]}, newest_first),
        ({"labels": [("team", "t1")]}, expected(lambda n: n % 3 == 1)),
        ({"labels": [("team", "t1")], "name": "job0"}, expected(lambda n: n % 6 == 4)),
        ({"labels": [("kind", "a"), ("team", "t2")], "states": [JobState.QUEUED]}, expected(lambda n: n % 3 == 2)),
        ({"labels": [("kind", "a"), ("rare", "x")]}, [ids[4]]),
        ({"labels": [("kind", "a"), ("rare", "x")], "states": [JobState.RUNNING]}, []),
    ]
    for filters, wanted in cases:
        listed, cursor = [], None
        while True:
            with database.read() as session:
                rows, cursor = job_list.list_page(session, Filter(**filters), cursor, 2)
            listed += [row.id for row in rows]
            if cursor is None:
                break
        assert listed == wanted, filters


def test_lists_are_filtered_before_they_are_cut_into_pages(database: Database, submit: Submit, claim: Claim) -> None:
    vision = submit(labels={"team": "vision", "kind": "a"}, name="one")
    for _ in range(3):
        submit(labels={"team": "text", "kind": "a"})
    large = submit(resources={"pool": "large"})
    running = claim(pools=("large",)).lease.job_id
    assert running == large
    assert _list_ids(database, limit=1, labels=[("team", "vision")]) == [vision]
    assert _list_ids(database, labels=[("team", "vision"), ("kind", "b")]) == []
    assert _list_ids(database, labels=[("team", "vision"), ("team", "text")]) == [], "no job has both"
    assert len(_list_ids(database, labels=[("kind", "a")])) == 4
    assert _list_ids(database, pool="large") == [large]
    assert _list_ids(database, name="one") == [vision]
    assert _list_ids(database, states=[JobState.RUNNING]) == [large]
    assert len(_list_ids(database, states=[JobState.RUNNING, JobState.QUEUED])) == 5
    assert _list_ids(database, states=[JobState.FAILED]) == []


# --- Idempotency ------------------------------------------------------------------------------------------------------


def test_the_same_idempotency_key_returns_the_same_job(database: Database, make_spec: MakeSpec) -> None:
    def create(key: str, sha256: str, token: str = "tok_1") -> str:
        with database.write() as session:
            return jobs.create(session, make_spec(), [], token_id=token, idempotency=Idempotency(key, sha256)).id

    first = create("k", "a")
    assert create("k", "a") == first
    assert create("other", "a") != first
    assert create("k", "b", token="tok_2") != first, "each token has keys of its own"
    message = rf"^The Idempotency-Key 'k' was used for {first}, with another body\.$"
    with pytest.raises(IdempotencyMismatch, match=message):
        create("k", "b")
    assert len(_list_ids(database)) == 3


def test_concurrent_requests_with_the_same_key_create_one_job(database: Database, make_spec: MakeSpec) -> None:
    spec = make_spec()
    ids: list[str] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        with database.write() as session:
            ids.append(jobs.create(session, spec, [], token_id="t", idempotency=Idempotency("k", "a")).id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert set(ids) == set(_list_ids(database))
    assert len(set(ids)) == 1


def test_a_job_whose_data_set_was_deleted_is_not_created(database: Database, make_spec: MakeSpec) -> None:
    message = r"^A data set was deleted while the job was checked: ds_gone\.$"
    with pytest.raises(DatasetNotFound, match=message), database.write() as session:
        jobs.create(session, make_spec(), [], dataset_id="ds_gone")


def test_a_list_reads_nothing_large(database: Database, submit: Submit) -> None:
    job_id = submit(labels={"team": "vision", "course": "ml"})
    with database.read() as session:
        [job], _ = job_list.list_page(session, Filter(labels=[("team", "vision")] * 16), None, 10)
        [details] = job_details.read_all(session, [job], 30)
        assert {"spec", "notices", "model_summary"} <= inspect(job).unloaded
        whole = jobs.get_whole(session, job_id)
    assert details.labels == {"team": "vision", "course": "ml"} == whole.spec["labels"]


# --- Deletion ---------------------------------------------------------------------------------------------------------


def test_deleting_an_ended_job_deletes_everything_that_belongs_to_it(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit(labels={"team": "vision"})
    message = rf"^The job {job_id} is queued; cancel it first\.$"
    with pytest.raises(JobNotEnded, match=message), database.write() as session:
        jobs.delete(session, job_id)
    lease = claim().lease
    written = checkpoint_written(["best", "last"], format="keras")
    with database.write() as session:
        recording.record_checkpoint(session, leases.held_job(session, lease), written, "checkpoints/a/1")
        attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
    with database.write() as session:
        jobs.delete(session, job_id)
    with database.read() as session, pytest.raises(JobNotFound):
        jobs.get(session, job_id)
    assert _delete_rows(database) == ["checkpoints/a/1"]
    with database.read() as session:
        for table in ("jobs", "events", "job_labels", "checkpoints"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        for read in (jobs.get, jobs.get_whole, jobs.version):
            with pytest.raises(JobNotFound):
                read(session, job_id)


def test_a_deleted_job_is_gone_before_its_rows_are(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit(name="digits", labels={"team": "vision"})
    other = submit(labels={"team": "vision"})
    assert finish(database, claim().lease)
    with database.write() as session:
        jobs.delete(session, job_id)

    assert _list_ids(database) == _list_ids(database, labels=[("team", "vision")]) == [other]
    with database.write() as session:
        for refuse in (jobs.get, jobs.version, jobs.delete, actions.cancel, actions.resume):
            with pytest.raises(JobNotFound):
                refuse(session, job_id)
        with pytest.raises(JobNotFound):
            actions.extend(session, job_id, 1)


def test_the_key_of_a_deleted_job_creates_a_new_one(database: Database, make_spec: MakeSpec) -> None:
    with database.write() as session:
        token = tokens.create(session, "tests")
        token_id = tokens.verify(session, token)
    key = Idempotency("k", "0" * 64)
    ids = []
    for _ in range(2):
        with database.write() as session:
            job = jobs.create(session, make_spec(), [], token_id=token_id, idempotency=key)
            ids.append(job.id)
        with database.write() as session:
            actions.cancel(session, job.id)
            jobs.delete(session, job.id)

    assert len(set(ids)) == 2


def test_a_step_deletes_few_rows_and_the_last_one_the_job(
    database: Database, submit: Submit, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows a job has, no transaction deletes more than a step's."""
    assert step_metrics.MAX_POINTS <= deletions.ROWS
    monkeypatch.setattr(deletions, "ROWS", 3)
    monkeypatch.setattr(deletions, "EPOCHS", 2)
    monkeypatch.setattr(step_metrics, "MAX_POINTS", 3)
    job_id = submit(fit={"epochs": 10})
    other = submit()
    lease = claim().lease
    with database.write() as session:
        job = leases.held_job(session, lease)
        for epoch in range(1, 8):
            recording.record_epoch(session, job, epoch_ended(epoch))
            step_metrics.add(session, job, Position(epoch, 1), {"loss": 1.0})
            recording.record_checkpoint(
                session,
                job,
                checkpoint_written([f"{epoch}", f"same-{epoch}"], format="keras"),
                f"checkpoints/a/{epoch}",
            )
        attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
        jobs.delete(session, job_id)

    steps, sizes = 0, [_count_rows(database, job_id)]
    keys: list[str] = []
    while sizes[-1] and steps < 100:
        with database.write() as session:
            keys += deletions.delete_some(session) or []
        sizes.append(_count_rows(database, job_id))
        steps += 1
    deleted = [before - after for before, after in itertools.pairwise(sizes)]
    assert sizes[-1] == 0
    assert max(deleted) <= 6, "two names of each of three files"
    assert sorted(keys) == [f"checkpoints/a/{epoch}" for epoch in range(1, 8)]
    with database.write() as session:
        assert deletions.delete_some(session) is None
    assert _list_ids(database) == [other]


def _count_rows(database: Database, job_id: str) -> int:
    counts = ["SELECT count(*) FROM jobs WHERE id = :job_id"]
    for table in ("events", "epochs", "epoch_metrics", "step_metrics", "checkpoints"):
        counts.append(f"SELECT count(*) FROM {table} WHERE job_id = :job_id")
    with database.read() as session:
        return sum(session.execute(text(query), {"job_id": job_id}).scalar_one() for query in counts)
