"""What the check of a job needs from the service: its data set, and the checker's answer in the sender's terms."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fitqueue.datasets import BUILTIN, DatasetInfo
from fitqueue.errors import DatasetNotFound, Fault, InvalidSpec, NotFound
from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.spec import JobSpec, PartialJob, examine_job, invalid_job
from fitqueue.spec.report import FaultCode, NoticeCode
from fitqueue.spec.request_pointers import request_pointer
from fitqueue.spec.training import InitialWeights
from fitqueue.views import ModelSummary, Notice
from service.api.context import Services
from service.models import Dataset
from service.store import checkpoints, datasets, jobs

_FETCHED_BYTES: Final = 64 * 1024**2
"""The largest data set that is fetched so that its values can be checked: somebody waits for the answer."""

_logger = logging.getLogger(__name__)


class DatasetFinder:
    """Tells the checker of a job about data sets, and remembers the ids of those that users uploaded."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._found: dict[str, Dataset] = {}

    def __call__(self, reference: str) -> DatasetInfo | None:
        if reference in BUILTIN:
            return BUILTIN[reference].info
        with self._parts.database.read() as session:
            dataset = datasets.find(session, reference)
            if dataset is None:
                return None
            self._found[reference] = dataset
            return datasets.info(dataset)

    def uploaded(self, reference: str) -> str | None:
        """The id of a data set that was asked for before; None of a built-in one."""
        dataset = self._found.get(reference)
        return dataset.id if dataset else None

    def path(self, reference: str) -> str | None:
        """Of its file on this machine; None where it has none."""
        dataset = self._found.get(reference)
        path = _path(self._parts, dataset) if dataset else None
        return str(path) if path else None


def _path(parts: Services, dataset: Dataset) -> Path | None:
    stored_here = parts.store.local_path(dataset.storage_key)
    if stored_here is not None or dataset.size > _FETCHED_BYTES:
        return stored_here
    try:
        return parts.datasets.path(dataset.storage_key, dataset.sha256)
    except OSError as error:
        _logger.warning("A data set could not be fetched; its values are not checked.", extra={"error": str(error)})
        return None


@dataclass(frozen=True)
class CheckedJob:
    """A job that nothing is known to be wrong with."""

    spec: JobSpec
    notices: list[Notice]
    summary: ModelSummary | None


def check_job(parts: Services, sent: Any, finder: DatasetFinder) -> CheckedJob:
    """Read the job, and have Keras build its model and compare it with the rest, or with what is sound of the rest.

    Raises:
        InvalidSpec: the job cannot be trained; pointers lead into the job as it was sent.
    """
    examined = examine_job(sent, finder)
    sound = examined.spec or examined.partial
    stored = sound.to_json()
    unfit, initial = _initial_weights(parts, sound.initial_weights)
    answer = _checked_by_keras(parts, sound, stored, finder, initial)
    found = [
        fault.model_copy(update={"pointer": request_pointer(fault.pointer, sent, stored)}) for fault in answer.faults
    ]
    faults = [*examined.faults, *unfit, *found]
    if examined.spec is None or faults:
        raise invalid_job(faults)
    notices = [
        notice.model_copy(update={"pointer": request_pointer(notice.pointer, sent, stored)})
        for notice in answer.notices
    ]
    return CheckedJob(examined.spec, [*examined.notices, *notices], answer.summary)


def dataset_is_gone(spec: JobSpec, error: DatasetNotFound) -> InvalidSpec:
    """As the check would have told it, had the data set been deleted a moment earlier."""
    fault = Fault(
        pointer="/data/dataset",
        code=str(FaultCode.UNKNOWN_DATASET),
        message=error.message,
        received=spec.data.dataset,
        expected="the id or name of a data set that is there",
    )
    return invalid_job([fault])


def _checked_by_keras(
    parts: Services,
    sound: JobSpec | PartialJob,
    stored: dict[str, Any],
    finder: DatasetFinder,
    initial: dict[str, Any] | None,
) -> ModelCheckResult:
    if sound == PartialJob():
        return ModelCheckResult()
    reference = sound.data.dataset if sound.data is not None else ""
    info = finder(reference)
    builtin = BUILTIN.get(reference)
    check_request = ModelCheckRequest(
        spec=stored,
        arrays=info.arrays if info else {},
        classes=builtin.classes if builtin else None,
        dataset_path=finder.path(reference),
        initial_model=initial,
        max_bytes=parts.settings.max_model_bytes,
    )
    answer = parts.checker.ask(check_request) if parts.checker else None
    return answer or ModelCheckResult(notices=[_UNCHECKED])


def _initial_weights(parts: Services, wanted: InitialWeights | None) -> tuple[list[Fault], dict[str, Any] | None]:
    """The model whose weights are wanted, or the fault that the job is not there or has none."""
    if wanted is None:
        return [], None
    try:
        with parts.database.read() as session:
            checkpoints.get(session, wanted.job, "best")
            return [], jobs.get(session, wanted.job).spec.get("model")
    except NotFound as error:
        fault = Fault(
            pointer="/initial_weights/job",
            code=str(FaultCode.UNKNOWN_JOB),
            message=error.message,
            received=wanted.job,
            expected="the id of a job that has saved its best weights",
        )
        return [fault], None


_UNCHECKED = Notice(
    pointer="/model",
    code=str(NoticeCode.UNCHECKED),
    message="No checker was ready: whether Keras can build the model will show when the job runs.",
)
