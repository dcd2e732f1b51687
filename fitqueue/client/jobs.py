"""Submitting, finding, steering and watching jobs."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fitqueue.client import follow
from fitqueue.client.base import JSON, ClientBase, job_path
from fitqueue.client.job_list import JobList
from fitqueue.client.wrong_types import not_a_job
from fitqueue.errors import MalformedJSON
from fitqueue.job_sort import JobSort
from fitqueue.views import DryRun, JobDiff, JobSummary, JobUsage, JobView, OwnerUsage, Page, QueuedJob

Spec = Mapping[str, Any] | bytes | str | os.PathLike[str]
"""A job: a dict, JSON, or the path of a JSON file."""


_SUBMIT_SECONDS = 90.0
"""The service may check a model for half a minute while many jobs arrive, and needs other parts besides."""


class JobMethods(ClientBase):
    """The methods of `Client` about jobs."""

    def _dry_run(self, spec: Spec) -> DryRun:
        return DryRun.model_validate_json(self._post_job(_to_json(spec), JSON, params={"dry_run": "true"}))

    def _submit(self, spec: Spec, idempotency_key: str | None = None) -> JobView:
        headers = {**JSON, "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return JobView.model_validate_json(self._post_job(_to_json(spec), headers))

    def _post_job(self, body: bytes, headers: Mapping[str, str], **options: Any) -> bytes:
        return self._call("POST", "/jobs", headers=headers, body=lambda: body, timeout=_SUBMIT_SECONDS, **options)

    def get(self, job_id: str) -> JobView:
        """Return a job as it is now.

        Raises:
            JobNotFound: there is no job with this id.
        """
        return JobView.model_validate_json(self._call("GET", job_path(job_id)))

    def usage(self, job_id: str) -> JobUsage:
        """Return what a job has used until now: GPU- and CPU-seconds, peaks of memory, and stored bytes.

        Raises:
            JobNotFound: there is no job with this id.
        """
        return JobUsage.model_validate_json(self._call("GET", f"{job_path(job_id)}/usage"))

    def usage_by(self, by: Literal["user", "project"]) -> Sequence[OwnerUsage]:
        """Return what each user, or each project, has used until now, and how many bytes and jobs it has.

        What deleted jobs have used counts, too.
        """
        return Page[OwnerUsage].model_validate_json(self._call("GET", "/usage", params={"by": by})).data

    def diff(self, job_id: str, other_id: str) -> JobDiff:
        """Return in what the specs of two jobs differ, beside the best and the last epoch of each.

        Raises:
            JobNotFound: there is no job with one of these ids.
        """
        return JobDiff.model_validate_json(self._call("GET", f"{job_path(job_id)}/diff/{quote(other_id, safe='')}"))

    def list(
        self,
        *,
        state: str | Iterable[str] | None = None,
        labels: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        pool: str | None = None,
        name: str | None = None,
        owner: str | None = None,
        project: str | None = None,
        submitted_by: str | None = None,
        dataset: str | None = None,
        sort: JobSort | str = JobSort.NEWEST,
    ) -> JobList:
        """Yield the jobs that pass all filters. Pages are fetched as they are needed.

        A notebook shows the first of them as a table. `total` of the list is how many there are.

        Args:
            state: one state, or several of which a job has one.
            labels: labels that a job has, all of them; as a mapping, or as pairs in which a key may be repeated.
            pool: the pool of the jobs.
            name: the name of the jobs.
            owner: the name of the user whose jobs they are.
            project: the name of the project that they belong to.
            submitted_by: the name of the token that the jobs were submitted with.
            dataset: the id or name of a data set that the jobs take their data or their initial weights from.
            sort: `newest`, `oldest`, `name`, or `finished`: those that ended last, then those that have not ended.

        Raises:
            InvalidRequest: a filter or `sort` is invalid.
        """
        pairs = labels.items() if isinstance(labels, Mapping) else labels or ()
        states = [state] if isinstance(state, str) else list(state or [])
        filters: dict[str, str | list[str] | None] = {
            "state": states,
            "label": [f"{key}={value}" for key, value in pairs],
            "pool": pool,
            "name": name,
            "owner": owner,
            "project": project,
            "submitted_by": submitted_by,
            "dataset": dataset,
            "sort": None if sort == JobSort.NEWEST else sort,
        }
        present = {key: value for key, value in filters.items() if value}
        return JobList(self._pages("/jobs", JobSummary, present), lambda: self._count("/jobs", present))

    def queue(self, pool: str | None = None) -> Iterator[QueuedJob]:
        """Yield the jobs that wait for a worker, in the order in which they are claimed.

        Args:
            pool: a pool; without it, those of all pools, one pool after the other.
        """
        return self._pages("/queue", QueuedJob, {"pool": pool} if pool else None)

    def cancel(self, job_id: str) -> JobView:
        """Cancel a job. What it has saved can still be downloaded. Cancelling it again changes nothing.

        Returns:
            The job: `cancelled`, or still running until it has stopped.

        Raises:
            JobNotFound: there is no job with this id.
            JobEnded: it has succeeded or failed.
        """
        return JobView.model_validate_json(self._call("POST", f"{job_path(job_id)}/cancel"))

    def pause(self, job_id: str) -> JobView:
        """Pause a job: it stops after the current batch and frees its devices. Pausing it again changes nothing.

        Returns:
            The job: `paused`, or still running until it has stopped.

        Raises:
            JobNotFound: there is no job with this id.
            JobEnded: it has ended.
        """
        return JobView.model_validate_json(self._call("POST", f"{job_path(job_id)}/pause"))

    def resume(self, job_id: str) -> JobView:
        """Resume a paused job exactly where it stopped. Resuming it again changes nothing.

        Raises:
            JobNotFound: there is no job with this id.
            JobEnded: it has ended.
        """
        return JobView.model_validate_json(self._call("POST", f"{job_path(job_id)}/resume"))

    def change(self, job_id: str, **fields: Any) -> JobView:
        """Change a job that is queued or paused. What is not passed stays as it is; None stands for the default.

        `keep` may change at any time, also when the job has ended.

        Args:
            job_id: the job.
            fields: `name`, `pool`, `priority`, `preemptible`, `max_runtime_seconds`, `max_queued_seconds`, `keep`, as
                in a job; and `labels`, a dict of those to add or replace, with None to remove one.

        Raises:
            JobNotFound: there is no job with this id.
            JobNotChangeable: it runs or has ended, and more than `keep` is to change.
            InvalidRequest: a field is unknown or has a wrong value.
        """
        return JobView.model_validate_json(self._send("PATCH", job_path(job_id), _to_json(fields)))

    def move_to_front(self, job_id: str) -> JobView:
        """Make a job that is queued or paused the next one of its pool, by raising its priority as far as needed.

        Raises:
            JobNotFound: there is no job with this id.
            JobNotChangeable: it runs or has ended, or a job before it has the highest priority.
        """
        return JobView.model_validate_json(self._call("POST", f"{job_path(job_id)}/move-to-front"))

    def extend(self, job_id: str, epochs: int) -> JobView:
        """Train an ended job for more epochs, from where it stopped.

        The same call again, before the job has ended again, changes nothing.

        Args:
            job_id: the job.
            epochs: how many epochs to add.

        Returns:
            The job, queued again.

        Raises:
            JobNotFound: there is no job with this id.
            JobNotEnded: it has not ended.
            JobNotExtendable: more epochs would not help, or it left nothing to resume from.
            InvalidRequest: `epochs` is not a whole number from 1.
        """
        body = json.dumps({"epochs": epochs}).encode()
        return JobView.model_validate_json(self._send("POST", f"{job_path(job_id)}/extend", body))

    def delete(self, job_id: str) -> None:
        """Delete an ended job with its metrics, logs and files.

        Raises:
            JobNotFound: there is no job with this id.
            JobNotEnded: it has not ended; cancel it first.
        """
        self._call("DELETE", job_path(job_id), repeatable=False)

    def watch(self, job_id: str, *, timeout: float | None = None) -> Iterator[JobView]:
        """Yield the job as it is now, then each time it has changed, the last time in its final state.

        Args:
            job_id: the job.
            timeout: how many seconds to watch at most; without it, until the job has ended.

        Raises:
            JobNotFound: there is no job with this id.
            WaitTimeout: the job has not ended after `timeout` seconds.
            Unreachable: the service has not answered for five minutes.
        """
        return follow.watch(self._transport, job_path(job_id), timeout)


def _to_json(spec: Spec) -> bytes:
    if isinstance(spec, bytes):
        return spec
    if isinstance(spec, str) and spec.lstrip().startswith("{"):
        return spec.encode()
    if isinstance(spec, Mapping):
        try:
            return json.dumps(dict(spec), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise MalformedJSON(f"The job cannot be written as JSON: {error}") from error
    if not isinstance(spec, str | os.PathLike):
        raise not_a_job(spec)
    return Path(spec).read_bytes()
