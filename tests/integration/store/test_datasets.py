import pytest

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import DatasetInUse, DatasetNotFound, NameTaken
from service.db import Database
from service.store import actions, datasets, jobs, leases
from tests.integration.fixture_types import Claim, MakeSpec

ARRAYS = {"x": ArrayInfo((3, 2), "float32")}


def _create(database: Database, name: str, sha256: str) -> tuple[str, bool]:
    """Return the id of the data set, and whether it is new."""
    with database.write() as session:
        row, is_new = datasets.create(session, f"ds_{name}_{sha256}", name, sha256, 10, ARRAYS)
        return row.id, is_new


def test_the_same_content_is_stored_as_one_data_set(database: Database) -> None:
    first, is_new = _create(database, "one", "aa")
    assert is_new
    assert _create(database, "two", "aa") == (first, False)
    with pytest.raises(NameTaken, match=r"^Another data set already has the name 'one'\.$"):
        _create(database, "one", "bb")
    with pytest.raises(NameTaken, match=r"^'mnist' is the name of a built-in data set\.$"):
        _create(database, "mnist", "cc")
    with database.read() as session:
        assert datasets.get(session, "one").id == datasets.get(session, first).id == first
        with pytest.raises(DatasetNotFound, match=r"^There is no data set 'two'\.$"):
            datasets.get(session, "two")
        info = datasets.info(datasets.get(session, "one"))
    assert (info.name, info.arrays) == ("one", ARRAYS)


def test_data_sets_are_listed_in_pages_newest_first(database: Database) -> None:
    for n in range(3):
        _create(database, f"set{n}", f"{n}")
    with database.read() as session:
        first_page, cursor = datasets.list_page(session, None, 2)
        second_page, end = datasets.list_page(session, cursor, 2)
    assert [row.name for row in [*first_page, *second_page]] == ["set2", "set1", "set0"]
    assert end is None


def test_a_data_set_cannot_be_deleted_while_a_job_needs_it(
    database: Database, make_spec: MakeSpec, claim: Claim
) -> None:
    dataset_id, _ = _create(database, "one", "aa")
    with database.write() as session:
        job_id = jobs.create(session, make_spec(), [], dataset_id=dataset_id).id
    claimed = claim()
    assert claimed.dataset_key == f"datasets/{dataset_id}.npz"
    assert claimed.dataset_sha256 == "aa"
    message = rf"^The job {job_id} has not ended and needs the data set 'one'\.$"
    with pytest.raises(DatasetInUse, match=message), database.write() as session:
        datasets.delete(session, "one")
    with database.write() as session:
        actions.cancel(session, job_id)
        leases.requeue(session, claimed.lease, "The worker was shut down.")
    with database.write() as session:
        assert datasets.delete(session, "one") == f"datasets/{dataset_id}.npz"
    with database.read() as session:
        assert jobs.get(session, job_id).dataset_id is None
