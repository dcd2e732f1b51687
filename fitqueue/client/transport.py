"""HTTP to one service: the token, retries during an outage, and problem documents as exceptions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import httpx
from pydantic import ValidationError

from fitqueue import __version__
from fitqueue.client.configuration import API_PREFIX, Connection, preferred_language
from fitqueue.client.retry import RetryBudget
from fitqueue.errors import FitQueueError, Unreachable, error_from_code
from fitqueue.views import Problem

SHORT_RETRY_SECONDS = 3.0
"""How long an outage is retried while a person waits for the answer."""

LONG_RETRY_SECONDS = 300.0
"""How long an outage is retried while a training of hours is followed, or a large file is transferred."""

CONNECT_SECONDS = 5.0

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BUSY = frozenset({429, 503})
_LOST_BY_A_GATEWAY = frozenset({502, 504})


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        repeatable: whether the request can be sent again without harm if its answer was lost.
        redirectable: whether the answer may redirect to a file on another server.
        body: makes the body, once for each try.
        retry_seconds: how long an outage is retried.
        timeout: seconds without a byte after which a try has failed.
    """

    method: str
    path: str
    repeatable: bool = True
    redirectable: bool = False
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], bytes | Iterable[bytes]] | None = None
    retry_seconds: float = SHORT_RETRY_SECONDS
    timeout: float = 30.0


class Transport:
    """Sends calls to one service."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        headers = {
            "User-Agent": f"fitqueue/{__version__}",
            "Accept": "application/json",
            "Accept-Language": preferred_language(),
        }
        if connection.token:
            headers["Authorization"] = f"Bearer {connection.token}"
        # A proxy from the environment would look for «127.0.0.1» on its own machine.
        self._http = httpx.Client(
            base_url=connection.url + API_PREFIX, headers=headers, trust_env=not connection.is_local
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, call: Call) -> httpx.Response:
        """Send the call and return its complete answer, whose status is 2xx or 304.

        Raises:
            Unreachable: the service did not answer in the time for retries.
            FitQueueError: the error of the problem document that the service answered.
        """
        return self._send_with_retries(call, stream=False)

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """Send the call and yield its answer before the body was read.

        Raises:
            Unreachable: the service did not answer in the time for retries.
            FitQueueError: the error of the problem document that the service answered.
            httpx.TransportError: from reading the body, if the connection breaks.
        """
        response = self._send_with_retries(call, stream=True)
        try:
            yield response
        finally:
            response.close()

    @contextmanager
    def download(self, call: Call) -> Iterator[tuple[httpx.Response, str]]:
        """Yield the answer that holds a file, and the ETag that the service gave the file.

        The service may redirect to another server, which holds the file. It then gives only the ETag itself.

        Raises:
            Unreachable: the service did not answer in the time for retries.
            FitQueueError: the error of the problem document that the service answered.
            httpx.TransportError: the connection broke, or the other server did not give the file.
        """
        with self.stream(replace(call, redirectable=True)) as answer:
            etag = answer.headers.get("ETag", "")
            if answer.status_code != httpx.codes.FOUND:
                yield answer, etag
                return
        with _follow_redirect(answer, call) as response:
            yield response, etag

    def _send_with_retries(self, call: Call, *, stream: bool) -> httpx.Response:
        budget = RetryBudget(call.retry_seconds)
        while True:
            try:
                response = self._send(call, stream=stream)
            except httpx.TransportError as error:
                problem = f"No answer from {self.url} ({_describe(error)})"
                may_repeat = call.repeatable or isinstance(error, _NOT_SENT)
                if not (may_repeat and budget.pause(problem)):
                    raise Unreachable(f"{problem}. Is the service running, and is this its address?") from error
                continue
            if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                return response
            if call.redirectable and _leads_to_a_file(response):
                return response
            refusal = _error_in(response)
            requested_pause = response.headers.get("Retry-After")
            if not (_may_succeed_later(response, call) and budget.pause(refusal.message, requested_pause)):
                raise refusal

    def _send(self, call: Call, *, stream: bool) -> httpx.Response:
        request = self._http.build_request(
            call.method,
            call.path,
            params=dict(call.params),
            headers=dict(call.headers),
            content=call.body() if call.body else None,
            timeout=httpx.Timeout(call.timeout, connect=min(CONNECT_SECONDS, call.timeout)),
        )
        response = self._http.send(request, stream=True)
        if not (stream and response.is_success):
            try:
                response.read()
            finally:
                response.close()
        return response


def _leads_to_a_file(response: httpx.Response) -> bool:
    # A gateway that redirects people to its login page sends no ETag.
    return response.status_code == httpx.codes.FOUND and "Location" in response.headers and "ETag" in response.headers


@contextmanager
def _follow_redirect(answer: httpx.Response, call: Call) -> Iterator[httpx.Response]:
    """Yield the file from the server that the answer redirects to. That server does not get the token.

    Raises:
        httpx.TransportError: the server cannot be reached, or does not give the file.
    """
    url = answer.url.join(answer.headers["Location"])
    headers = {"User-Agent": f"fitqueue/{__version__}", "Accept-Encoding": "identity"}
    # The other server has an ETag of its own, so `If-Range` is compared here with the ETag in the service's answer.
    if "Range" in call.headers and call.headers.get("If-Range") == answer.headers["ETag"]:
        headers["Range"] = call.headers["Range"]
    timeout = httpx.Timeout(call.timeout, connect=CONNECT_SECONDS)
    trust_env = not Connection(str(url)).is_local
    with (
        httpx.Client(trust_env=trust_env) as http,
        http.stream("GET", url, headers=headers, timeout=timeout) as response,
    ):
        if not response.is_success:
            raise httpx.RemoteProtocolError(f"{url.host} answered {response.status_code} {response.reason_phrase}")
        yield response


def _error_in(response: httpx.Response) -> FitQueueError:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return Unreachable(_describe_foreign_answer(response))
    message = problem.detail
    if problem.status >= 500:
        message += f" (request {problem.request_id})"
    return error_from_code(problem.code, message, problem.errors)


def _may_succeed_later(response: httpx.Response, call: Call) -> bool:
    status = response.status_code
    return status in _BUSY or (call.repeatable and status in _LOST_BY_A_GATEWAY)


def _describe_foreign_answer(response: httpx.Response) -> str:
    answer = f"{response.request.url} answered {response.status_code} {response.reason_phrase}"
    if location := response.headers.get("Location"):
        return f"{answer} and redirects to {location}; if the service is there, use that address"
    return (
        f"{answer}, which is not an answer of FitQueue: either another program runs at this address, "
        "or a gateway in front of the service answered"
    )


def _describe(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
