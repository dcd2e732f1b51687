"""What the check of a job needs from the service: its data set, and the checker's answer in the sender's terms."""

from dataclasses import dataclass
from typing import Any

from fitqueue.checking import Array, Question
from fitqueue.datasets import BUILTIN, ArrayInfo, DatasetInfo
from fitqueue.errors import Fault, InvalidSpec, NotFound
from fitqueue.spec import ParsedJob
from fitqueue.spec.as_sent import as_sent
from fitqueue.spec.base import FaultCode, NoticeCode
from fitqueue.views import ModelSummary, Notice
from service.api.context import Services
from service.models import Dataset
from service.store import checkpoints, datasets


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
        dataset = self._found.get(reference)
        return str(self._parts.store.local_path(dataset.storage_key).absolute()) if dataset else None


@dataclass(frozen=True)
class Checked:
    notices: list[Notice]
    summary: ModelSummary | None


def check_model(parts: Services, sent: Any, parsed: ParsedJob, finder: DatasetFinder) -> Checked:
    """Have the model built by Keras and compared with the rest of its job.

    Raises:
        InvalidSpec: the job cannot be trained; pointers lead into the job as it was sent.
    """
    reference = parsed.spec.data.dataset
    info = finder(reference)
    builtin = BUILTIN.get(reference)
    stored = parsed.spec.to_json()
    question = Question(
        spec=stored,
        arrays={name: _array(array) for name, array in info.arrays.items()} if info else {},
        classes=builtin.classes if builtin else None,
        dataset_path=finder.path(reference),
        max_bytes=parts.settings.max_model_bytes,
    )
    answer = parts.checker.ask(question) if parts.checker else None
    if answer is None:
        return Checked([*parsed.notices, _UNCHECKED], None)
    if answer.faults:
        count = len(answer.faults)
        raise InvalidSpec(
            "The job has a fault." if count == 1 else f"The job has {count} faults.",
            errors=[
                fault.model_copy(update={"pointer": as_sent(fault.pointer, sent, stored)}) for fault in answer.faults
            ],
        )
    found = [notice.model_copy(update={"pointer": as_sent(notice.pointer, sent, stored)}) for notice in answer.notices]
    return Checked([*parsed.notices, *found], answer.summary)


def check_initial_weights(parts: Services, parsed: ParsedJob) -> None:
    """The job whose weights are wanted is there and has some.

    Raises:
        InvalidSpec: it is not, or has none.
    """
    wanted = parsed.spec.initial_weights
    if wanted is None:
        return
    try:
        with parts.database.read() as session:
            checkpoints.get(session, wanted.job, "best")
    except NotFound as error:
        fault = Fault(
            pointer="/initial_weights/job",
            code=str(FaultCode.UNKNOWN_JOB),
            message=error.message,
            received=wanted.job,
            expected="the id of a job that has saved its best weights",
        )
        raise InvalidSpec("The job has a fault.", errors=[fault]) from error


def _array(array: ArrayInfo) -> Array:
    return Array(shape=list(array.shape), dtype=array.dtype)


_UNCHECKED = Notice(
    pointer="/model",
    code=str(NoticeCode.UNCHECKED),
    message="No checker was ready: whether Keras can build the model will show when the job runs.",
)
