"""Changes of jobs that no worker has: their names, labels, limits, and their places in the queue.

Whether a job is kept may change at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, delete
from sqlalchemy.orm import Session

from fitqueue.errors import Fault, Forbidden, InvalidRequest, JobNotChangeable
from fitqueue.limits import smallest
from fitqueue.spec import MAX_LABELS, MAX_PRIORITY, JobChange, JobSpec, Resources
from fitqueue.spec.findings import FaultCode
from fitqueue.states import WAITING_STATES, JobState
from fitqueue.views import ModelSummary
from service import clock
from service.forecast import similar
from service.forecast.turns import TurnsBy
from service.models import Job, JobLabel
from service.store import claim_order, events, holders, job_details, jobs, transitions
from service.store.access import EVERYTHING, Viewer
from service.store.account_faults import longest_runtime, time_and_priority_faults
from service.store.holders import Holder


@dataclass(frozen=True)
class _Changed:
    """What a field was, and what it is."""

    before: Any
    after: Any


@dataclass(frozen=True)
class ChangeRules:
    """What whoever changes a job may do, and what the service adds."""

    max_priority: int = MAX_PRIORITY
    """The highest priority that they may give to it."""
    default_runtime: int | None = None
    """The `max_runtime_seconds` of jobs that do not say one."""


_NO_RULES: Final = ChangeRules()


def change(
    session: Session, job_id: str, wanted: JobChange, by: str | None = None, rules: ChangeRules = _NO_RULES
) -> Job:
    """Change a job. What is as it should be already stays; without a difference, nothing changes.

    Raises:
        JobNotFound: there is no such job.
        JobNotChangeable: it runs or has ended, and more than `keep` is to change.
        InvalidRequest: it would have too many labels, or more than its owner, its project or the user may have.
    """
    job = jobs.locked(session, job_id)
    if wanted.model_fields_set != {"keep"}:
        _require_waiting(job)
    limited = holders.limited(session, job.owner_id, job.project_id)
    default_runtime = smallest([rules.default_runtime, longest_runtime(limited)])
    differences = _differences(session, job, wanted, default_runtime)
    _check_limits(differences, limited, rules.max_priority)
    return _apply(session, job, differences, by)


def move_to_front(
    session: Session,
    job_id: str,
    by: str | None = None,
    max_priority: int = MAX_PRIORITY,
    viewer: Viewer = EVERYTHING,
    turns: TurnsBy = TurnsBy.USER,
) -> Job:
    """Give a job the lowest priority with which it is before all other jobs of its pool, unless it is that already.

    A preemptible job goes before the other preemptible ones.

    Raises:
        JobNotFound: there is no such job.
        JobNotChangeable: it runs or has ended, or a job before it has the highest priority.
        Forbidden: it would need a priority that the user may not give to it.
    """
    job = jobs.locked(session, job_id)
    _require_waiting(job)
    first = claim_order.first_of_queue(session, job.pool, preemptible=job.preemptible, by=turns, now=clock.now(session))
    if first is None or first.job_id == job.id:
        return job
    account = job.owner_id if turns is TurnsBy.USER else job.project_id
    is_older = job.id < first.job_id and account == first.account and not first.is_contested
    priority = first.priority if is_older else first.priority + 1
    if priority > MAX_PRIORITY:
        other = f"{first.job_id}, which" if viewer.sees(first) else "another job, which you do not see and which"
        raise JobNotChangeable(
            f"The job {job.id} cannot be moved to the front of the pool '{job.pool}': {other} goes before it, "
            f"has the highest priority, {MAX_PRIORITY}. Lower that first."
        )
    if priority > max(max_priority, job.priority):
        raise Forbidden(
            f"To be the first of the pool '{job.pool}', the job {job.id} would need the priority {priority}, and you "
            f"may give jobs a priority of at most {max_priority}; an admin may allow you a higher one."
        )
    return _apply(session, job, {"priority": _Changed(job.priority, priority)}, by)


def _check_limits(differences: Mapping[str, _Changed], limited: Sequence[Holder], max_priority: int) -> None:
    """Check what a change would set.

    Raises:
        InvalidRequest: the user may not give it this priority, or its owner or its project may not have this runtime.
    """
    priority, runtime = (
        differences[name].after if name in differences else None for name in ("priority", "max_runtime_seconds")
    )
    faults = time_and_priority_faults(priority, runtime, limited, max_priority)
    if faults:
        raise InvalidRequest("The change has a fault.", errors=faults)


def _require_waiting(job: Job) -> None:
    if job.state not in WAITING_STATES:
        state = f"has ended ({job.reason})" if job.state.is_final else f"is {job.state}"
        raise JobNotChangeable(f"The job {job.id} {state}; only a job that is queued or paused can be changed.")


def _differences(session: Session, job: Job, wanted: JobChange, default_runtime: int | None) -> dict[str, _Changed]:
    """Return the fields that differ, by name."""
    labels = job_details.labels_of(session, [job]).get(job.id, {})
    before = {**{name: getattr(job, name) for name in JobChange.model_fields if name != "labels"}, "labels": labels}
    after = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if "labels" in after:
        after["labels"] = _merged(labels, after["labels"])
    defaults = {
        "pool": Resources().pool,
        "max_runtime_seconds": default_runtime,
        **{name: JobSpec.model_fields[name].default for name in ("priority", "preemptible", "keep")},
    }
    after |= {name: default for name, default in defaults.items() if name in after and after[name] is None}
    return {name: _Changed(before[name], value) for name, value in after.items() if value != before[name]}


def _merged(labels: Mapping[str, str], patch: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return the labels after a merge patch.

    Raises:
        InvalidRequest: there would be too many.
    """
    merged = {key: value for key, value in {**labels, **(patch or {})}.items() if value is not None}
    if patch is None:
        return {}
    if len(merged) > MAX_LABELS:
        message = f"The job would have {len(merged)} labels; at most {MAX_LABELS} are possible."
        fault = Fault(pointer="/labels", code=str(FaultCode.OUT_OF_RANGE), message=message)
        raise InvalidRequest("The change has a fault.", errors=[fault])
    return merged


