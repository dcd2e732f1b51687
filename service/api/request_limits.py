"""How many requests a user may send in a minute. What is open to everybody does not count, nor do health checks."""

from typing import Final

from flask import Flask, request

from fitqueue.errors import RequestLimitReached
from service.api.authentication import is_open
from service.api.context import get_services, principal
from service.api.cors import is_preflight

_READINESS_PATH: Final = "/readyz"


def register(app: Flask) -> None:
    """Register it after the authentication, which tells who sends a request."""
    app.before_request(_count)


def _count() -> None:
    if is_open(request.path) or is_preflight() or request.path == _READINESS_PATH:
        return
    who = principal()
    limit = who.requests_per_minute
    if limit is not None and not get_services().requests.take(who.user_id, limit):
        raise RequestLimitReached(f"{who.user} may send at most {limit:,} requests a minute; try again in a moment.")
