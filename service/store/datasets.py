"""Uploaded data sets. The same content may have several names; each of them is a data set with a file of its own."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import delete as delete_rows
from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.datasets import BUILTIN, ArrayInfo, DatasetInfo
from fitqueue.errors import DatasetInUse, DatasetNotFound, NameTaken
from fitqueue.states import FINAL_STATES
from fitqueue.views import LeftOutArray
from service import clock
from service.models import Dataset, Job
from service.storage import dataset_key
from service.store import tokens
from service.store.cursors import invalid_cursor

_ARRAY: Final = TypeAdapter(ArrayInfo)
_CURSOR: Final = re.compile("ds_[A-Za-z0-9_]+")
_RENEWED_AFTER: Final = timedelta(hours=1)


def create(
    session: Session,
    dataset_id: str,
    name: str,
    sha256: str,
    size: int,
    arrays: Mapping[str, ArrayInfo],
    left_out: Sequence[LeftOutArray] = (),
    *,
    sent_sha256: str | None = None,
    token_id: str | None = None,
) -> tuple[Dataset, bool]:
    """Return the data set with this content and name, and whether it is new.

    Args:
        sent_sha256: the sha256 of what was sent, if it was converted.
        token_id: the token that uploads it.

    Raises:
        NameTaken: a data set with other content has this name.
    """
    if name in BUILTIN:
        raise NameTaken(f"'{name}' is the name of a built-in data set.")
    now = clock.now(session)
    dataset = Dataset(
        id=dataset_id,
        name=name,
        sha256=sha256,
        size=size,
        storage_key=dataset_key(dataset_id),
        arrays=[{"name": array, **_ARRAY.dump_python(info, mode="json")} for array, info in arrays.items()],
        left_out=[array.model_dump() for array in left_out],
        sent_sha256=sent_sha256,
        created_at=now,
        last_used_at=now,
        token_id=token_id,
    )
    try:
        with session.begin_nested():
            session.add(dataset)
    except IntegrityError as error:
        existing = with_content(session, sha256, name)
        if existing is None:
            raise NameTaken(f"Another data set already has the name '{name}'.") from error
        return existing, False
    return dataset, True


def newest_key(session: Session) -> str | None:
    """Return the storage key of the newest data set."""
    return session.scalar(select(Dataset.storage_key).order_by(Dataset.created_at.desc()).limit(1))


def find(session: Session, reference: str) -> Dataset | None:
    """Return the uploaded data set with this id or name."""
    return session.scalar(select(Dataset).where(or_(Dataset.id == reference, Dataset.name == reference)))


def get(session: Session, reference: str) -> Dataset:
    """Return the uploaded data set with this id or name.

    Raises:
        DatasetNotFound: there is none.
    """
    dataset = find(session, reference)
    if dataset is None:
        raise DatasetNotFound(f"There is no data set '{reference}'.")
    return dataset


def info(dataset: Dataset) -> DatasetInfo:
    """Return what the check of a job needs to know."""
    arrays = {array["name"]: _ARRAY.validate_python(array) for array in dataset.arrays}
    left_out = {array["name"]: array["reason"] for array in dataset.left_out}
    return DatasetInfo(dataset.name, arrays, left_out)


def list_page(
    session: Session,
    before: str | None,
    limit: int,
    *,
    unnamed: bool = False,
    sha256: str | None = None,
    submitted_by: str | None = None,
) -> tuple[Sequence[Dataset], str | None]:
    """Return a page of uploaded data sets, newest first, and the cursor of the next page.

    Args:
        before: the cursor.
        limit: how many rows a page has.
        unnamed: those without a name, too.
        sha256: only those with this content, as it is stored or as it was sent.
        submitted_by: only those that were uploaded with a token of this name.

    Raises:
        InvalidRequest: the cursor is not one of this list.
    """
    conditions = _conditions(session, unnamed=unnamed, sha256=sha256, submitted_by=submitted_by)
    query = select(Dataset).where(*conditions).order_by(Dataset.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Dataset.id < _id_of(before))
    rows = session.scalars(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def count(session: Session, *, unnamed: bool, sha256: str | None, submitted_by: str | None) -> int:
    """Return how many data sets the pages of a list have."""
    conditions = _conditions(session, unnamed=unnamed, sha256=sha256, submitted_by=submitted_by)
    return session.scalar(select(func.count()).select_from(Dataset).where(*conditions)) or 0


def _conditions(
    session: Session, *, unnamed: bool, sha256: str | None, submitted_by: str | None
) -> Iterator[ColumnElement[bool]]:
    if not unnamed:
        yield Dataset.name != Dataset.id
    if sha256 is not None:
        yield _has_content(sha256)
    if submitted_by is not None:
        yield Dataset.token_id.in_(tokens.ids_of(session, submitted_by))


def _id_of(cursor: str) -> str:
    """Return the id of the last data set of the page that has given this cursor."""
    if _CURSOR.fullmatch(cursor) is None:
        raise invalid_cursor(cursor, "No list of data sets has given this cursor.")
    return cursor


def delete(session: Session, reference: str) -> str:
    """Delete a data set. Ended jobs forget which one they used.

    Returns:
        Its storage key. The caller deletes the file after the commit.

    Raises:
        DatasetNotFound: there is none.
        DatasetInUse: a job that has not ended needs it.
    """
    dataset = get(session, reference)
    # The lock keeps new jobs with this data set waiting until it is gone; then they are refused.
    session.refresh(dataset, with_for_update=True)
    job_id = session.scalar(
        select(Job.id).where(_uses(dataset.id), Job.state.not_in(FINAL_STATES)).order_by(Job.id).limit(1)
    )
    if job_id is not None:
        raise DatasetInUse(f"The job {job_id} has not ended and needs the data set '{dataset.name}'.")
    session.delete(dataset)
    session.flush()
    return dataset.storage_key


def with_content(session: Session, sha256: str, name: str | None) -> Dataset | None:
    """Return the data set whose file has this sha256, and which has this name; without a name, the oldest one."""
    query = select(Dataset).where(Dataset.sha256 == sha256).order_by(Dataset.created_at, Dataset.id).limit(1)
    return session.scalar(query if name is None else query.where(Dataset.name == name))


def to_renew(session: Session, sha256: str) -> list[str]:
    """Return the ids of the data sets with this content for which `renew` would change anything."""
    before = clock.now(session) - _RENEWED_AFTER
    return list(session.scalars(select(Dataset.id).where(_has_content(sha256), _last_used_before(before))))


def renew(session: Session, ids: Iterable[str]) -> None:
    """Note that data sets are used, in an order in which two calls do not wait for each other.

    Only the hour is kept: jobs that are submitted together need not wait for each other's row.
    """
    now = clock.now(session)
    for dataset_id in sorted(ids):
        session.execute(
            update(Dataset)
            .where(Dataset.id == dataset_id, _last_used_before(now - _RENEWED_AFTER))
            .values(last_used_at=now)
            .execution_options(synchronize_session=False)
        )


def delete_unused(session: Session, unused_for: timedelta, limit: int) -> list[str]:
    """Delete some data sets without a name that no job needs, or has used for this long.

    Returns:
        Their storage keys. The caller deletes the files after the commit.
    """
    before = clock.now(session) - unused_for
    in_use = exists().where(_uses(Dataset.id), or_(Job.state.not_in(FINAL_STATES), Job.finished_at >= before))
    unused = (Dataset.name == Dataset.id, _last_used_before(before), ~in_use)
    # The lock keeps new jobs waiting, as in `delete`. One that came before it is seen by the second query.
    candidates = select(Dataset.id).where(*unused).order_by(Dataset.id).limit(limit)
    ids = session.scalars(candidates.with_for_update(skip_locked=True, of=Dataset)).all()
    deleted = delete_rows(Dataset).where(Dataset.id.in_(ids), *unused).returning(Dataset.storage_key)
    return list(session.scalars(deleted.execution_options(synchronize_session=False)))


def _has_content(sha256: str) -> ColumnElement[bool]:
    return or_(Dataset.sha256 == sha256, Dataset.sent_sha256 == sha256)


def _last_used_before(time: datetime) -> ColumnElement[bool]:
    return or_(Dataset.last_used_at.is_(None), Dataset.last_used_at < time)


def _uses(dataset_id: str | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that a job was submitted with a data set."""
    return or_(Job.dataset_id == dataset_id, Job.weights_dataset_id == dataset_id)
