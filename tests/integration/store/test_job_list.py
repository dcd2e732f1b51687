"""Lists of jobs: filters, orders and pages. test_rows_read.py looks at what the databases read for them."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from fitqueue.errors import InvalidRequest
from fitqueue.job_sort import JobSort
from fitqueue.states import JobState
from service import clock
from service.db import Database
from service.models import Job
from service.store import actions, datasets, job_cursors, job_list, jobs, tokens
from service.store.job_list import Filter
from tests.integration.fixture_types import MakeSpec, Submit
from tests.integration.store.operations import get_job

SubmitBy = Callable[..., str]


def _pages(database: Database, sort: JobSort, limit: int, **filters: Any) -> list[str]:
    """Return the ids of all pages."""
    listed: list[str] = []
    cursor = None
    while True:
        with database.read() as session:
            rows, cursor = job_list.list_page(session, Filter(**filters), cursor, limit, sort)
        assert 1 <= len(rows) <= limit or cursor is None
        listed += [row.id for row in rows]
        if cursor is None:
            return listed


@pytest.fixture
def add_token(database: Database) -> Callable[[str], str]:
    """A function that creates a token of a name, and returns its id."""

    def add(name: str) -> str:
        with database.write() as session:
            token_id = tokens.verify(session, tokens.create(session, name))
        assert token_id is not None
        return token_id

    return add


@pytest.fixture
def submit_by(database: Database, make_spec: MakeSpec) -> SubmitBy:
    """A function that stores a job with a token and data sets, and returns its id."""

    def submit(token_id: str | None, dataset: str | None = None, weights: str | None = None, **fields: Any) -> str:
        with database.write() as session:
            job = jobs.create(
                session,
                make_spec(**fields),
                [],
                token_id=token_id,
                dataset_id=dataset,
                weights_dataset_id=weights,
            )
            return job.id

    return submit


# --- Orders -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def various_jobs(database: Database, submit: Submit) -> list[Job]:
    """Jobs of which some have names, some have ended, and several tie. Returned in the order of their ids."""
    rng = random.Random(5)
    names = ["a", "b", "B", "é", "a.b", "~", None]
    ids = [
        submit(name=rng.choice(names), labels={"kind": "all", **({"rare": "x"} if n % 5 == 0 else {})})
        for n in range(15)
    ]
    with database.write() as session:
        now = clock.now(session)
        for job_id in rng.sample(ids, 9):
            actions.cancel(session, job_id)
            at = now + timedelta(microseconds=rng.randint(0, 2))
            session.execute(update(Job).where(Job.id == job_id).values(finished_at=at))
    return [get_job(database, job_id) for job_id in ids]


def _is_listed(job: Job, filters: dict[str, Any]) -> bool:
    return ("states" not in filters or job.state in filters["states"]) and (
        "name" not in filters or job.name == filters["name"]
    )


FILTERS: list[dict[str, Any]] = [
    {},
    {"states": [JobState.QUEUED]},
    {"states": [JobState.CANCELLED]},
    {"states": [JobState.CANCELLED, JobState.QUEUED]},
    {"name": "a"},
    {"labels": [("kind", "all")]},
    {"states": [JobState.CANCELLED, JobState.QUEUED], "labels": [("kind", "all")]},
]


@pytest.mark.parametrize("few", [0, 1000], ids=["all is common", "all is rare"])
@pytest.mark.parametrize("sort", JobSort)
def test_each_order_is_the_same_in_pages_of_any_size(
    database: Database, various_jobs: list[Job], sort: JobSort, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_list, "_FEW_JOBS", few)
    with database.read() as session:
        # The order of names is the database's: it has a collation, and Python has not.
        by_name = list(session.scalars(text("SELECT id FROM jobs WHERE name IS NOT NULL ORDER BY name, id")))
    named = sorted(various_jobs, key=lambda job: (job.name is None, by_name.index(job.id) if job.name else job.id))
    newest = various_jobs[::-1]
    ended = sorted((job for job in newest if job.finished_at), key=lambda job: (job.finished_at, job.id), reverse=True)
    orders = {
        JobSort.NEWEST: newest,
        JobSort.OLDEST: various_jobs,
        JobSort.NAME: named,
        JobSort.FINISHED: ended + [job for job in newest if not job.finished_at],
    }
    for filters in FILTERS:
        expected = [job.id for job in orders[sort] if _is_listed(job, filters)]
        for limit in (1, 4, 15):
            assert _pages(database, sort, limit, **filters) == expected, (filters, limit)


def test_names_of_any_length_and_letters_fit_into_a_cursor(database: Database, submit: Submit) -> None:
    longest = "\U0001f40d" * 128
    ids = [submit(name=name) for name in (longest, longest)]
    with database.read() as session:
        rows, cursor = job_list.list_page(session, Filter(), None, 1, JobSort.NAME)
        assert cursor is not None
        assert len(cursor) <= job_cursors.MAX_CHARACTERS
        rest, end = job_list.list_page(session, Filter(), cursor, 1, JobSort.NAME)
    assert ([row.id for row in [*rows, *rest]], end) == (ids, None)


def test_a_job_that_ends_between_two_pages_moves_no_other(database: Database, submit: Submit) -> None:
    ids = [submit() for _ in range(6)]
    with database.write() as session:
        for job_id in ids[:3]:
            actions.cancel(session, job_id)
    with database.read() as session:
        _, cursor = job_list.list_page(session, Filter(), None, 2, JobSort.FINISHED)
    with database.write() as session:
        actions.cancel(session, ids[4])
        jobs.delete(session, ids[1])
    with database.read() as session:
        rows, _ = job_list.list_page(session, Filter(), cursor, 10, JobSort.FINISHED)
    assert [row.id for row in rows] == [ids[0], ids[5], ids[3]]


def test_a_cursor_of_another_order_is_refused(database: Database, submit: Submit) -> None:
    for _ in range(2):
        submit(name="a")
    with database.read() as session:
        cursors = {sort: job_list.list_page(session, Filter(), None, 1, sort)[1] for sort in JobSort}
        for sort in JobSort:
            for other in set(JobSort) - {sort}:
                with pytest.raises(InvalidRequest) as caught:
                    job_list.list_page(session, Filter(), cursors[other], 1, sort)
                [fault] = caught.value.errors
                assert (fault.pointer, fault.code) == ("cursor", "invalid_cursor")
                assert fault.message == f"A cursor of `sort={other}` was sent with `sort={sort}`."


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        (JobSort.NAME, "name.!.job_1"),
        (JobSort.NAME, "name.AA==.job_1"),
        (JobSort.NAME, "name._w==.job_1"),
        (JobSort.NAME, "name.A.job_1"),
        (JobSort.NAME, "job_1"),
        (JobSort.OLDEST, "oldest.YQ==.job_1"),
        (JobSort.FINISHED, "finished.YQ==.job_1"),
        (JobSort.FINISHED, f"finished.{'9' * 18}.job_1"),
        (JobSort.FINISHED, f"finished.{'9' * 300}.job_1"),
        (JobSort.FINISHED, f"finished.{'9' * 5000}.job_1"),
    ],
)
def test_a_cursor_that_no_list_has_given_is_refused(database: Database, sort: JobSort, cursor: str) -> None:
    with database.read() as session, pytest.raises(InvalidRequest):
        job_list.list_page(session, Filter(), cursor, 1, sort)


# --- Who submitted a job, and its data set ----------------------------------------------------------------------------


@pytest.mark.parametrize("few", [0, 16], ids=["many tokens", "few tokens"])
def test_jobs_are_filtered_by_the_name_of_their_token(
    database: Database,
    submit_by: SubmitBy,
    add_token: Callable[[str], str],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_list, "_FEW_TOKENS", few)
    adas, bobs = [add_token("ada") for _ in range(3)], add_token("bob")
    by = [*adas, bobs, adas[0], None, adas[1], "tok_unknown"]
    ids = [submit_by(token_id, name=f"n{n % 2}", labels={"kind": "a"}) for n, token_id in enumerate(by)]
    with database.write() as session:
        tokens.revoke(session, adas[1])
    of_ada = [job_id for job_id, token_id in zip(ids, by, strict=True) if token_id in adas]
    for limit in (1, 2, 10):
        assert _pages(database, JobSort.NEWEST, limit, submitted_by="ada") == of_ada[::-1]
        assert _pages(database, JobSort.OLDEST, limit, submitted_by="ada") == of_ada
        assert _pages(database, JobSort.NAME, limit, submitted_by="ada") == [
            *(job_id for job_id in of_ada if ids.index(job_id) % 2 == 0),
            *(job_id for job_id in of_ada if ids.index(job_id) % 2 == 1),
        ]
        assert _pages(database, JobSort.OLDEST, limit, submitted_by="ada", labels=[("kind", "a")]) == of_ada
    assert _pages(database, JobSort.NEWEST, 10, submitted_by="bob") == [ids[3]]
    assert _pages(database, JobSort.NEWEST, 10, submitted_by="bob", states=[JobState.RUNNING]) == []
    assert _pages(database, JobSort.NEWEST, 10, submitted_by="nobody") == []


def test_jobs_are_filtered_by_the_data_set_that_they_use(
    database: Database, submit_by: SubmitBy, add_token: Callable[[str], str]
) -> None:
    with database.write() as session:
        for name in ("letters", "weights"):
            datasets.create(session, f"ds_{name}", name, name, 10, {})
    ada = add_token("ada")
    used = [("ds_letters", None), (None, None), ("ds_letters", "ds_weights"), (None, "ds_letters")]
    ids = [submit_by(ada if n else None, *both, labels={"n": str(n)}) for n, both in enumerate(used)]
    for reference in ("letters", "ds_letters"):
        for limit in (1, 10):
            assert _pages(database, JobSort.NEWEST, limit, dataset=reference) == [ids[3], ids[2], ids[0]]
            assert _pages(database, JobSort.OLDEST, limit, dataset=reference, submitted_by="ada") == [ids[2], ids[3]]
    assert _pages(database, JobSort.NEWEST, 10, dataset="letters", labels=[("n", "2")]) == [ids[2]]
    assert _pages(database, JobSort.NEWEST, 10, dataset="weights") == [ids[2]]
    assert _pages(database, JobSort.NEWEST, 10, dataset="digits") == ids[::-1], "the data of all is the built-in one"
    assert _pages(database, JobSort.NEWEST, 10, dataset="mnist") == []
    assert _pages(database, JobSort.NEWEST, 10, dataset="nothing") == []
