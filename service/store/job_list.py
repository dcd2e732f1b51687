"""Lists of jobs: filtered, sorted, and in pages.

A page starts where the one before ended, by the values of its last job and not by a number of jobs. So jobs that come
or go between two pages do not make others appear twice or be missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, literal, select, tuple_, union
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from fitqueue.datasets import BUILTIN
from fitqueue.job_sort import JobSort
from fitqueue.states import FINAL_STATES, JobState
from service.models import Job, JobLabel
from service.store import datasets, job_cursors, projects, tokens, users
from service.store.access import EVERYTHING, Viewer
from service.store.job_cursors import SortKey

_FEW_JOBS: Final = 1000
"""A label that fewer jobs have is rare, and so is another condition that fewer jobs meet."""

_FEW_TOKENS: Final = 16
"""So many tokens of one name are looked at one by one, each in its index."""

_VALUES: Final[dict[JobSort, InstrumentedAttribute[Any]]] = {JobSort.NAME: Job.name, JobSort.FINISHED: Job.finished_at}
"""The columns that an order compares before the id."""

_DESCENDING: Final = frozenset({JobSort.NEWEST, JobSort.FINISHED})

Conditions = tuple[ColumnElement[bool], ...]
Label = tuple[str, str]


@dataclass(frozen=True)
class Filter:
    """A filter of jobs: in any of the states (all, if empty), and with everything else that is given."""

    states: Sequence[JobState] = ()
    labels: Sequence[Label] = ()
    """Pairs, not a mapping: two values for one key are two conditions, which no job meets."""
    pool: str | None = None
    name: str | None = None
    submitted_by: str | None = None
    """The name of a token; several tokens may have it."""
    dataset: str | None = None
    """The id or name of a data set that a job takes its data or its initial weights from."""
    owner: str | None = None
    """The name of a user."""
    project: str | None = None
    """The name of a project."""
    viewer: Viewer = EVERYTHING

    @property
    def has_only_labels(self) -> bool:
        others = (self.pool, self.name, self.submitted_by, self.dataset, self.owner, self.project)
        return not self.states and all(other is None for other in others)


def list_page(
    session: Session, filter: Filter, cursor: str | None, limit: int, sort: JobSort = JobSort.NEWEST
) -> tuple[Sequence[Job], str | None]:
    """Return a page of jobs, and the cursor of the next page.

    Raises:
        InvalidRequest: the cursor is not one of this order.
    """
    after = None if cursor is None else job_cursors.decode(cursor, sort)
    alternatives = _alternatives(session, filter)
    if not alternatives:
        return [], None
    first = _label_to_start_from(session, filter, sort)
    id_column = JobLabel.job_id if first is not None and len(alternatives) == 1 else Job.id
    rows: list[Job] = []
    for part in _parts(filter, sort, after, id_column):
        missing = limit + 1 - len(rows)
        if missing:
            queries = [_query(session, part, sort, alternative, first) for alternative in alternatives]
            rows += session.scalars(_first_of(queries, part.order, missing))
    has_more = len(rows) > limit
    return rows[:limit], job_cursors.encode(job_cursors.key_of(rows[limit - 1], sort), sort) if has_more else None


def count(session: Session, filter: Filter) -> int:
    """Return how many jobs pass a filter.

    Those that are deleted, and few, are counted apart, in their own index: the others are then counted in the index of
    a condition, without a look at each row.
    """
    alternatives = [[*_conditions(filter), *alternative] for alternative in _alternatives(session, filter)]
    knows_rarest = session.get_bind().dialect.name != "sqlite"

    def selected(*, deleted: bool) -> Iterator[Select[str]]:
        for conditions in alternatives:
            are_met = (condition.is_met(by_index=not deleted or knows_rarest) for condition in conditions)
            selection = select(Job.id).where(*filter.viewer.condition(Job), *_conditions_on(filter.labels), *are_met)
            yield selection.where(Job.deleted_at.is_not(None)) if deleted else selection

    return _count_of(session, [*selected(deleted=False)]) - _count_of(session, [*selected(deleted=True)])


def _count_of(session: Session, selections: Sequence[Select[str]]) -> int:
    """Return how many jobs several selections of ids have together."""
    if not selections:
        return 0
    ids = selections[0].subquery() if len(selections) == 1 else union(*selections).subquery()
    return session.scalar(select(func.count()).select_from(ids)) or 0


# --- Orders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A part of a list: jobs that follow each other in an index."""

    filter: Filter
    conditions: Conditions
    order: Sequence[ColumnElement[Any]]


