"""What must hold when all jobs have ended, whatever was killed meanwhile."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.states import FINAL_STATES, EventKind
from service.models import Artifact, Checkpoint, Epoch, Event, Job, Snapshot
from tests.chaos import outcome
from tests.chaos.outcome import Outcome

_FINAL = {EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED}
_GIVEN_BACK = {EventKind.REQUEUED, EventKind.PAUSED}


@dataclass
class Verdict:
    """Empty where all is as it must be."""

    jobs: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong with each job that is wrong."""
    others: list[str] = field(default_factory=list)
    unreferenced: list[str] = field(default_factory=list)
    """Files of the store that no row points at. A process that is killed between its file and its row leaves one."""

    @property
    def is_good(self) -> bool:
        return not self.jobs and not self.others


def judge(session: Session, submitted: Mapping[str, str], expected: Mapping[str, Outcome], store: Path) -> Verdict:
    """`submitted` tells the kind of each job, by its id."""
    faults = {job_id: list(_faults_of_job(session, job_id, expected[kind])) for job_id, kind in submitted.items()}
    verdict = Verdict(jobs={job_id: found for job_id, found in faults.items() if found})
    verdict.others += _faults_of_all(session, submitted)
    verdict.others += _faults_of_files(session, store)
    verdict.unreferenced = _unreferenced(session, store)
    return verdict


def _faults_of_job(session: Session, job_id: str, expected: Outcome) -> Iterator[str]:
    job = session.get(Job, job_id)
    if job is None:
        yield "it is gone"
        return
    yield from outcome.of(session, job_id).differences(expected)
    kinds = session.execute(select(Event.kind, Event.attempt).where(Event.job_id == job_id).order_by(Event.id)).all()
    yield from _faults_of_history([(kind, attempt) for kind, attempt in kinds], job)


def _faults_of_history(events: Sequence[tuple[EventKind, int]], job: Job) -> Iterator[str]:
    """Each attempt begins once and ends once, before the next begins; one event ends the job, and it is the last."""
    ends = [kind for kind, _ in events if kind in _FINAL]
    if [str(end) for end in ends] != [str(job.state)]:
        yield f"final events: {[str(end) for end in ends]} of a job that {job.state}"
    elif events[-1][0] not in _FINAL:
        yield f"the event {events[-1][0]} stands after its end"
    turns = [(kind, attempt) for kind, attempt in events if kind in {EventKind.CLAIMED, *_GIVEN_BACK, *_FINAL}]
    begun = turns[0::2]
    if begun != [(EventKind.CLAIMED, number) for number in range(1, job.attempt + 1)]:
        yield f"attempts begun: {[attempt for kind, attempt in begun if kind is EventKind.CLAIMED]} of {job.attempt}"
    if [attempt for _, attempt in turns[1::2]] != [attempt for _, attempt in begun]:
        yield f"attempts begun and ended do not alternate: {[(str(kind), attempt) for kind, attempt in turns]}"
    late = list(_late(events))
    if late:
        yield f"written by attempts that were over: {late}"


def _late(events: Sequence[tuple[EventKind, int]]) -> Iterator[tuple[str, int]]:
    """What an attempt wrote after a later one had begun."""
    present = 0
    for kind, attempt in events:
        present = max(present, attempt)
        if attempt < present:
            yield str(kind), attempt


def _faults_of_all(session: Session, submitted: Mapping[str, str]) -> Iterator[str]:
    for state, count in Counter(session.scalars(select(Job.state).where(Job.state.not_in(FINAL_STATES)))).items():
        yield f"{count} jobs are {state}"
    leased = session.scalar(select(func.count()).where(Job.lease_expires_at.is_not(None)))
    if leased:
        yield f"{leased} leases are left over"
    unknown = set(session.scalars(select(Job.id))) - set(submitted)
    if unknown:
        yield f"jobs that nobody submitted, or that were stored twice: {sorted(unknown)}"


def _faults_of_files(session: Session, store: Path) -> Iterator[str]:
    for key, sha256 in sorted(_referenced(session).items()):
        path = store / key
        if not path.is_file():
            yield f"a row points at {key}, which is not there"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield f"{key} is not what was written there"


def _unreferenced(session: Session, store: Path) -> list[str]:
    known = _referenced(session)
    files = (path.relative_to(store) for path in store.rglob("*") if path.is_file())
    return sorted(str(file) for file in files if str(file) not in known)


def _referenced(session: Session) -> dict[str, str]:
    return {
        key: sha256
        for table in (Checkpoint, Artifact, Snapshot)
        for key, sha256 in session.execute(select(table.storage_key, table.sha256))
    }


def trained_again(session: Session) -> int:
    """How many epochs were trained more than once, all jobs together."""
    trained = session.scalar(select(func.count()).where(Event.kind == EventKind.EPOCH_ENDED)) or 0
    recorded = session.scalar(select(func.count()).select_from(Epoch)) or 0
    return trained - recorded


def history(session: Session, job_id: str) -> list[str]:
    """All that happened to a job, a line each."""
    rows = session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.id))
    return [f"{row.at:%H:%M:%S.%f} attempt {row.attempt} {row.kind}: {row.message} {row.data}" for row in rows]
