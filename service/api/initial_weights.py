"""Finds the weights that a job is to start from: those of another job, or those that a user uploaded."""

from dataclasses import dataclass, field
from typing import Any

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import Fault, NotFound
from fitqueue.spec.fields.training import InitialWeights
from fitqueue.spec.findings import FaultCode
from fitqueue.weights import are_weights
from service.api.context import Services
from service.store import checkpoints, datasets, jobs


@dataclass(frozen=True)
class InitialWeightsFound:
    """What is known of a job's initial weights.

    Attributes:
        model: the model of the job that they come from.
        arrays: the arrays of the data set that they come from.
        dataset_id: the id of that data set.
    """

    faults: list[Fault] = field(default_factory=list)
    model: dict[str, Any] | None = None
    arrays: dict[str, ArrayInfo] | None = None
    dataset_id: str | None = None


def find_initial_weights(services: Services, initial_weights: InitialWeights | None) -> InitialWeightsFound:
    """Return what is known of the weights that a job names, or the fault that there are none."""
    if initial_weights is None:
        return InitialWeightsFound()
    if initial_weights.job is not None:
        return _of_job(services, initial_weights.job)
    assert initial_weights.dataset is not None  # it has one of the two
    return _of_dataset(services, initial_weights.dataset)


def _of_job(services: Services, job_id: str) -> InitialWeightsFound:
    try:
        with services.database.read() as session:
            checkpoints.get(session, job_id, "best")
            return InitialWeightsFound(model=jobs.get_whole(session, job_id).spec.get("model"))
    except NotFound as error:
        expected = "the id of a job that has saved its best weights"
        return _fault("job", FaultCode.UNKNOWN_JOB, error.message, job_id, expected)


def _of_dataset(services: Services, reference: str) -> InitialWeightsFound:
    expected = "the id or name of weights that were uploaded"
    try:
        with services.database.read() as session:
            dataset = datasets.get(session, reference)
            arrays = datasets.info(dataset).arrays
    except NotFound as error:
        return _fault("dataset", FaultCode.UNKNOWN_DATASET, error.message, reference, expected)
    if not are_weights(arrays):
        message = (
            f"The data set {reference!r} does not hold the weights of a model: upload a .weights.h5, .keras or .h5."
        )
        return _fault("dataset", FaultCode.CONFLICT, message, reference, expected)
    return InitialWeightsFound(arrays=dict(arrays), dataset_id=dataset.id)


def _fault(source: str, code: FaultCode, message: str, received: str, expected: str) -> InitialWeightsFound:
    fault = Fault(
        pointer=f"/initial_weights/{source}", code=str(code), message=message, received=received, expected=expected
    )
    return InitialWeightsFound(faults=[fault])
