"""HTTP to one service: the token, tries after an outage, and problem documents turned into our errors."""

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
LONG_RETRY_SECONDS = 300.0
"""Seconds of outage to sit out: a person waits for an answer, or a training of hours is being followed."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_REFUSED_FOR_NOW = frozenset({429, 503})
_LOST_AT_A_GATEWAY = frozenset({502, 504})


@dataclass(frozen=True)
class Call:
    """One request. `repeatable`: doing it twice does no harm, so it is sent again when its answer was lost.

    `redirectable`: its answer may be the address of a file on another server.
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
        self._http.close()

    def request(self, call: Call) -> httpx.Response:
        """The whole answer, of status 2xx or 304. Raises Unreachable, or the error of the problem document."""
        return self._persist(call, stream=False)

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """An answer whose body is still to be read; reading it may raise httpx.TransportError."""
        response = self._persist(call, stream=True)
        try:
            yield response
        finally:
            response.close()

    @contextmanager
    def download(self, call: Call) -> Iterator[tuple[httpx.Response, str]]:
        """As `stream`, and the tag that the service gave the file, wherever it comes from.

        Raises httpx.TransportError, too, where another server is to give it and does not.
        """
        with self.stream(replace(call, redirectable=True)) as answer:
            tag = answer.headers.get("ETag", "")
            if answer.status_code != httpx.codes.FOUND:
                yield answer, tag
                return
        with _elsewhere(answer, call) as response:
            yield response, tag

    def _persist(self, call: Call, *, stream: bool) -> httpx.Response:
        retry_seconds = RetryBudget(call.retry_seconds)
        while True:
            try:
                response = self._send(call, stream=stream)
            except httpx.TransportError as error:
                trouble = f"No answer from {self.url} ({_in_words(error)})"
                may_repeat = call.repeatable or isinstance(error, _NOT_SENT)
                if not (may_repeat and retry_seconds.pause(trouble)):
                    raise Unreachable(f"{trouble}. Is the service running, and is this its address?") from error
                continue
            if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED or _leads_to(response, call):
                return response
            refusal = self._error_of(response)
            if not (
                _passes(response, call) and retry_seconds.pause(refusal.message, response.headers.get("Retry-After"))
            ):
                raise refusal

    def _send(self, call: Call, *, stream: bool) -> httpx.Response:
        request = self._http.build_request(
            call.method,
            call.path,
            params=dict(call.params),
            headers=dict(call.headers),
            content=call.body() if call.body else None,
            timeout=httpx.Timeout(call.timeout, connect=5.0),
        )
        response = self._http.send(request, stream=True)
        if not (stream and response.is_success):
            try:
                response.read()
            finally:
                response.close()
        return response

    def _error_of(self, response: httpx.Response) -> FitQueueError:
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            return Unreachable(_no_problem_document(response))
        message = problem.detail
        if problem.status >= 500:
            message += f" (request {problem.request_id})"
        return error_from_code(problem.code, message, problem.errors)


def _leads_to(response: httpx.Response, call: Call) -> bool:
    """Whether it leads to a file: a gateway that sends people to its page tags nothing."""
    is_found = response.status_code == httpx.codes.FOUND and "Location" in response.headers
    return call.redirectable and is_found and "ETag" in response.headers


@contextmanager
def _elsewhere(answer: httpx.Response, call: Call) -> Iterator[httpx.Response]:
    """The file from where the answer leads. The token is the service's alone, and stays here."""
    url = answer.url.join(answer.headers["Location"])
    headers = {"User-Agent": f"fitqueue/{__version__}", "Accept-Encoding": "identity"}
    # The other server knows the file by another tag; ours was compared with the service's, which is in its answer.
    if "Range" in call.headers and call.headers.get("If-Range") == answer.headers["ETag"]:
        headers["Range"] = call.headers["Range"]
    timeout = httpx.Timeout(call.timeout, connect=5.0)
    local = Connection(str(url)).is_local
    with httpx.Client(trust_env=not local) as http, http.stream("GET", url, headers=headers, timeout=timeout) as given:
        if not given.is_success:
            raise httpx.RemoteProtocolError(f"{url.host} answered {given.status_code} {given.reason_phrase}")
        yield given


def _passes(response: httpx.Response, call: Call) -> bool:
    status = response.status_code
    return status in _REFUSED_FOR_NOW or (call.repeatable and status in _LOST_AT_A_GATEWAY)


def _no_problem_document(response: httpx.Response) -> str:
    what = f"{response.request.url} answered {response.status_code} {response.reason_phrase}"
    if location := response.headers.get("Location"):
        return f"{what} and points to {location}; give the address that it points to"
    return f"{what}, which FitQueue does not say: another program answers at this address, or a gateway in front of it"


def _in_words(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
