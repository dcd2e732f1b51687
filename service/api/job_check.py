"""The check of a job at the POST: its data set, its rules, and Keras's verdict, with pointers into the request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fitqueue.datasets import BUILTIN, ArrayInfo, DatasetInfo
from fitqueue.errors import DatasetNotFound, Fault, FitQueueError, InvalidSpec
from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.spec import ExaminedJob, JobSpec, PartialJob, examine_job, invalid_job
from fitqueue.spec.findings import FaultCode, NoticeCode
from fitqueue.spec.notices import grouped
from fitqueue.spec.parsing.request_pointers import request_pointer
from fitqueue.text import truncate
from fitqueue.views import ModelSummary, Notice
from service.api.context import Services, principal
from service.api.initial_weights import InitialWeightsFound, find_initial_weights
from service.api.job_limits import account_faults, limit_faults, with_default_runtime
from service.api.memory_check import compare_with_workers
from service.checker import Checker
from service.models import Dataset, Project
from service.store import datasets, holders, projects
from service.store.access import Viewer
from service.store.holders import Holder

Finding = TypeVar("Finding", Fault, Notice)


class DatasetFinder:
    """Finds the data sets of a job, and remembers those that users uploaded. A job's rules call it.

    Attributes:
        viewer: the user who sends it.
        project: the project that the job names; None if it names none that its user sees.
    """

    def __init__(self, services: Services, viewer: Viewer, body: Any) -> None:
        self.viewer = viewer
        self._services = services
        self._uploaded: dict[str, Dataset] = {}
        name = body.get("project", DEFAULT_PROJECT) if isinstance(body, dict) else DEFAULT_PROJECT
        self.project_name = truncate(str(name), 100)
        self.project = self._find_project(name) if isinstance(name, str) and "\0" not in name else None

    def _find_project(self, name: str) -> Project | None:
        with self._services.database.read() as session:
            return projects.find(session, name, self.viewer)

    def __call__(self, reference: str) -> DatasetInfo | None:
        if reference in BUILTIN:
            return BUILTIN[reference].info
        with self._services.database.read() as session:
            dataset = datasets.find(session, reference, self.viewer, self.project)
            if dataset is None:
                return None
            self._uploaded[reference] = dataset
            return datasets.info(dataset)

    def id_of(self, reference: str) -> str | None:
        """Return the id of a data set that was found before; None for a built-in one."""
        dataset = self._uploaded.get(reference)
        return dataset.id if dataset else None


@dataclass(frozen=True)
class CheckedJob:
    """A job without faults."""

    spec: JobSpec
    notices: list[Notice]
    summary: ModelSummary | None
    project_id: str
    weights_dataset_id: str | None = None


def check_job(services: Services, body: Any, finder: DatasetFinder, *, with_keras: bool = True) -> CheckedJob:
    """Check a job against our rules, and let Keras build its model. A faulty job is checked as far as it goes.

    Args:
        services: has the model checker.
        body: the job as it was sent.
        finder: finds its data sets.
        with_keras: whether the model checker has time for it.

    Raises:
        InvalidSpec: the job cannot be trained. `errors` has every fault that was found, with a pointer into `body`.
    """
    examined = examine_job(body, finder)
    job = examined.spec or examined.partial
    stored = job.to_json()
    initial = find_initial_weights(services, job.initial_weights, finder.viewer, finder.project)
    checker = services.checker if with_keras else None
    result = _check_with_keras(checker, services.settings.max_model_bytes, job, stored, finder, initial)
    limited = _limited(services, finder.project)
    later_faults = [
        *result.faults,
        *limit_faults(job, services.settings, finder),
        *account_faults(job, limited, principal().max_priority),
    ]
    faults = [
        *examined.faults,
        *_project_faults(examined, finder),
        *initial.faults,
        *_with_request_pointers(later_faults, body, stored),
    ]
    if examined.spec is None or finder.project is None or faults:
        raise invalid_job(faults)
    spec, added = with_default_runtime(examined.spec, services.settings, limited)
    notices = [*examined.notices, *_with_request_pointers(result.notices, body, stored), *added]
    if result.summary is not None:
        compared = compare_with_workers(services, spec, result.summary.memory)
        if isinstance(compared, Fault):
            raise invalid_job([compared])
        notices += [compared] if compared is not None else []
    return CheckedJob(spec, grouped(notices), result.summary, finder.project.id, initial.dataset_id)


def _limited(services: Services, project: Project | None) -> list[Holder]:
    """Return the user and the project, if they have limits."""
    with services.database.read() as session:
        return holders.limited(session, principal().user_id, "" if project is None else project.id)


def _project_faults(examined: ExaminedJob, finder: DatasetFinder) -> list[Fault]:
    if finder.project is not None or any(fault.pointer == "/project" for fault in examined.faults):
        return []
    name, expected = finder.project_name, "the name of a project that you see"
    message = f"There is no project '{name}'."
    code = str(FaultCode.UNKNOWN_PROJECT)
    return [Fault(pointer="/project", code=code, message=message, received=name, expected=expected)]


def missing_dataset(spec: JobSpec, error: DatasetNotFound) -> InvalidSpec:
    """Return what the check would have raised if the data set had been deleted a moment earlier."""
    fault = Fault(
        pointer="/data/dataset" if spec.data.dataset not in BUILTIN else "/initial_weights/dataset",
        code=str(FaultCode.UNKNOWN_DATASET),
        message=error.message,
        received=spec.data.dataset,
        expected="the id or name of an existing data set",
    )
    return invalid_job([fault])


def missing_weights(spec: JobSpec, error: FitQueueError) -> InvalidSpec:
    """Return what the check would have raised if the checkpoint had been removed a moment earlier."""
    assert spec.initial_weights is not None
    fault = Fault(
        pointer="/initial_weights/job",
        code=str(FaultCode.UNKNOWN_JOB),
        message=error.message,
        received=spec.initial_weights.job,
        expected="the id of a job that has this checkpoint",
    )
    return invalid_job([fault])


def _with_request_pointers(findings: Sequence[Finding], body: Any, stored: dict[str, Any]) -> list[Finding]:
    """Translate pointers into the stored job to pointers into the job as it was sent."""
    return [
        finding.model_copy(update={"pointer": request_pointer(finding.pointer, body, stored)}) for finding in findings
    ]


def _check_with_keras(
    checker: Checker | None,
    max_model_bytes: int,
    job: JobSpec | PartialJob,
    stored: dict[str, Any],
    finder: DatasetFinder,
    initial: InitialWeightsFound,
) -> ModelCheckResult:
    if job == PartialJob():
        return ModelCheckResult()
    reference = job.data.dataset if job.data is not None else ""
    info = finder(reference)
    request = ModelCheckRequest(
        spec=stored,
        arrays={name: _for_checker(array) for name, array in info.arrays.items()} if info else {},
        initial_model=initial.model,
        initial_compile=initial.compile,
        initial_arrays=initial.arrays,
        max_bytes=max_model_bytes,
    )
    result = checker.check(request) if checker else None
    return result or ModelCheckResult(notices=[_UNCHECKED])


def _for_checker(array: ArrayInfo) -> ArrayInfo:
    """Return an array without its classes: there may be thousands, and only the rules of this process use them."""
    return array if array.values is None else replace(array, values=replace(array.values, classes=None))


_UNCHECKED = Notice(
    pointer="/model",
    code=str(NoticeCode.UNCHECKED),
    message="The checker was not ready or too busy: only the run will show whether Keras can build the model.",
)
