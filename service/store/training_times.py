"""How long jobs of each kind have taken: what the forecast knows of jobs that have not begun."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import ColumnElement, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from fitqueue.states import Reason
from service.forecast.pace import blended, start_seconds
from service.forecast.similar import nearest
from service.models import Job, TrainingTime

FORGOTTEN_AFTER: Final = timedelta(days=180)
SIMILAR_KINDS: Final = 500
"""Jobs of a kind that is not known are compared with so many kinds, those that were trained last."""

_CHUNK: Final = 500
_IS_FIRST_EPOCH: Final = TrainingTime.paced_epochs < 2
_AS_PLANNED: Final = frozenset({Reason.COMPLETED, Reason.EARLY_STOPPED})


class HasTiming(Protocol):
    """A job, or what was read of one."""

    @property
    def timing_key(self) -> str | None: ...
    @property
    def work(self) -> float | None: ...
    @property
    def pool(self) -> str: ...
    @property
    def gpus(self) -> int: ...


def record(session: Session, job: Job, now: datetime) -> None:
    """Record how long an ended job took, if it ended as planned."""
    pace, epochs = job.seconds_per_epoch, job.epoch - (job.extended_at_epoch or 0)
    if job.reason not in _AS_PLANNED or job.timing_key is None or pace is None or not job.paced_epochs:
        return
    # An extension counts the time anew, and the epochs, but not the attempts.
    attempts = job.attempt if job.extended_at_epoch is None else job.failed_attempts + 1
    seconds = start_seconds(job.seconds_used, epochs, pace, attempts)
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(TrainingTime).values(
        key=job.timing_key,
        pool=job.pool,
        gpus=job.gpus,
        work=job.work,
        seconds_per_epoch=pace,
        start_seconds=seconds,
        paced_epochs=job.paced_epochs,
        updated_at=now,
    )
    # A first epoch, in which Keras traces the model, says little about others: it is replaced, and replaces nothing.
    has_others = job.paced_epochs > 1
    changes = {
        "seconds_per_epoch": _mixed(TrainingTime.seconds_per_epoch, pace, replaces=has_others),
        "start_seconds": _mixed(TrainingTime.start_seconds, seconds, replaces=has_others),
        "paced_epochs": job.paced_epochs,
        "updated_at": now,
    }
    where = None if has_others else _IS_FIRST_EPOCH
    session.execute(row.on_conflict_do_update(index_elements=[TrainingTime.key], set_=changes, where=where))
    _forget(session, now)


def _mixed(column: InstrumentedAttribute[float], newest: float, *, replaces: bool) -> ColumnElement[float]:
    """Return what a column becomes. `replaces`: the newest value is not mixed with that of a first epoch."""
    mixed: ColumnElement[float] = blended(column, newest)
    return case((_IS_FIRST_EPOCH, newest), else_=mixed) if replaces else mixed


def read(session: Session, jobs: Sequence[HasTiming]) -> list[TrainingTime | None]:
    """Return for each job how long jobs of its kind have taken, or else those of a similar size; None if nobody knows.

    Only jobs in the same pool, with as many GPUs, are compared.
    """
    known = _of_kinds(session, {job.timing_key for job in jobs if job.timing_key is not None})
    unknown = {(job.work, job.pool, job.gpus) for job in jobs if job.timing_key not in known and job.work is not None}
    others = _newest(session) if unknown else ()
    similar = {size: _of_similar_size(*size, others) for size in unknown}
    return [known.get(job.timing_key or "") or similar.get((job.work or 0.0, job.pool, job.gpus)) for job in jobs]


def _forget(session: Session, now: datetime) -> None:
    """Forget kinds that nobody has trained for long, except those of which a job ends at this moment."""
    old = select(TrainingTime.key).where(TrainingTime.updated_at < now - FORGOTTEN_AFTER).limit(_CHUNK)
    session.execute(delete(TrainingTime).where(TrainingTime.key.in_(old.with_for_update(skip_locked=True))))


def _of_kinds(session: Session, keys: Collection[str]) -> dict[str, TrainingTime]:
    ordered = sorted(keys)
    rows: dict[str, TrainingTime] = {}
    for start in range(0, len(ordered), _CHUNK):
        query = select(TrainingTime).where(TrainingTime.key.in_(ordered[start : start + _CHUNK]))
        rows |= {row.key: row for row in session.scalars(query)}
    return rows


def _newest(session: Session) -> Sequence[TrainingTime]:
    query = select(TrainingTime).where(TrainingTime.work.is_not(None))
    return session.scalars(query.order_by(TrainingTime.updated_at.desc()).limit(SIMILAR_KINDS)).all()


def _of_similar_size(work: float, pool: str, gpus: int, others: Sequence[TrainingTime]) -> TrainingTime | None:
    rows = [row for row in others if row.pool == pool and row.gpus == gpus]
    index = nearest(work, [row.work or 1.0 for row in rows])
    return None if index is None else rows[index]
