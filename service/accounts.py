"""Users and tokens in the service's database, for the commands `fitqueue user` and `fitqueue token`.

They find it through the entry point in `pyproject.toml`. Whoever can use the database may do everything.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from fitqueue.account_views import NewTokenView, TokenView, UserView
from fitqueue.audit_actions import AuditAction
from fitqueue.errors import TokenNotFound
from fitqueue.limits import ChangedUserLimits
from fitqueue.roles import Role, Scope
from service.api.account_views import token_view, user_views
from service.api.errors import validated
from service.api.tokens import NewToken
from service.api.tokens import create_as as create_token_as
from service.api.users import NewUser, UserChange
from service.api.users import change_as as change_user_as
from service.api.users import create_as as create_user_as
from service.command_errors import database_errors_explained, service_settings
from service.db import Database
from service.models import ADMIN_ID
from service.store import audit, tokens, users
from service.store.audit import OPERATOR


@contextmanager
def open_accounts() -> Iterator["DatabaseAccounts"]:
    """Yield the users and tokens of the database of FITQUEUE_DATABASE_URL, or else of the nearest `fitqueue up`.

    Raises:
        NotConfigured: there is no such database. It is never created here: a token in a new one would open nothing.
    """
    settings = service_settings()
    with database_errors_explained(), closing(Database(settings.database_url)) as database:
        yield DatabaseAccounts(database, settings.new_user_limits)


class DatabaseAccounts:
    """Users and tokens in a database. The methods and their errors are those of `fitqueue.Client`."""

    def __init__(self, database: Database, new_user_limits: ChangedUserLimits | None) -> None:
        self._database = database
        self._new_user_limits = new_user_limits

    def users(self) -> Sequence[UserView]:
        with self._database.read() as session:
            return user_views(session, users.list_all(session))

    def create_user(self, name: str, *, role: Role | str = Role.MEMBER) -> UserView:
        wanted = validated(NewUser, {"name": name, "role": role})
        with self._database.write() as session:
            return create_user_as(OPERATOR, session, wanted, self._new_user_limits)

    def change_user(
        self,
        name: str,
        *,
        role: Role | str | None = None,
        share: float | None = None,
        max_priority: int | None = None,
        disabled: bool | None = None,
        limits: Mapping[str, int | None] | None = None,
    ) -> UserView:
        given = {
            "role": role,
            "share": share,
            "max_priority": max_priority,
            "disabled": disabled,
            "limits": limits,
        }
        change = validated(UserChange, {field: value for field, value in given.items() if value is not None})
        with self._database.write() as session:
            return change_user_as(OPERATOR, session, name, change)

    def tokens(self, user: str | None = None) -> Sequence[TokenView]:
        """Return the tokens of a user, or all tokens."""
        with self._database.read() as session:
            rows = tokens.list_all(session, None if user is None else users.get(session, user).id)
            names = users.names_of(session, {row.user_id for row in rows})
        return [token_view(row, names.get(row.user_id, row.user_id)) for row in rows]

    def create_token(
        self,
        name: str,
        *,
        user: str | None = None,
        scope: Scope | str = Scope.ALL,
        expires_in_days: int | None = None,
    ) -> NewTokenView:
        """Create a token of a user, or of the user `admin`, whom every database has."""
        wanted = validated(NewToken, {"name": name, "scope": scope, "expires_in_days": expires_in_days})
        with self._database.write() as session:
            owner = users.get(session, ADMIN_ID if user is None else user)
            return create_token_as(OPERATOR, session, wanted, owner)

    def revoke_token(self, token_id: str) -> None:
        with self._database.write() as session:
            if not tokens.revoke(session, token_id):
                raise TokenNotFound(f"There is no valid token with the id '{token_id}'.")
            audit.record(session, OPERATOR, AuditAction.TOKEN_REVOKE, token_id)
