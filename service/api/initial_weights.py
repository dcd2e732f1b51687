"""Finds the weights that a job is to start from: those of another job, or those that a user uploaded."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import CheckpointNotFound, Expired, Fault, NotFound
from fitqueue.spec.fields.training import InitialWeights
from fitqueue.spec.findings import FaultCode, listed
from fitqueue.weights import are_weights
from service.api.context import Services
from service.models import Checkpoint, Project
from service.store import checkpoints, datasets, jobs
from service.store.access import Viewer


@dataclass(frozen=True)
class InitialWeightsFound:
    """What is known of a job's initial weights.

    Attributes:
        model: the model of the job that they come from.
        compile: how that job compiles it, if its optimizer is continued.
        arrays: the arrays of the data set that they come from.
        dataset_id: the id of that data set.
    """

    faults: list[Fault] = field(default_factory=list)
    model: dict[str, Any] | None = None
    compile: dict[str, Any] | None = None
    arrays: dict[str, ArrayInfo] | None = None
    dataset_id: str | None = None


def find_initial_weights(
    services: Services, initial_weights: InitialWeights | None, viewer: Viewer, project: Project | None
) -> InitialWeightsFound:
    """Return what is known of the weights that a job names, or the fault that the viewer sees none."""
    if initial_weights is None:
        return InitialWeightsFound()
    if initial_weights.job is not None:
        return _of_job(services, initial_weights, initial_weights.job, viewer)
    assert initial_weights.dataset is not None  # it has one of the two
    return _of_dataset(services, initial_weights.dataset, viewer, project)


def _of_job(services: Services, initial: InitialWeights, job_id: str, viewer: Viewer) -> InitialWeightsFound:
    with services.database.read() as session:
        try:
            jobs.get(session, job_id, viewer)
            checkpoint = checkpoints.get(session, job_id, initial.stored_checkpoint)
        except CheckpointNotFound as error:
            return _unknown_checkpoint(session, initial, job_id, error.message)
        except (NotFound, Expired) as error:
            expected = "the id of a job that has saved its best weights"
            return _fault("job", FaultCode.UNKNOWN_JOB, error.message, job_id, expected)
        if (fault := _incomplete(checkpoint, initial)) is not None:
            return fault
        spec = jobs.get_whole(session, job_id).spec
        return InitialWeightsFound(model=spec.get("model"), compile=spec.get("compile") if initial.optimizer else None)


def _unknown_checkpoint(session: Session, initial: InitialWeights, job_id: str, message: str) -> InitialWeightsFound:
    if initial.checkpoint is None:
        expected = "the id of a job that has saved its best weights"
        return _fault("job", FaultCode.UNKNOWN_JOB, message, job_id, expected)
    names = listed(checkpoints.names(session, job_id))
    return _fault("checkpoint", FaultCode.UNKNOWN_CHECKPOINT, message, initial.checkpoint, f"one of {names}")


def _incomplete(checkpoint: Checkpoint, initial: InitialWeights) -> InitialWeightsFound | None:
    """Return the fault that a checkpoint lacks what it shall fill besides weights."""
    if initial.optimizer and not checkpoint.has_optimizer:
        message = f"The checkpoint {checkpoint.name!r} was saved without the variables of the optimizer."
        expected = "false, `checkpoint: last` of a job with `save_optimizer`, or one saved with `include_optimizer`"
        return _fault("optimizer", FaultCode.CONFLICT, message, True, expected)
    if initial.states and checkpoint.format != "weights.h5":
        message = f"The checkpoint {checkpoint.name!r} is a whole model, into which Keras writes no states."
        return _fault("states", FaultCode.CONFLICT, message, True, "false, or a checkpoint of weights")
    return None


def _of_dataset(services: Services, reference: str, viewer: Viewer, project: Project | None) -> InitialWeightsFound:
    expected = "the id or name of weights that were uploaded"
    try:
        with services.database.read() as session:
            dataset = datasets.get(session, reference, viewer, project)
            arrays = datasets.info(dataset).arrays
    except NotFound as error:
        return _fault("dataset", FaultCode.UNKNOWN_DATASET, error.message, reference, expected)
    if not are_weights(arrays):
        message = (
            f"The data set {reference!r} does not hold the weights of a model: upload a .weights.h5, .keras or .h5."
        )
        return _fault("dataset", FaultCode.CONFLICT, message, reference, expected)
    return InitialWeightsFound(arrays=dict(arrays), dataset_id=dataset.id)


def _fault(field: str, code: FaultCode, message: str, received: object, expected: str) -> InitialWeightsFound:
    fault = Fault(
        pointer=f"/initial_weights/{field}", code=str(code), message=message, received=received, expected=expected
    )
    return InitialWeightsFound(faults=[fault])