def _parts(filter: Filter, sort: JobSort, after: SortKey | None, id_column: Any) -> Iterator[_Part]:
    """Yield the parts of the list that come after this key, in their order.

    If the order compares a column that may be NULL, the jobs that have a value there are the first part and the others
    the second one, because the two databases disagree about where NULL belongs.
    """
    column = _VALUES.get(sort)
    if column is None:
        beyond = () if after is None else (_is_beyond(id_column, after.id, sort),)
        yield _Part(filter, beyond, [_directed(id_column, sort)])
        return
    order = [_directed(column, sort), _directed(id_column, sort)]
    with_value, without = _split(filter, sort)
    if with_value and (after is None or after.value is not None):
        beyond = () if after is None else (_is_beyond(tuple_(column, id_column), (after.value, after.id), sort),)
        yield _Part(with_value, (column.is_not(None), *beyond), order)
    if without:
        beyond = () if after is None or after.value is not None else (_is_beyond(id_column, after.id, sort),)
        yield _Part(without, (column.is_(None), *beyond), order)


def _split(filter: Filter, sort: JobSort) -> tuple[Filter | None, Filter | None]:
    """Return the filter of the jobs with a value, and that of those without one; None where no job can pass it."""
    if sort is not JobSort.FINISHED or not filter.states:
        return filter, filter
    ended = [state for state in filter.states if state in FINAL_STATES]
    others = [state for state in filter.states if state not in FINAL_STATES]
    return replace(filter, states=ended) if ended else None, replace(filter, states=others) if others else None


def _directed(column: Any, sort: JobSort) -> ColumnElement[Any]:
    directed: ColumnElement[Any] = column.desc() if sort in _DESCENDING else column.asc()
    return directed


def _is_beyond(key: Any, value: object, sort: JobSort) -> ColumnElement[bool]:
    is_beyond: ColumnElement[bool] = key < value if sort in _DESCENDING else key > value
    return is_beyond


# --- Filters -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Condition:
    """The condition that a column has one of some values. There is an index of the column and the id."""

    column: InstrumentedAttribute[Any]
    values: Sequence[str]

    def is_met(self, *, by_index: bool = True) -> ColumnElement[bool]:
        """Return the condition as SQL. Without `by_index`, SQLite tests it in each row that it reads."""
        column: ColumnElement[Any] = self.column.expression if by_index else _without_index(self.column)
        return column == self.values[0] if len(self.values) == 1 else column.in_(self.values)


