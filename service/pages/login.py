"""The page where a browser logs in, with a token or by a link that works once, and out."""

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from service.api.addresses import root
from service.api.authentication import LOGIN_PATH, cookie_name, session_of, verify_same_origin
from service.api.context import Services, get_services
from service.pages.rendering import render
from service.store import login, tokens

blueprint = Blueprint("login", __name__)

_COOKIE_AGE: Final = timedelta(days=400)
"""The longest that browsers keep a cookie. The session ends by itself when nobody has used it for a while."""


@blueprint.get(LOGIN_PATH)
def show() -> BaseResponse:
    """Show the form; with `?link=…`, log in by the link, and redirect so that it does not stay in the address."""
    secret = request.args.get("link")
    if secret is None:
        return _form(request.args.get("next", ""))
    services = get_services()
    with services.database.write() as session:
        token_id = login.use_link(session, secret)
    if token_id is None:
        return _form(request.args.get("next", ""), "login.link_used", 401)
    return _logged_in(services, token_id)


@blueprint.post(LOGIN_PATH)
def log_in() -> BaseResponse:
    verify_same_origin(request)
    services = get_services()
    token = request.form.get("token", "").strip()
    with services.database.read() as session:
        token_id = tokens.verify(session, token)
    if token_id is None:
        return _form(request.form.get("next", ""), "login.invalid" if token else "login.missing", 401)
    return _logged_in(services, token_id)


@blueprint.post("/logout")
def log_out() -> BaseResponse:
    secret = session_of(request)
    if secret is not None:
        with get_services().database.write() as session:
            login.end(session, secret)
    response = redirect(f"{root()}{LOGIN_PATH}")
    response.delete_cookie(cookie_name(request), path=_cookie_path())
    return response


def own_path(path: str) -> str:
    """Return a path of this service, or its first page where `path` would lead elsewhere."""
    parts = urlsplit(path)
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if is_own and path.isprintable() else "/"


def _form(target: str, error: str | None = None, status: int = 200) -> Response:
    return render("login.html", status, target=own_path(target), error=error)


def _logged_in(services: Services, token_id: str) -> BaseResponse:
    idle_timeout = timedelta(seconds=services.settings.login_idle_seconds)
    with services.database.write() as session:
        secret = login.begin(session, token_id, idle_timeout)
    response = redirect(f"{root()}{own_path(request.values.get('next', '/'))}", 303)
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=_COOKIE_AGE,
        path=_cookie_path(),
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
    return response


def _cookie_path() -> str:
    return root() or "/"
