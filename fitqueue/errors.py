"""All errors of FitQueue, under one root.

An error's `code` is stable and part of the API; its docstring is its default message. The API turns an error into an
RFC 9457 problem document (only `service/api/errors.py` knows the status codes), and the client turns that document
back into the same class (`error_from_code`).
"""

from inspect import cleandoc
from typing import Any, ClassVar, Final

from pydantic import BaseModel, Field


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="where: a JSON pointer (RFC 6901) into the body, or the name of a parameter")
    code: str
    message: str
    received: Any = Field(default=None, description="the value that was sent, shortened if it is long")
    expected: str | None = Field(default=None, description="what would be valid there")


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
    """The request body is not strict JSON (RFC 8259)."""

    code = "malformed_json"


class MalformedRequest(FitQueueError):
    """The request does not follow HTTP/1.1."""

    code = "malformed_request"


class InvalidRequest(FitQueueError):
    """A request parameter is invalid; `errors` lists every fault."""

    code = "invalid_request"


class InvalidSpec(FitQueueError):
    """The job is invalid; `errors` lists every fault."""

    code = "invalid_spec"


class InvalidDataset(FitQueueError):
    """The file is not an `.npz` of arrays, or has no array of plain numbers."""

    code = "invalid_dataset"


class RequestTimeout(FitQueueError):
    """The request arrived too slowly."""

    code = "request_timeout"


class BodyTooLarge(FitQueueError):
    """The request body is larger than this service accepts."""

    code = "body_too_large"


class URITooLong(FitQueueError):
    """The address of the request is too long."""

    code = "uri_too_long"


class UnsupportedMediaType(FitQueueError):
    """This address does not accept the body's Content-Type."""

    code = "unsupported_media_type"


class Unauthenticated(FitQueueError):
    """A valid token is required: run `fitqueue login`, or set FITQUEUE_TOKEN."""

    code = "unauthenticated"


class CrossSite(FitQueueError):
    """A browser sent this write for a page of another site, or a proxy has changed the header `Host`."""

    code = "cross_site"


class Forbidden(FitQueueError):
    """The user, or the token, may not do this."""

    code = "forbidden"


class NotFound(FitQueueError):
    """There is nothing at this address."""

    code = "not_found"


class JobNotFound(NotFound):
    """There is no job with this id."""

    code = "job_not_found"


class DatasetNotFound(NotFound):
    """There is no data set with this id or name."""

    code = "dataset_not_found"


class UserNotFound(NotFound):
    """There is no user with this name."""

    code = "user_not_found"


class ProjectNotFound(NotFound):
    """There is no project with this name."""

    code = "project_not_found"


class TokenNotFound(NotFound):
    """There is no valid token with this id."""

    code = "token_not_found"


class ArrayNotFound(NotFound):
    """The data set has no array with this name, or the service does not have its values."""

    code = "array_not_found"


class CheckpointNotFound(NotFound):
    """The job has no checkpoint with this name."""

    code = "checkpoint_not_found"


class ArtifactNotFound(NotFound):
    """The job has no artifact with this name; artifacts become available when the job has ended."""

    code = "artifact_not_found"


class WorkerNotFound(NotFound):
    """There is no worker with this id, or it has stopped."""

    code = "worker_not_found"


class WebhookNotFound(NotFound):
    """You have no webhook with this id."""

    code = "webhook_not_found"


class DeliveryNotFound(NotFound):
    """The webhook has no delivery with this id; they are kept for 30 days."""

    code = "delivery_not_found"


class NoCheckpointYet(NotFound):
    """The job has not saved any weights yet; the first are saved by the end of its first epoch."""

    code = "no_checkpoint_yet"


class MethodNotAllowed(FitQueueError):
    """This address does not support this method."""

    code = "method_not_allowed"


class Conflict(FitQueueError):
    """The request conflicts with the current state."""

    code = "conflict"


class JobEnded(Conflict):
    """The job has already ended."""

    code = "job_ended"


class JobNotEnded(Conflict):
    """The job has not ended yet; cancel it first."""

    code = "job_not_ended"