def _without_index(column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Return `+column`: to SQLite an expression, for which no index is used."""
    return UnaryExpression(column.expression, operator=custom_op("+"), type_=column.type)


def _conditions(filter: Filter) -> list[_Condition]:
    """Return the conditions of a filter that are neither labels nor alternatives."""
    columns = (
        (Job.state, filter.states),
        (Job.pool, [] if filter.pool is None else [filter.pool]),
        (Job.name, [] if filter.name is None else [filter.name]),
    )
    return [_Condition(column, values) for column, values in columns if values]


def _alternatives(session: Session, filter: Filter) -> list[list[_Condition]]:
    """Return sets of conditions of which a job must meet one. If there are none, no job passes the filter."""
    by_token: list[list[_Condition]] = [[]]
    if filter.submitted_by is not None:
        ids = tokens.ids_of(session, filter.submitted_by)
        groups = [[id] for id in ids] if len(ids) <= _FEW_TOKENS else [ids]
        by_token = [[_Condition(Job.token_id, group)] for group in groups]
    by_dataset: list[list[_Condition]] = [[]]
    if filter.dataset is not None:
        by_dataset = [[condition] for condition in _uses(session, filter.dataset, filter.viewer)]
    by_owner: list[list[_Condition]] = [[]]
    if filter.owner is not None:
        owner = users.find(session, filter.owner)
        by_owner = [] if owner is None else [[_Condition(Job.owner_id, [owner.id])]]
    by_project: list[list[_Condition]] = [[]]
    if filter.project is not None:
        project = projects.find(session, filter.project, filter.viewer)
        by_project = [] if project is None else [[_Condition(Job.project_id, [project.id])]]
    return [list(chain(*each)) for each in product(by_token, by_dataset, by_owner, by_project)]


def _uses(session: Session, reference: str, viewer: Viewer) -> list[_Condition]:
    if reference in BUILTIN:
        return [_Condition(Job.builtin_dataset, [reference])]
    dataset = datasets.find(session, reference, viewer)
    columns = (Job.dataset_id, Job.weights_dataset_id)
    return [] if dataset is None else [_Condition(column, [dataset.id]) for column in columns]


# --- Queries -------------------------------------------------------------------------------------------------------


def _query(
    session: Session, part: _Part, sort: JobSort, alternative: Sequence[_Condition], first: Label | None
) -> Select[Job]:
    """Select the jobs of a part that meet one of the alternatives, from those with the label to start from."""
    conditions = [*_conditions(part.filter), *alternative]
    looked_up = conditions if first is not None else _looked_up(session, conditions, sort)
    are_met = [condition.is_met(by_index=condition in looked_up) for condition in conditions]
    is_visible = part.filter.viewer.condition(Job)
    query = select(Job).where(Job.deleted_at.is_(None), *is_visible, *part.conditions, *are_met)
    query = query.where(*_conditions_on([label for label in part.filter.labels if label != first]))
    return query if first is None else query.join(JobLabel, JobLabel.job_id == Job.id).where(*_is_label(first))


def _first_of(queries: Sequence[Select[Job]], order: Sequence[ColumnElement[Any]], limit: int) -> Select[Job]:
    """Select the first jobs of several queries together.

    Those of each query are looked up in its index. With one query and OR, all jobs would be read and sorted.
    """
    if len(queries) == 1:
        return queries[0].order_by(*order).limit(limit)
    each = [query.with_only_columns(Job.id).order_by(*order).limit(limit).subquery() for query in queries]
    ids = union(*(select(subquery.c.id) for subquery in each))
    return select(Job).where(Job.id.in_(ids)).order_by(*order).limit(limit)


def _looked_up(session: Session, conditions: Sequence[_Condition], sort: JobSort) -> Sequence[_Condition]:
    """Return the conditions that may be looked up in an index; the others are tested in each row.

    PostgreSQL knows how many jobs meet a condition. SQLite does not: it would sort 100,000 succeeded jobs by name, or
    look for a running one among all jobs of a user.
    """
    has_choice = len(conditions) + (sort in _VALUES) > 1
    if session.get_bind().dialect.name != "sqlite" or not has_choice:
        return conditions
    counts = [_count_up_to(session, _FEW_JOBS, condition.is_met()) for condition in conditions]
    rarest = min(range(len(conditions)), key=counts.__getitem__, default=None)
    is_rare = rarest is not None and counts[rarest] < _FEW_JOBS
    if rarest is None or (sort in _VALUES and not is_rare):
        return []
    return [conditions[rarest]]


def _label_to_start_from(session: Session, filter: Filter, sort: JobSort) -> Label | None:
    """Return the label whose jobs are read, in the order of their ids, to look for those that pass the other filters.

    Without one, the jobs that pass the other filters are read. Neither database knows which label is rare: one that
    few jobs have is worth more than any other filter.
    """
    labels = list(dict.fromkeys(filter.labels))
    needs_only_labels = filter.has_only_labels and sort not in _VALUES
    if len(labels) == 1 and needs_only_labels:
        return labels[0]
    counts = {label: _count_up_to(session, _FEW_JOBS, *_is_label(label)) for label in labels}
    rarest = min(counts, key=lambda label: counts[label], default=None)
    return None if rarest is None or (not needs_only_labels and counts[rarest] == _FEW_JOBS) else rarest


def _count_up_to(session: Session, most: int, *conditions: ColumnElement[bool]) -> int:
    """Return how many rows meet the conditions, or `most` if more do."""
    some = select(literal(1)).where(*conditions).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _conditions_on(labels: Sequence[Label]) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that a job has each of these labels."""
    for label in dict.fromkeys(labels):
        other = aliased(JobLabel)
        yield exists().where(other.job_id == Job.id, *_is_label(label, other))


def _is_label(label: Label, row: Any = JobLabel) -> Conditions:
    return row.key == label[0], row.value == label[1]
