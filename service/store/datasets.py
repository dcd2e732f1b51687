"""Uploaded data sets. The same content may have several names; each of them is a data set with a file of its own."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from service.models import ADMIN_ID, LAB_ID, Dataset, Job, Project
from service.storage import dataset_key
from service.store import projects, submission_limits, tokens, users
from service.store.access import EVERYTHING, Viewer
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
    owner_id: str = ADMIN_ID,
    project: Project | None = None,
    token_id: str | None = None,
) -> tuple[Dataset, bool]:
    """Return the data set with this content and name, and whether it is new.

    Args:
        sent_sha256: the sha256 of what was sent, if it was converted.
        owner_id: the user whose it is.
        project: the project that it belongs to; None: `lab`.
        token_id: the token that uploads it.

    Raises:
        NameTaken: a data set of the project with other content has this name.
        LimitExceeded: the owner or the project would have too many bytes.
    """
    if name in BUILTIN:
        raise NameTaken(f"'{name}' is the name of a built-in data set.")
    project_id = LAB_ID if project is None else project.id
    submission_limits.check_new_dataset(session, owner_id, project_id, size)
    now = clock.now(session)
    dataset = Dataset(
        id=dataset_id,
        name=name if name == dataset_id else name_in(project, name),
        sha256=sha256,
        size=size,
        storage_key=dataset_key(dataset_id),
        arrays=[{"name": array, **_ARRAY.dump_python(info, mode="json")} for array, info in arrays.items()],
        left_out=[array.model_dump() for array in left_out],
        sent_sha256=sent_sha256,
        created_at=now,
        last_used_at=now,
        owner_id=owner_id,
        project_id=project_id,
        token_id=token_id,
    )
    try:
        with session.begin_nested():
            session.add(dataset)
    except IntegrityError as error:
        existing = with_content(session, sha256, name, project)
        if existing is None:
            raise NameTaken(f"Another data set already has the name '{name}'.") from error
        return existing, False
    return dataset, True


def newest_key(session: Session) -> str | None:
    """Return the storage key of the newest data set."""
    return session.scalar(select(Dataset.storage_key).order_by(Dataset.created_at.desc()).limit(1))


def name_in(project: Project | None, name: str) -> str:
    """Return the name under which a project's data set is stored: names of projects other than `lab` begin with it."""
    return name if project is None or project.id == LAB_ID else f"{project.name}/{name}"


def find(
    session: Session, reference: str, viewer: Viewer = EVERYTHING, project: Project | None = None
) -> Dataset | None:
    """Return the uploaded data set with this id or name that the viewer may see.

    A name is looked for in `project` first, then in `lab`, then in the other projects.
    """
    qualified = select(Project.name.concat(f"/{reference}"))
    has_name = or_(Dataset.id == reference, Dataset.name == reference, Dataset.name.in_(qualified))
    found = session.scalars(select(Dataset).where(has_name, *viewer.condition(Dataset))).all()
    preferred = name_in(project, reference)
    return min(
        found,
        key=lambda row: (row.id != reference, row.name != preferred, row.name != reference, row.id),
        default=None,
    )


def get(session: Session, reference: str, viewer: Viewer = EVERYTHING, project: Project | None = None) -> Dataset:
    """Return the uploaded data set with this id or name.

    Raises:
        DatasetNotFound: there is none that the viewer may see.
    """
    dataset = find(session, reference, viewer, project)
    if dataset is None:
        raise DatasetNotFound(f"There is no data set '{reference}'.")
    return dataset


def info(dataset: Dataset) -> DatasetInfo:
    """Return what the check of a job needs to know."""
    arrays = {array["name"]: _ARRAY.validate_python(array) for array in dataset.arrays}
    left_out = {array["name"]: array["reason"] for array in dataset.left_out}
    return DatasetInfo(dataset.plain_name, arrays, left_out)


