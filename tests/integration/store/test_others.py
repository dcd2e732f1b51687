"""Tokens, workers, data sets, and the connection itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import DatabaseUnavailable, DatasetInUse, DatasetNotFound, NameTaken
from fitqueue.spec import JobSpec
from fitqueue.views import ArrayView
from service.db import Database
from service.models import Token
from service.store import actions, datasets, jobs, leases, tokens, workers
from service.store.leases import ClaimedJob

ARRAYS = [ArrayView(name="x", shape=[3, 2], dtype="float32")]


def _create(database: Database, name: str, sha256: str) -> tuple[str, bool]:
    with database.write() as session:
        row, is_new = datasets.create(session, f"ds_{name}_{sha256}", name, sha256, 10, ARRAYS)
        return row.id, is_new


def test_a_token_is_known_until_it_is_revoked(database: Database) -> None:
    with database.write() as session:
        token = tokens.create(session, name="ci")
        other = tokens.create(session, name="other")
    with database.read() as session:
        token_id = tokens.verify(session, token)
        assert token_id is not None
        assert tokens.verify(session, token + "x") is None
        assert tokens.verify(session, "") is None
        assert tokens.verify(session, "\udcff") is None
        rows = tokens.list_all(session)
        assert [(row.name, row.revoked_at) for row in rows] == [("ci", None), ("other", None)]
        assert all(token not in str(vars(row)) for row in rows), "the token itself is nowhere"
    with database.write() as session:
        assert tokens.revoke(session, token_id)
        assert not tokens.revoke(session, token_id)
        assert not tokens.revoke(session, "tok_none")
    with database.read() as session:
        assert tokens.verify(session, token) is None
        assert tokens.verify(session, other) is not None
        assert session.query(Token).count() == 2


def test_workers_live_while_they_are_seen(
    database: Database,
    submit: Callable[..., str],
    take: Callable[..., ClaimedJob],
    later: Callable[[float], None],
) -> None:
    with database.write() as session:
        for worker in ("w1", "w2"):
            workers.register(session, worker, host="h", pools=["default"], slots=2, devices=["CPU"], gpus=[])
    job_id = submit()
    take("w1")
    later(20)
    with database.write() as session:
        workers.heartbeat(session, "w1", devices=["CPU"], gpus=[])
        workers.stop(session, "w2")
    with database.read() as session:
        seen = {view.id: view for view in workers.list_all(session, 30)}
    assert (seen["w1"].alive, seen["w1"].jobs, seen["w1"].devices, seen["w1"].slots) == (True, [job_id], ["CPU"], 2)
    assert (seen["w2"].alive, seen["w2"].jobs) == (False, [])
    later(31)
    with database.read() as session:
        assert not any(view.alive for view in workers.list_all(session, 30))
    with database.write() as session:
        workers.register(session, "w2", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    with database.read() as session:
        assert [(view.id, view.alive) for view in workers.list_all(session, 30)] == [("w2", True), ("w1", False)]
    later(2 * 86400)
    with database.write() as session:
        workers.register(session, "w3", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    with database.read() as session:
        assert [view.id for view in workers.list_all(session, 30)] == ["w3"]


def test_the_same_content_is_one_data_set(database: Database) -> None:
    first, is_new = _create(database, "one", "aa")
    assert is_new
    assert _create(database, "two", "aa") == (first, False)
    with pytest.raises(NameTaken, match="one"):
        _create(database, "one", "bb")
    with pytest.raises(NameTaken, match="built-in"):
        _create(database, "mnist", "cc")
    with database.read() as session:
        assert datasets.get(session, "one").id == datasets.get(session, first).id == first
        with pytest.raises(DatasetNotFound):
            datasets.get(session, "two")
        info = datasets.info(datasets.get(session, "one"))
    assert (info.name, info.arrays) == ("one", {"x": ArrayInfo((3, 2), "float32")})


def test_data_sets_in_pages(database: Database) -> None:
    for n in range(3):
        _create(database, f"set{n}", f"{n}")
    with database.read() as session:
        rows, cursor = datasets.list_page(session, None, 2)
        rest, end = datasets.list_page(session, cursor, 2)
    assert [row.name for row in [*rows, *rest]] == ["set2", "set1", "set0"]
    assert end is None


def test_a_data_set_stays_while_a_job_needs_it(
    database: Database, make_spec: Callable[..., JobSpec], take: Callable[..., ClaimedJob]
) -> None:
    dataset_id, _ = _create(database, "one", "aa")
    with database.write() as session:
        job_id = jobs.create(session, make_spec(), [], dataset_id=dataset_id).id
    claimed = take()
    assert claimed.dataset_key == f"datasets/{dataset_id}.npz"
    assert claimed.dataset_sha256 == "aa"
    with pytest.raises(DatasetInUse, match=job_id), database.write() as session:
        datasets.delete(session, "one")
    with database.write() as session:
        actions.cancel(session, job_id)
        leases.requeue(session, claimed.lease, "The worker shuts down.")
    with database.write() as session:
        assert datasets.delete(session, "one") == f"datasets/{dataset_id}.npz"
    with database.read() as session:
        assert jobs.get(session, job_id).dataset_id is None


def test_a_failed_block_writes_nothing(database: Database) -> None:
    def write_and_fail() -> None:
        with database.write() as session:
            tokens.create(session, name="x")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        write_and_fail()
    with database.read() as session:
        assert tokens.list_all(session) == []


def test_a_database_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}"):
        database = Database(url)
        with pytest.raises(DatabaseUnavailable, match="try again"), database.read() as session:
            session.execute(text("SELECT 1"))
        database.close()
