"""Who sends a request.

A program has a bearer token. A browser comes through a login proxy, or has the cookie of a login session.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlsplit

from flask import Flask, g, redirect, request
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.errors import CrossSite, DatabaseUnavailable, Unauthenticated
from service.api import PREFIX
from service.api.addresses import root
from service.api.context import Services, get_services
from service.api.cors import is_preflight
from service.login_proxy import named_user
from service.store import login, principals, proxy_logins
from service.store.principals import Principal

LIVENESS_PATH: Final = "/healthz"
LOGIN_PATH: Final = "/login"
ASSETS_PATH: Final = "/assets/"
JOB_SCHEMA_PATH: Final = f"{PREFIX}/job.schema.json"

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE: Final = "fitqueue_session"


def register(app: Flask) -> None:
    app.before_request(_authenticate)


def is_open(path: str) -> bool:
    """Tell whether a path is answered to everybody."""
    return path in {LIVENESS_PATH, LOGIN_PATH, JOB_SCHEMA_PATH} or path.startswith(ASSETS_PATH)


def credential_of(request: Request) -> str | None:
    """Return the bearer token of a request, or the cookie of its login session, valid or not."""
    return _bearer_token(request) or session_of(request)


def session_of(request: Request) -> str | None:
    """Return the cookie of the login session that a request brings, valid or not."""
    return request.cookies.get(cookie_name(request)) or None


def cookie_name(request: Request) -> str:
    """Return the cookie's name. It has the port, because browsers send a host's cookies to all of its ports."""
    port = request.host.rpartition(":")[2]
    return f"{_COOKIE}_{port}" if port.isascii() and port.isdigit() else _COOKIE


def verify_same_origin(request: Request) -> None:
    """Refuse a write that a page of another site has made a browser send.

    Browsers send `Origin` with each write. Its host must be the one that the request went to; the scheme may differ
    behind a proxy. Newer browsers say it in `Sec-Fetch-Site`, too, but Chromium does not over plain HTTP.

    Raises:
        CrossSite: it comes from another site, or does not say where it comes from.
    """
    origin = request.headers.get("Origin", "")
    is_own = urlsplit(origin).netloc.lower() == request.host.lower() != ""
    if not is_own or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise CrossSite()


def accepts_pages(request: Request) -> bool:
    """Tell whether a person with a browser reads the answer."""
    return "text/html" in request.headers.get("Accept", "")


def _authenticate() -> BaseResponse | None:
    if is_open(request.path) or is_preflight():
        return None
    services = get_services()
    token = _bearer_token(request)
    if token is not None:
        g.principal = _of_token(services, token)
        return None
    named = named_user(request.environ)
    principal = _of_session(services) if named is None else _of_login_proxy(services, named)
    if principal is None:
        if _wants_a_page():
            return redirect(f"{root()}{LOGIN_PATH}?next={quote(request.full_path.rstrip('?'))}")
        raise Unauthenticated()
    if request.method not in _SAFE_METHODS:
        verify_same_origin(request)
    g.principal = principal
    return None


def _bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _of_token(services: Services, token: str) -> Principal:
    with services.database.read() as session:
        found = principals.of_token(session, token)
    if found is None:
        raise Unauthenticated("The token is invalid, has expired, or was revoked, or its user is disabled.")
    if found.is_use_due:
        _record_use(services, found.principal)
    return found.principal


def _of_session(services: Services) -> Principal | None:
    """Return who is logged in with the request's login session; None if it has none that is valid."""
    secret = session_of(request)
    if secret is None:
        return None
    with services.database.read() as session:
        found = principals.of_session(session, secret, timedelta(seconds=services.settings.login_idle_seconds))
    if found is None:
        return None
    if found.is_use_due:
        _record_use(services, found.principal, secret)
    return found.principal


def _of_login_proxy(services: Services, name: str) -> Principal:
    """Return the user whom a login proxy names.

    Raises:
        Forbidden: there is no such user, or they may not log in.
    """
    with services.database.read() as session:
        found = proxy_logins.find(session, name)
    if found is None:
        with services.database.write() as session:
            found = proxy_logins.begin(session, name, request.remote_addr)
    if found.is_use_due:
        _record_use(services, found.principal)
    return found.principal


def _record_use(services: Services, principal: Principal, secret: str | None = None) -> None:
    with suppress(DatabaseUnavailable), services.database.write() as session:  # the next request tries again
        principals.record_use(session, principal, request.remote_addr)
        if secret is not None:
            login.renew(session, secret)


def _wants_a_page() -> bool:
    """Tell whether somebody opens a page in a browser."""
    is_page = not request.path.startswith((f"{PREFIX}/", "/metrics", "/readyz"))
    return request.method == "GET" and is_page and accepts_pages(request)
