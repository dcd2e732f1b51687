"""What becomes of a job that somebody sends: it is checked, and stored unless the same request was stored before."""

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Any

from fitqueue.audit_actions import AuditAction
from fitqueue.errors import (
    CheckerBusy,
    CheckpointNotFound,
    DatasetNotFound,
    Expired,
    Fault,
    InvalidRequest,
    JobNotFound,
    NoCheckpointYet,
)
from fitqueue.text import truncate
from fitqueue.views import DryRun
from service.api import auditing
from service.api.context import Services, principal
from service.api.job_check import CheckedJob, DatasetFinder, check_job, missing_dataset, missing_weights
from service.ids import new_id
from service.store import checkpoints, jobs, submission_limits
from service.store.jobs import Idempotency

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submitted:
    """A job that is stored now."""

    job_id: str
    is_replayed: bool
    """Whether the same request had created it before."""


def idempotency_of(body: Any, key: str | None) -> Idempotency | None:
    """Return what tells that a job was sent before: its key, and the hash of its body.

    Raises:
        InvalidRequest: the key is not printable ASCII, or too long.
    """
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        fault = Fault(
            pointer="Idempotency-Key",
            code="invalid_key",
            message="it must be 1 to 255 printable ASCII characters",
            received=truncate(key, 100),
        )
        raise InvalidRequest(errors=[fault])
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Idempotency(key, hashlib.sha256(canonical.encode()).hexdigest())


def dry_run(services: Services, body: Any) -> DryRun:
    """Check a job and store nothing.

    Raises:
        InvalidSpec: the job cannot be trained.
        LimitExceeded: the user or the project has no room for it.
        CheckerBusy: too many models are being checked.
    """
    with services.check_queue.admitted(principal().user_id) as is_admitted:
        if not is_admitted:
            raise CheckerBusy()
        checked = check_job(services, body, DatasetFinder(services, principal().viewer, body))
    with services.database.read() as session:
        submission_limits.check_room_for_job(session, principal().user_id, checked.project_id)
    return DryRun(spec=checked.spec.to_json(), notices=checked.notices, model=checked.summary)


def submit(services: Services, body: Any, idempotency: Idempotency | None) -> Submitted:
    """Check a job, store it, and notify the workers.

    Args:
        services: has the database, the checker and the notifier.
        body: the job as it was sent.
        idempotency: the same key and body again give the same job.

    Raises:
        InvalidSpec: the job cannot be trained.
        LimitExceeded: the user or the project has no room for it.
        IdempotencyMismatch: the key was used with another body.
    """
    if (earlier := _find_earlier(services, idempotency)) is not None:
        return Submitted(earlier, is_replayed=True)
    finder = DatasetFinder(services, principal().viewer, body)
    with services.check_queue.admitted(principal().user_id) as is_admitted:
        checked = check_job(services, body, finder, with_keras=is_admitted)
    new = new_id("job")
    job_id = _store(services, new, checked, finder.id_of(checked.spec.data.dataset), idempotency)
    if job_id != new:
        return Submitted(job_id, is_replayed=True)  # the same request was stored while this one was checked
    pool = checked.spec.resources.pool
    _logger.info("A job was stored.", extra={"job": job_id, "pool": pool})
    services.notifier.notify(pool)
    return Submitted(job_id, is_replayed=False)


def _find_earlier(services: Services, idempotency: Idempotency | None) -> str | None:
    """Return the id of the job that the same request created before."""
    if idempotency is None:
        return None
    with services.database.read() as session:
        job = jobs.find_earlier(session, principal().token_id, idempotency)
        return None if job is None else job.id


def _store(
    services: Services, job_id: str, checked: CheckedJob, dataset_id: str | None, idempotency: Idempotency | None
) -> str:
    """Store the job under this id, or return the id of the one that the same request created before."""
    try:
        with services.database.write() as session:
            if (initial := checked.spec.initial_weights) is not None and initial.job is not None:
                checkpoints.lock(session, initial.job, initial.stored_checkpoint)
            stored = jobs.create(
                session,
                checked.spec,
                checked.notices,
                job_id=job_id,
                summary=checked.summary,
                dataset_id=dataset_id,
                weights_dataset_id=checked.weights_dataset_id,
                owner_id=principal().user_id,
                project_id=checked.project_id,
                token_id=principal().token_id,
                idempotency=idempotency,
            )
            if stored.id == job_id:
                auditing.record(session, AuditAction.JOB_SUBMIT, job_id, {"project": checked.spec.project})
            return stored.id
    except DatasetNotFound as error:
        raise missing_dataset(checked.spec, error) from error
    except (JobNotFound, NoCheckpointYet, CheckpointNotFound, Expired) as error:
        raise missing_weights(checked.spec, error) from error
