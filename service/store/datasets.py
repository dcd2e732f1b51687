"""Data sets that users uploaded, each stored once by its content."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fitqueue.datasets import BUILTIN, ArrayInfo, DatasetInfo
from fitqueue.errors import DatasetInUse, DatasetNotFound, NameTaken
from fitqueue.states import FINAL_STATES
from fitqueue.views import ArrayView
from service import clock
from service.models import Dataset, Job
from service.storage import dataset_key


def create(
    session: Session, dataset_id: str, name: str, sha256: str, size: int, arrays: Sequence[ArrayView]
) -> tuple[Dataset, bool]:
    """The data set of this content, and whether it is new. One that was there keeps its name.

    Raises:
        NameTaken: other content has this name.
    """
    if name in BUILTIN:
        raise NameTaken(f"'{name}' is the name of a built-in data set.")
    existing = of_content(session, sha256)
    if existing is not None:
        return existing, False
    dataset = Dataset(
        id=dataset_id,
        name=name,
        sha256=sha256,
        size=size,
        storage_key=dataset_key(dataset_id),
        arrays=[array.model_dump() for array in arrays],
        created_at=clock.now(session),
    )
    try:
        with session.begin_nested():
            session.add(dataset)
    except IntegrityError as error:
        existing = of_content(session, sha256)
        if existing is None:
            raise NameTaken(f"Another data set has the name '{name}' already.") from error
        return existing, False
    return dataset, True


def newest_key(session: Session) -> str | None:
    """Of the stored file."""
    return session.scalar(select(Dataset.storage_key).order_by(Dataset.created_at.desc()).limit(1))


def find(session: Session, reference: str) -> Dataset | None:
    """The uploaded data set of this id or name."""
    return session.scalar(select(Dataset).where(or_(Dataset.id == reference, Dataset.name == reference)))


def get(session: Session, reference: str) -> Dataset:
    """Raises DatasetNotFound."""
    dataset = find(session, reference)
    if dataset is None:
        raise DatasetNotFound(f"There is no data set '{reference}'.")
    return dataset


def info(dataset: Dataset) -> DatasetInfo:
    """What a job needs to know of it."""
    arrays = {array["name"]: ArrayInfo(tuple(array["shape"]), array["dtype"]) for array in dataset.arrays}
    return DatasetInfo(dataset.name, arrays)


def list_page(session: Session, before: str | None, limit: int) -> tuple[Sequence[Dataset], str | None]:
    """A page of uploaded data sets, newest first, and the cursor of the next one."""
    query = select(Dataset).order_by(Dataset.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Dataset.id < before)
    rows = session.scalars(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def delete(session: Session, reference: str) -> str:
    """Deletes it; its storage key, whose file is to be deleted after the commit. Ended jobs forget which it was.

    Raises:
        DatasetNotFound, DatasetInUse.
    """
    dataset = get(session, reference)
    # The lock keeps new jobs of this data set from being stored until it is gone; then they are refused.
    session.refresh(dataset, with_for_update=True)
    user = session.scalar(
        select(Job.id).where(Job.dataset_id == dataset.id, Job.state.not_in(FINAL_STATES)).order_by(Job.id).limit(1)
    )
    if user is not None:
        raise DatasetInUse(f"The job {user} has not ended and needs the data set '{dataset.name}'.")
    session.delete(dataset)
    session.flush()
    return dataset.storage_key


def of_content(session: Session, sha256: str) -> Dataset | None:
    return session.scalar(select(Dataset).where(Dataset.sha256 == sha256))
