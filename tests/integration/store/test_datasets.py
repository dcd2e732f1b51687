import pytest

from fitqueue.datasets import ArrayInfo, ArrayValues, ClassCount
from fitqueue.errors import DatasetInUse, DatasetNotFound, NameTaken
from fitqueue.views import LeftOutArray
from service.db import Database
from service.store import actions, attempt_outcomes, datasets, jobs, tokens
from service.store.datasets import DatasetFilter
from tests.integration.fixture_types import Claim, MakeSpec

ARRAYS = {"x": ArrayInfo((3, 2), "float32")}


def _create(database: Database, name: str, sha256: str) -> tuple[str, bool]:
    """Return the id of the data set, and whether it is new."""
    with database.write() as session:
        row, is_new = datasets.create(session, f"ds_{name}_{sha256}", name, sha256, 10, ARRAYS)
        return row.id, is_new


def test_the_same_content_may_have_two_names(database: Database) -> None:
    first, is_new = _create(database, "one", "aa")
    assert is_new
    second, is_new = _create(database, "two", "aa")
    assert is_new
    assert second != first
    with pytest.raises(NameTaken, match=r"^Another data set already has the name 'one'\.$"):
        _create(database, "one", "bb")
    with pytest.raises(NameTaken, match=r"^'mnist' is the name of a built-in data set\.$"):
        _create(database, "mnist", "cc")
    with database.write() as session:
        assert datasets.delete(session, "one").storage_key == f"datasets/{first}.npz"
    with database.read() as session:
        assert datasets.get(session, "two").id == datasets.get(session, second).id == second
        with pytest.raises(DatasetNotFound, match=r"^There is no data set 'one'\.$"):
            datasets.get(session, "one")
        info = datasets.info(datasets.get(session, "two"))
    assert (info.name, info.arrays) == ("two", ARRAYS)


def test_the_same_content_under_the_same_name_is_one_data_set(database: Database) -> None:
    first, _ = _create(database, "one", "aa")
    with database.write() as session:
        row, is_new = datasets.create(session, "ds_later", "one", "aa", 10, ARRAYS)
        assert (row.id, is_new) == (first, False)
    with database.read() as session:
        found = datasets.with_content(session, "aa", None)
        assert found is not None
        assert found.id == first
        assert datasets.with_content(session, "aa", "two") is None


def test_what_is_known_of_the_values_is_stored(database: Database) -> None:
    classes = (ClassCount(3, 2, 0, 1), ClassCount(-1, 1, 2, 2))
    arrays = {
        "labels": ArrayInfo((3,), "int64", ArrayValues(-1, 3, classes=classes)),
        "empty": ArrayInfo((2,), "float32", ArrayValues(None, None, nan=1, infinite=1)),
        "large": ArrayInfo((1,), "uint64", ArrayValues(2**64 - 1, 2**64 - 1)),
        "rows": ArrayInfo((1, 2), "float32", ArrayValues(0.25, 1.0, integral=False, labels_per_sample=2)),
    }
    left_out = [LeftOutArray(name="text", reason="its type is text")]
    with database.write() as session:
        datasets.create(session, "ds_1", "one", "aa", 10, arrays, left_out)
    with database.read() as session:
        row = datasets.get(session, "one")
        assert datasets.info(row).arrays == arrays
        assert datasets.info(row).left_out == {"text": "its type is text"}
        assert row.left_out == [{"name": "text", "reason": "its type is text"}]


def test_data_sets_are_listed_in_pages_newest_first(database: Database) -> None:
    for n in range(3):
        _create(database, f"set{n}", f"{n}")
    with database.read() as session:
        first_page, cursor = datasets.list_page(session, None, 2, DatasetFilter())
        second_page, end = datasets.list_page(session, cursor, 2, DatasetFilter())
    assert [row.name for row in [*first_page, *second_page]] == ["set2", "set1", "set0"]
    assert end is None


def test_data_sets_are_filtered_by_the_name_of_their_token(database: Database, ada: str) -> None:
    with database.write() as session:
        again = tokens.verify(session, tokens.create(session, "ada"))
        by = [ada, None, "tok_unknown", again, ada]
        for n, token_id in enumerate(by):
            datasets.create(session, f"ds_{n}", f"name{n}", f"{n}", 10, ARRAYS, token_id=token_id)
    with database.read() as session:
        first, cursor = datasets.list_page(session, None, 2, DatasetFilter(submitted_by="ada"))
        rest, end = datasets.list_page(session, cursor, 2, DatasetFilter(submitted_by="ada"))
        nobodys = datasets.list_page(session, None, 2, DatasetFilter(submitted_by="nobody"))
    assert ([row.id for row in [*first, *rest]], end) == (["ds_4", "ds_3", "ds_0"], None)
    assert nobodys == ([], None)


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
        attempt_outcomes.requeue(session, claimed.lease, "The worker was shut down.")
    with database.write() as session:
        assert datasets.delete(session, "one").storage_key == f"datasets/{dataset_id}.npz"
    with database.read() as session:
        assert jobs.get(session, job_id).dataset_id is None
