"""The page where a browser logs in, with a token or by a link that works once, and out."""

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.audit_actions import AuditAction
from service.api import auditing
from service.api.addresses import root
from service.api.authentication import LOGIN_PATH, cookie_name, session_of, verify_same_origin
from service.api.context import get_services
from service.pages.rendering import render
from service.store import login, principals
from service.store.principals import Principal

blueprint = Blueprint("login", __name__)

_COOKIE_AGE: Final = timedelta(days=400)
"""The longest that browsers keep a cookie. The session ends by itself when nobody has used it for a while."""


@blueprint.get(LOGIN_PATH)
def show() -> BaseResponse:
    """Show the form; with `?link=…`, log in by the link, and redirect so that it does not stay in the address."""
    secret = request.args.get("link")
    if secret is None:
        return _form(request.args.get("next", ""))
    with get_services().database.write() as session:
        who = login.use_link(session, secret)
        cookie = None if who is None else _begin(session, who, "link")
    if cookie is None:
        return _form(request.args.get("next", ""), "login.link_used", 401)
    return _logged_in(cookie)


@blueprint.post(LOGIN_PATH)
def log_in() -> BaseResponse:
    verify_same_origin(request)
    services = get_services()
    token = request.form.get("token", "").strip()
    with services.database.read() as session:
        is_valid = principals.of_token(session, token) is not None
    if not is_valid:  # nobody waits for the database's lock because somebody guesses tokens
        return _form(request.form.get("next", ""), "login.invalid" if token else "login.missing", 401)
    with services.database.write() as session:
        who = principals.of_token(session, token)
        cookie = None if who is None else _begin(session, who.principal, "token")
    if cookie is None:
        return _form(request.form.get("next", ""), "login.invalid", 401)
    return _logged_in(cookie)


@blueprint.post("/logout")
def log_out() -> BaseResponse:
    secret = session_of(request)
    if secret is not None:
        with get_services().database.write() as session:
            who = login.end(session, secret)
            if who is not None:
                auditing.record(session, AuditAction.LOGIN_END, who.token_id, by=who)
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


def _begin(session: Session, who: Principal, means: str) -> str:
    """Log somebody in, and return what the cookie holds."""
    idle_timeout = timedelta(seconds=get_services().settings.login_idle_seconds)
    auditing.record(session, AuditAction.LOGIN_BEGIN, who.token_id, {"with": means}, by=who)
    return login.begin(session, who.token_id, idle_timeout)


def _logged_in(secret: str) -> BaseResponse:
    """Lead a browser to its page, with the cookie of its session."""
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