@dataclass(frozen=True)
class DatasetFilter:
    """Which data sets a list has: those that meet all of it.

    Attributes:
        unnamed: those without a name, too.
        sha256: with this content, as it is stored or as it was sent.
        submitted_by: uploaded with a token of this name.
        owner: of the user with this name.
        project: of the project with this name.
        viewer: those that they may see.
    """

    unnamed: bool = False
    sha256: str | None = None
    submitted_by: str | None = None
    owner: str | None = None
    project: str | None = None
    viewer: Viewer = EVERYTHING


def list_page(
    session: Session, before: str | None, limit: int, filter: DatasetFilter
) -> tuple[Sequence[Dataset], str | None]:
    """Return a page of uploaded data sets, newest first, and the cursor of the next page.

    Raises:
        InvalidRequest: the cursor is not one of this list.
    """
    query = select(Dataset).where(*_conditions(session, filter)).order_by(Dataset.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Dataset.id < _id_of(before))
    rows = session.scalars(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def count(session: Session, filter: DatasetFilter) -> int:
    """Return how many data sets the pages of a list have."""
    return session.scalar(select(func.count()).select_from(Dataset).where(*_conditions(session, filter))) or 0


def _conditions(session: Session, filter: DatasetFilter) -> Iterator[ColumnElement[bool]]:
    yield from filter.viewer.condition(Dataset)
    if not filter.unnamed:
        yield Dataset.name != Dataset.id
    if filter.sha256 is not None:
        yield _has_content(filter.sha256)
    if filter.submitted_by is not None:
        yield Dataset.token_id.in_(tokens.ids_of(session, filter.submitted_by))
    if filter.owner is not None:
        owner = users.find(session, filter.owner)
        yield Dataset.owner_id == (owner.id if owner is not None else None)
    if filter.project is not None:
        project = projects.find(session, filter.project, filter.viewer)
        yield Dataset.project_id == (project.id if project is not None else None)


def _id_of(cursor: str) -> str:
    """Return the id of the last data set of the page that has given this cursor."""
    if _CURSOR.fullmatch(cursor) is None:
        raise invalid_cursor(cursor, "No list of data sets has given this cursor.")
    return cursor


def delete(session: Session, reference: str, viewer: Viewer = EVERYTHING) -> Dataset:
    """Delete a data set. Ended jobs forget which one they used.

    Returns:
        What it was. The caller deletes the file after the commit.

    Raises:
        DatasetNotFound: there is none.
        DatasetInUse: a job that has not ended needs it.
    """
    dataset = get(session, reference, viewer)
    # The lock keeps new jobs with this data set waiting until it is gone; then they are refused.
    session.refresh(dataset, with_for_update=True)
    job = session.scalar(select(Job).where(_uses(dataset.id), Job.state.not_in(FINAL_STATES)).order_by(Job.id).limit(1))
    if job is not None:
        which = f"The job {job.id}" if viewer.sees(job) else "A job"
        raise DatasetInUse(f"{which} has not ended and needs the data set '{dataset.plain_name}'.")
    session.delete(dataset)
    session.flush()
    return dataset


def with_content(session: Session, sha256: str, name: str | None, project: Project | None = None) -> Dataset | None:
    """Return the project's data set whose file has this sha256, and which has this name; without one, the oldest."""
    in_project = Dataset.project_id == (LAB_ID if project is None else project.id)
    query = select(Dataset).where(Dataset.sha256 == sha256, in_project)
    query = query.order_by(Dataset.created_at, Dataset.id).limit(1)
    return session.scalar(query if name is None else query.where(Dataset.name == name_in(project, name)))


def to_renew(session: Session, sha256: str, viewer: Viewer = EVERYTHING) -> list[str]:
    """Return the ids of the data sets with this content that `renew` would change, of those that the viewer may see."""
    before = clock.now(session) - _RENEWED_AFTER
    is_due = (_has_content(sha256), _last_used_before(before), *viewer.condition(Dataset))
    return list(session.scalars(select(Dataset.id).where(*is_due)))


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
