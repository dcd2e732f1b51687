"""Every error that FitQueue names, under one root.

An error's `code` is stable and part of the API; its docstring is its default message. The API turns an error into an
RFC 9457 problem document (`service/api/errors.py` alone knows the status codes), and the client turns the document
back into the same class (`error_from_code`).
"""

from inspect import cleandoc
from typing import Any, ClassVar, Final

from pydantic import BaseModel, Field


class Fault(BaseModel):
    """One thing that is wrong with what somebody sent."""

    pointer: str = Field(description="where: a JSON pointer (RFC 6901) into the body, or the parameter's name")
    code: str
    message: str
    received: Any = Field(default=None, description="what was there, shortened where it is long")
    expected: str | None = None


class FitQueueError(Exception):
    """Something went wrong in FitQueue."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, errors: list[Fault] | None = None) -> None:
        self.message = message or cleandoc(type(self).__doc__ or "")
        self.errors = errors or []
        super().__init__(self.message)

    def __str__(self) -> str:
        faults = [f"{fault.pointer or '/'}: {fault.message}" for fault in self.errors]
        return "\n  ".join([self.message, *faults])


class MalformedJSON(FitQueueError):
    """The body is not the strict JSON of RFC 8259."""

    code = "malformed_json"


class InvalidRequest(FitQueueError):
    """A parameter of the request is wrong; `errors` names each fault."""

    code = "invalid_request"


class InvalidSpec(FitQueueError):
    """The job cannot be trained as it was written; `errors` names each fault."""

    code = "invalid_spec"


class InvalidDataset(FitQueueError):
    """The file is no `.npz` of plain numeric arrays."""

    code = "invalid_dataset"


class BodyTooLarge(FitQueueError):
    """The body is larger than this service takes."""

    code = "body_too_large"


class UnsupportedMediaType(FitQueueError):
    """The body's Content-Type is not one that this address takes."""

    code = "unsupported_media_type"


class Unauthenticated(FitQueueError):
    """A valid token is needed: `Authorization: Bearer …`."""

    code = "unauthenticated"


class NotFound(FitQueueError):
    """There is nothing at this address."""

    code = "not_found"


class JobNotFound(NotFound):
    """There is no job of this id."""

    code = "job_not_found"


class DatasetNotFound(NotFound):
    """There is no data set of this id or name."""

    code = "dataset_not_found"


class CheckpointNotFound(NotFound):
    """The job has no checkpoint of this name."""

    code = "checkpoint_not_found"


class ArtifactNotFound(NotFound):
    """The job has no artifact of this name; what its callbacks write is there when it has ended."""

    code = "artifact_not_found"


class NoCheckpointYet(NotFound):
    """The job has not saved any weights yet; they appear with its first epoch."""

    code = "no_checkpoint_yet"


class MethodNotAllowed(FitQueueError):
    """The address does not take this method."""

    code = "method_not_allowed"


class Conflict(FitQueueError):
    """The request does not fit the present state."""

    code = "conflict"


class JobEnded(Conflict):
    """The job has ended already."""

    code = "job_ended"


class JobNotEnded(Conflict):
    """The job has not ended yet; cancel it first."""

    code = "job_not_ended"


class JobNotExtendable(Conflict):
    """The job ended in a way that more epochs cannot mend, or left nothing to go on from."""

    code = "job_not_extendable"


class NameTaken(Conflict):
    """Another data set has this name already."""

    code = "name_taken"


class DatasetInUse(Conflict):
    """A job that has not ended needs this data set."""

    code = "dataset_in_use"


class IdempotencyMismatch(FitQueueError):
    """This Idempotency-Key was used before, with another body."""

    code = "idempotency_mismatch"


class RangeNotSatisfiable(FitQueueError):
    """The range asked for lies outside the file."""

    code = "range_not_satisfiable"


class DatabaseUnavailable(FitQueueError):
    """The database cannot be reached; try again in a moment."""

    code = "database_unavailable"


class DatabaseOutdated(DatabaseUnavailable):
    """The database lacks tables of this version: run `fitqueue migrate` on it."""

    code = "database_outdated"


class StorageUnavailable(FitQueueError):
    """The store of files cannot be reached or is full; try again in a moment."""

    code = "storage_unavailable"


class TooManyFollowers(FitQueueError):
    """Too many requests wait for news at the moment; ask again, without waiting."""

    code = "too_many_followers"


class InternalError(FitQueueError):
    """The service failed; the log has the details under this request id."""

    code = "internal_server_error"


class Unreachable(FitQueueError):
    """No FitQueue service answers at this address."""

    code = "unreachable"


class NotConfigured(FitQueueError):
    """No address or token is known: set FITQUEUE_URL and FITQUEUE_TOKEN, or run `fitqueue up`."""

    code = "not_configured"


class ChecksumMismatch(FitQueueError):
    """The downloaded file is not the one that the service announced."""

    code = "checksum_mismatch"


class WaitTimeout(FitQueueError):
    """The job had not ended when the time to wait was over."""

    code = "wait_timeout"


def _all_subclasses(root: type[FitQueueError]) -> list[type[FitQueueError]]:
    return [root] + [found for child in root.__subclasses__() for found in _all_subclasses(child)]


ERRORS_BY_CODE: Final = {error.code: error for error in _all_subclasses(FitQueueError)}


def error_from_code(code: str, message: str, errors: list[Fault]) -> FitQueueError:
    """The error that a problem document speaks of; an unknown code gives the root class."""
    return ERRORS_BY_CODE.get(code, FitQueueError)(message, errors=errors)
