"""The share of the threads that one token, browser or proxied user may take, so that others are always answered."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from werkzeug.wrappers import Request

from fitqueue.errors import TooManyRequests
from service.api.authentication import credential_of, is_open
from service.api.context import MAX_FOLLOWERS
from service.login_proxy import NO_LOGIN_PROXIES, LoginProxies
from service.quota import Quota
from service.server.refusals import headers_and_body_of

MAX_PER_TOKEN: Final = MAX_FOLLOWERS
"""Requests that are answered at the same time for one token: as many as may follow jobs."""


class Shares:
    """A WSGI application that answers only so many requests of a token at a time, and refuses more with 429."""

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        login_proxies: LoginProxies = NO_LOGIN_PROXIES,
        limit: int = MAX_PER_TOKEN,
    ) -> None:
        self._application = application
        self._login_proxies = login_proxies
        self._quota = Quota(limit)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # Whether the token is valid is not known yet. An invalid one is refused at once, and holds nothing.
        token = None if is_open(environ["PATH_INFO"]) else self._credential_of(environ)
        if token is None:
            return self._application(environ, start_response)
        if not self._quota.acquire(token):
            status, headers, body = headers_and_body_of(TooManyRequests())
            start_response(status, headers)
            return [body]
        try:
            return _Answer(self._application(environ, start_response), lambda: self._quota.release(token))
        except BaseException:
            self._quota.release(token)
            raise

    def _credential_of(self, environ: dict[str, Any]) -> str | None:
        user = self._login_proxies.user_in(environ)
        return credential_of(Request(environ)) if user is None else f"user {user}"


class _Answer:
    """An answer that is given while the share is taken: the server calls `close` at its end, however it ends."""

    def __init__(self, content: Iterable[bytes], on_close: Callable[[], None]) -> None:
        self._content = content
        self._on_close = on_close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._content)

    def close(self) -> None:
        try:
            if hasattr(self._content, "close"):
                self._content.close()
        finally:
            self._on_close()
