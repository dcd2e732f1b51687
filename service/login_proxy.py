"""Whom a login proxy names, in a header field that the settings choose: it is believed of those that they list.

A client can send the same field. From anybody else it is removed, so that nothing else reads it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from service.forwarding import TrustedProxies

_USER: Final = "fitqueue.login_user"
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
# They mean something else to the service, or to what is in front of it.
_TAKEN: Final = frozenset(
    {
        "accept", "authorization", "connection", "content-length", "content-type", "cookie", "host", "idempotency-key",
        "if-none-match", "last-event-id", "origin", "range", "referer", "transfer-encoding", "upgrade", "user-agent",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto", "x-request-id",
    }
)  # fmt: skip


def validated_field(name: str) -> str:
    """Return the name of a header field in which a login proxy may name a user.

    Raises:
        ValueError: it is not a name, or has another meaning.
    """
    if name and _FIELD.fullmatch(name) is None:
        raise ValueError("expected the name of a header field, such as `X-Remote-User`")
    if name.lower() in _TAKEN:
        raise ValueError(f"the field {name} has another meaning; expected one such as `X-Remote-User`")
    return name


class LoginProxies:
    """The proxies that are believed, and the field in which they name a user; without a name, there are none."""

    def __init__(self, field: str, networks: Iterable[str]) -> None:
        self._variable = f"HTTP_{field.upper().replace('-', '_')}" if field else ""
        self._proxies = TrustedProxies(networks)

    def user_in(self, environ: dict[str, Any]) -> str | None:
        """Return whom a request names that has just come in: `REMOTE_ADDR` is still the direct peer's."""
        named = environ.get(self._variable, "")
        return named if named and environ.get("REMOTE_ADDR") in self._proxies else None

    def remove(self, environ: dict[str, Any]) -> None:
        """Remove the field from a request."""
        environ.pop(self._variable, None)


NO_LOGIN_PROXIES: Final = LoginProxies("", ())


class LoggedInRequests:
    """A WSGI application that knows whom a login proxy names. It sees requests before `X-Forwarded-…` is read."""

    def __init__(self, application: Callable[..., Iterable[bytes]], proxies: LoginProxies) -> None:
        self._application = application
        self._proxies = proxies

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        user = self._proxies.user_in(environ)
        self._proxies.remove(environ)
        if user is not None:
            environ[_USER] = user
        return self._application(environ, start_response)


def named_user(environ: dict[str, Any]) -> str | None:
    """Return the user whom a login proxy names in this request."""
    return environ.get(_USER)