class JobNotChangeable(Conflict):
    """The job cannot be changed: it has left the queue."""

    code = "job_not_changeable"


class JobNotExtendable(Conflict):
    """The job cannot be extended: more epochs would not help, or it left nothing to resume from."""

    code = "job_not_extendable"


class NameTaken(Conflict):
    """Another data set already has this name."""

    code = "name_taken"


class LastAdmin(Conflict):
    """A service needs an admin who is not disabled."""

    code = "last_admin"


class DatasetInUse(Conflict):
    """A job that has not ended needs this data set."""

    code = "dataset_in_use"


class TooManyWebhooks(Conflict):
    """You have too many webhooks for this project or job; remove one first."""

    code = "too_many_webhooks"


class WebhookDisabled(Conflict):
    """The receiver has answered 410, so nothing is sent to this webhook any more; create a new one."""

    code = "webhook_disabled"


class LimitExceeded(FitQueueError):
    """The user or the project may not have more than they have; `errors` lists every limit."""

    code = "limit_exceeded"


class IdempotencyMismatch(FitQueueError):
    """This Idempotency-Key was already used with a different body."""

    code = "idempotency_mismatch"


class RangeNotSatisfiable(FitQueueError):
    """The requested range lies outside the file."""

    code = "range_not_satisfiable"


class HeadersTooLarge(FitQueueError):
    """The header fields of the request are too large, or too many."""

    code = "headers_too_large"


class TooManyRequests(FitQueueError):
    """Too many requests with this token are being answered; try again in a moment."""

    code = "too_many_requests"


class RequestLimitReached(TooManyRequests):
    """The user has sent as many requests in a minute as they may; try again in a moment."""

    code = "request_limit_reached"


class DatabaseUnavailable(FitQueueError):
    """The database cannot be reached; try again in a moment."""

    code = "database_unavailable"


class DatabaseOutdated(DatabaseUnavailable):
    """The database does not have the tables of this version: run `fitqueue migrate`."""

    code = "database_outdated"


class StorageUnavailable(FitQueueError):
    """The file storage cannot be reached or is full; try again in a moment."""

    code = "storage_unavailable"


class FileGone(FitQueueError):
    """The file is gone from the storage, although the job had saved it."""

    code = "file_gone"


class Expired(FitQueueError):
    """The retention of its project has removed what the ended job had saved."""

    code = "expired"


class WrongStorage(FitQueueError):
    """The storage is not the one that the database refers to."""

    code = "wrong_storage"


class TooManyFollowers(FitQueueError):
    """Too many requests are waiting for updates; ask again without `follow=true`."""

    code = "too_many_followers"


class CheckerBusy(FitQueueError):
    """Too many models are being checked; try again in a moment."""

    code = "checker_busy"


class InternalError(FitQueueError):
    """The service failed; its log has the details under this request id."""

    code = "internal_server_error"


class Unreachable(FitQueueError):
    """No FitQueue service answers at this address."""

    code = "unreachable"


class NotConfigured(FitQueueError):
    """No service address is known: run `fitqueue login`, set FITQUEUE_URL and FITQUEUE_TOKEN, or run `fitqueue up`."""

    code = "not_configured"


class ChecksumMismatch(FitQueueError):
    """The downloaded file does not have the checksum that the service announced."""

    code = "checksum_mismatch"


class WaitTimeout(FitQueueError):
    """The job did not end within the timeout."""

    code = "wait_timeout"


class JobFailed(FitQueueError):
    """The job has failed."""

    code = "job_failed"

    history: Any = None
    """The History of the epochs that it has trained."""


def _with_subclasses(error: type[FitQueueError]) -> list[type[FitQueueError]]:
    return [error] + [descendant for child in error.__subclasses__() for descendant in _with_subclasses(child)]


ERRORS_BY_CODE: Final = {error.code: error for error in _with_subclasses(FitQueueError)}


def error_from_code(code: str, message: str, errors: list[Fault]) -> FitQueueError:
    """Return the error that a problem document describes; for an unknown code, one of the root class."""
    return ERRORS_BY_CODE.get(code, FitQueueError)(message, errors=errors)
