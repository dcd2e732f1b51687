"""What all methods of `Client` build on: one request, and lists that arrive in pages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from fitqueue.client.transport import SHORT_RETRY_SECONDS, Call, Transport
from fitqueue.client.wrong_types import not_an_id
from fitqueue.views import Page

JSON: Final = {"Content-Type": "application/json"}
Row = TypeVar("Row", bound=BaseModel)


class ClientBase:
    """Sends the requests of one client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _call(self, method: str, path: str, **options: Any) -> bytes:
        return self._transport.request(Call(method, path, **options)).content

    def _send(self, method: str, path: str, body: bytes) -> bytes:
        """Send a body that is JSON."""
        return self._call(method, path, headers=JSON, body=lambda: body)

    def _pages(
        self,
        path: str,
        row_type: type[Row],
        params: Mapping[str, str | int | Sequence[str] | None] | None = None,
        retry_seconds: float = SHORT_RETRY_SECONDS,
    ) -> Iterator[Row]:
        cursor: dict[str, str] = {}
        while True:
            answer = self._call("GET", path, params={**(params or {}), **cursor}, retry_seconds=retry_seconds)
            page = Page[row_type].model_validate_json(answer)  # type: ignore[valid-type]  # a type made at run time
            yield from page.data
            if page.next_cursor is None:
                return
            cursor = {"cursor": page.next_cursor}

    def _count(self, path: str, params: Mapping[str, str | int | Sequence[str] | None]) -> int:
        """Return how many rows a list has on all of its pages."""
        answer = self._call("GET", path, params={**params, "total": "true", "limit": 1})
        return Page[Any].model_validate_json(answer).total or 0


def job_path(job_id: str) -> str:
    """Return the path of a job, below the prefix of the API.

    Raises:
        TypeError: the id is something else, such as a job.
    """
    if not isinstance(job_id, str):
        raise not_an_id(job_id)
    return f"/jobs/{quote(job_id, safe='')}"
