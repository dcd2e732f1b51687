"""The body of a request as the application reads it: what is wrong with it raises our errors, not gunicorn's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from gunicorn.http.errors import NoMoreData, ParseException

from fitqueue.errors import MalformedRequest, RequestTimeout
from service.server.pace import TooSlow


class _Stream(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self, size: int = ..., /) -> bytes: ...


class Body:
    """A body whose chunks may be malformed, and whose client may be too slow."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        with _our_errors():
            return self._stream.read(size)

    def readline(self, size: int = -1, /) -> bytes:
        with _our_errors():
            return self._stream.readline(size)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


def with_our_body(application: Callable[..., Any]) -> Callable[..., Any]:
    """Return a WSGI application that reads bodies through `Body`."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"] = Body(environ["wsgi.input"])
        return application(environ, start_response)

    return call


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except NoMoreData:
        raise MalformedRequest("The connection ended before the last chunk of the body.") from None
    except ParseException as error:
        raise MalformedRequest(f"The body is malformed. {error}.") from None
    except TooSlow:
        raise RequestTimeout("The body arrived too slowly.") from None
