"""What must be true after all jobs have ended, whatever was killed in the meantime."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.states import FINAL_STATES, EventKind
from service.models import Artifact, Checkpoint, Epoch, Event, Job, Snapshot
from service.storage.identity import MARKER
from tests.chaos.limits import problems_of_limits
from tests.chaos.outcome import Outcome, read_outcome
from tests.chaos.preemption import problems_of_preemption
from tests.chaos.retention import outcome_left, problems_of_retention

_ENDED = {EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED}
_LEFT_WORKER = {EventKind.REQUEUED, EventKind.PAUSED, *_ENDED}


@dataclass
class Verdict:
    """The problems of a run. It is good if there are none."""

    jobs: dict[str, list[str]] = field(default_factory=dict)
    """The problems of each job that has any."""
    others: list[str] = field(default_factory=list)
    """Problems that do not belong to one job."""
    unreferenced: list[str] = field(default_factory=list)
    """Files in the storage that no row refers to. A process that is killed between its file and its row leaves one, so
    they are not a problem."""

    @property
    def is_good(self) -> bool:
        return not self.jobs and not self.others


def find_problems(
    session: Session, submitted: Mapping[str, str], expected: Mapping[str, Outcome], storage: Path
) -> Verdict:
    """Compare the database and the storage with what they should contain.

    Args:
        submitted: the kind of each job, by its id.
        expected: the outcome of an undisturbed job of each kind.
        storage: the folder of the storage.
    """
    problems = {job_id: list(_problems_of_job(session, job_id, expected[kind])) for job_id, kind in submitted.items()}
    return Verdict(
        jobs={job_id: lines for job_id, lines in problems.items() if lines},
        others=[
            *_problems_of_all_jobs(session, submitted),
            *_problems_of_files(session, storage),
            *problems_of_limits(session),
            *problems_of_preemption(session),
            *problems_of_retention(session),
        ],
        unreferenced=_unreferenced_files(session, storage),
    )


def _problems_of_job(session: Session, job_id: str, expected: Outcome) -> Iterator[str]:
    job = session.get(Job, job_id)
    if job is None:
        yield "the job is gone"
        return
    yield from read_outcome(session, job_id).differences(outcome_left(session, job, expected))
    of_training = Event.job_id == job_id, Event.kind != EventKind.REMOVED
    rows = session.execute(select(Event.kind, Event.attempt).where(*of_training).order_by(Event.id)).all()
    yield from _problems_of_history([(row.kind, row.attempt) for row in rows], job)


def _problems_of_history(events: Sequence[tuple[EventKind, int]], job: Job) -> Iterator[str]:
    """Check that each attempt begins once and ends once before the next one begins, and that the job ends once, last.

    Args:
        events: the kind of each event, and its attempt.
        job: the job that they belong to.
    """
    ends = [str(kind) for kind, _ in events if kind in _ENDED]
    if ends != [str(job.state)]:
        yield f"final events: {ends}, although the job is {job.state}"
    elif events[-1][0] not in _ENDED:
        yield f"the event {events[-1][0]} follows the end of the job"
    boundaries = [(kind, attempt) for kind, attempt in events if kind in {EventKind.CLAIMED, *_LEFT_WORKER}]
    begun = boundaries[0::2]
    if begun != [(EventKind.CLAIMED, number) for number in range(1, job.attempt + 1)]:
        claimed = [attempt for kind, attempt in begun if kind is EventKind.CLAIMED]
        yield f"attempts that begin: {claimed}, although there were {job.attempt}"
    if [attempt for _, attempt in boundaries[1::2]] != [attempt for _, attempt in begun]:
        yield f"attempts do not begin and end in turn: {[(str(kind), attempt) for kind, attempt in boundaries]}"
    late = list(_late_writes(events))
    if late:
        yield f"written by attempts that were over: {late}"


def _late_writes(events: Sequence[tuple[EventKind, int]]) -> Iterator[tuple[str, int]]:
    """Yield the events that an attempt wrote after a later attempt had begun."""
    current = 0
    for kind, attempt in events:
        current = max(current, attempt)
        if attempt < current:
            yield str(kind), attempt


def _problems_of_all_jobs(session: Session, submitted: Mapping[str, str]) -> Iterator[str]:
    for state, count in Counter(session.scalars(select(Job.state).where(Job.state.not_in(FINAL_STATES)))).items():
        yield f"{count} jobs are {state}"
    leased = session.scalar(select(func.count()).where(Job.lease_expires_at.is_not(None)))
    if leased:
        yield f"{leased} jobs still have a lease"
    unknown = set(session.scalars(select(Job.id))) - set(submitted)
    if unknown:
        yield f"jobs that nobody submitted, or that were stored twice: {sorted(unknown)}"


def _problems_of_files(session: Session, storage: Path) -> Iterator[str]:
    for key, sha256 in sorted(_referenced_files(session).items()):
        path = storage / key
        if not path.is_file():
            yield f"a row refers to {key}, which does not exist"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield f"{key} is not what was written"


def _unreferenced_files(session: Session, storage: Path) -> list[str]:
    referenced = _referenced_files(session)
    keys = (str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file())
    return sorted(key for key in keys if key not in referenced and key != MARKER)


def _referenced_files(session: Session) -> dict[str, str]:
    """Return the SHA-256 of each file that a row refers to, by its key."""
    return {
        key: sha256
        for table in (Checkpoint, Artifact, Snapshot)
        for key, sha256 in session.execute(select(table.storage_key, table.sha256))
    }


def count_retrained_epochs(session: Session) -> int:
    """Return how many epochs were trained again, over all jobs."""
    trained = session.scalar(select(func.count()).where(Event.kind == EventKind.EPOCH_ENDED)) or 0
    recorded = session.scalar(select(func.count()).select_from(Epoch)) or 0
    return trained - recorded


def describe_events(session: Session, job_id: str) -> list[str]:
    """Return one line for each event of a job."""
    rows = session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.id))
    return [f"{row.at:%H:%M:%S.%f} attempt {row.attempt} {row.kind}: {row.message} {row.data}" for row in rows]