def _apply(session: Session, job: Job, differences: Mapping[str, _Changed], by: str | None) -> Job:
    if not differences:
        return job
    now = clock.now(session)
    after = {name: changed.after for name, changed in differences.items()}
    columns: dict[str, object] = {name: value for name, value in after.items() if name != "labels"}
    if "max_queued_seconds" in after and job.state is JobState.QUEUED and job.started_at is None:
        queued_since = events.queued_since(session, job)
        columns["not_after"] = transitions.deadline_of(after["max_queued_seconds"], queued_since)
    if "labels" in after:
        _replace_labels(session, job.id, after["labels"])
    data = {"by": by, "changes": {name: {"from": each.before, "to": each.after} for name, each in differences.items()}}
    message = f"{by or 'Somebody'} changed {_in_words(differences)}."
    columns["spec"] = spec = _changed_spec(job.spec, after)
    if "pool" in after:
        columns["timing_key"] = _timing_key(job, spec)
    if after.get("keep") is False and job.state.is_final:
        columns["retention_due_at"] = now
    write = transitions.change_kept if set(after) == {"keep"} else transitions.change
    return write(session, job.id, message, data, now, **columns) or job


def _changed_spec(spec: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in after.items() if name != "pool"}
    resources = {**spec["resources"], "pool": after["pool"]} if "pool" in after else spec["resources"]
    return {**spec, **fields, "resources": resources}


def _replace_labels(session: Session, job_id: str, labels: Mapping[str, str]) -> None:
    of_job: ColumnElement[bool] = JobLabel.job_id == job_id
    session.execute(delete(JobLabel).where(of_job))
    session.add_all(JobLabel(job_id=job_id, key=key, value=value) for key, value in labels.items())
    session.flush()


def _timing_key(job: Job, spec: Mapping[str, Any]) -> str:
    summary = None if job.model_summary is None else ModelSummary.model_validate(job.model_summary)
    return similar.timing_key(spec, summary, job.dataset_id or spec["data"]["dataset"])


def _in_words(differences: Mapping[str, _Changed]) -> str:
    """Return for example `the priority from 0 to 5, the labels`."""
    return ", ".join(
        "the labels" if name == "labels" else f"the {name} from {_shown(each.before)} to {_shown(each.after)}"
        for name, each in differences.items()
    )


def _shown(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
