"""Where `fitqueue user` and `fitqueue token` work: in the database beside them, or at the service, by its API."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Protocol

import click

from fitqueue.account_views import NewTokenView, TokenView, UserView
from fitqueue.client import Client
from fitqueue.client.configuration import files_above
from fitqueue.errors import NotConfigured
from fitqueue.roles import Role, Scope

DATABASE_FILE: Final = "fitqueue.db"

_ENTRY_POINTS: Final = "fitqueue.accounts"
"""The group of the entry point that opens the service's database. Only the service, where it is installed, has one."""


class Accounts(Protocol):
    """Users and tokens. A client of the API is one: the methods and their errors are those of `Client`."""

    def users(self) -> Sequence[UserView]:
        """Return all users by name."""

    def create_user(self, name: str, *, role: Role | str = ...) -> UserView:
        """Create a user."""

    def change_user(
        self,
        name: str,
        *,
        role: Role | str | None = ...,
        share: float | None = ...,
        max_priority: int | None = ...,
        disabled: bool | None = ...,
        limits: Mapping[str, int | None] | None = ...,
    ) -> UserView:
        """Change a user. What is None stays as it is."""

    def tokens(self, user: str | None = ...) -> Sequence[TokenView]:
        """Return the tokens of a user, oldest first. None: in the database all tokens, by the API one's own."""

    def create_token(
        self, name: str, *, user: str | None = ..., scope: Scope | str = ..., expires_in_days: int | None = ...
    ) -> NewTokenView:
        """Create a token of a user. None: in the database of `admin`, by the API one's own."""

    def revoke_token(self, token_id: str) -> None:
        """Revoke a token."""


@contextmanager
def open_accounts() -> Iterator[Accounts]:
    """Yield the users and tokens of the service that commands use here.

    The database is used where FITQUEUE_DATABASE_URL names it, or else where `fitqueue up` has left one in `var` and no
    FITQUEUE_URL names another service.

    Raises:
        NotConfigured: there is neither a database nor the address of a service.
    """
    if _has_database():
        for point in entry_points(group=_ENTRY_POINTS, name="database"):
            with _database_opener(point)() as accounts:
                yield accounts
            return
    with _client() as client:
        yield client


def _has_database() -> bool:
    if "FITQUEUE_DATABASE_URL" in os.environ:
        return True
    return not os.environ.get("FITQUEUE_URL") and any(files_above(Path.cwd(), DATABASE_FILE))


def _database_opener(point: EntryPoint) -> Callable[[], AbstractContextManager[Accounts]]:
    try:
        opener: Callable[[], AbstractContextManager[Accounts]] = point.load()
    except ImportError as error:
        advice = "Install the service on this machine: pip install 'fitqueue[service,embedded,cpu]'"
        raise click.ClickException(f"The database cannot be used: {error}. {advice}") from error
    return opener


def _client() -> Client:
    try:
        return Client()
    except NotConfigured as error:
        raise NotConfigured(
            f"{error} Where the service runs, FITQUEUE_DATABASE_URL or var/{DATABASE_FILE} names its database."
        ) from error
