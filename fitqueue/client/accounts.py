"""Users, projects and tokens."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fitqueue.account_views import MeView, NewTokenView, ProjectView, TokenView, UserView
from fitqueue.client.base import JSON, ClientBase
from fitqueue.roles import Role, Scope


class AccountMethods(ClientBase):
    """The methods of `Client` about users, projects and tokens."""

    def me(self) -> MeView:
        """Return who this client is for the service: its user, its token, and the projects that the user sees."""
        return MeView.model_validate_json(self._call("GET", "/me"))

    def users(self) -> Sequence[UserView]:
        """Return all users by name, those that are disabled, too.

        Raises:
            Forbidden: you are not an admin.
        """
        return tuple(self._pages("/users", UserView))

    def create_user(self, name: str, *, role: Role | str = Role.MEMBER) -> UserView:
        """Create a user. `create_token` with `user` then gives them their first token.

        Args:
            name: lower-case letters, digits, dots, dashes, underscores and @.
            role: `viewer`, `member` or `admin`.

        Raises:
            Forbidden: you are not an admin.
            NameTaken: another user has this name, also one that is disabled.
            InvalidRequest: the name or the role is invalid.
        """
        return UserView.model_validate_json(self._create("/users", {"name": name, "role": role}))

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
        """Change a user. What is None stays as it is.

        Args:
            name: the user's name.
            role: `viewer`, `member` or `admin`.
            share: the part of the devices that the user has by right, relative to others.
            max_priority: the highest priority that the user may give to a job; admins may give any.
            disabled: whether no token of the user is valid.
            limits: limits to set, by name; None as a value removes one.

        Raises:
            Forbidden: you are not an admin.
            UserNotFound: there is no user with this name.
            LastAdmin: no admin would be left.
            InvalidRequest: a value is invalid.
        """
        changes = {"role": role, "share": share, "max_priority": max_priority, "disabled": disabled, "limits": limits}
        return UserView.model_validate_json(self._change(f"/users/{_quoted(name)}", changes))

    def projects(self) -> Sequence[ProjectView]:
        """Return the projects that you see, by name."""
        return tuple(self._pages("/projects", ProjectView))

    def create_project(self, name: str, *, open: bool = True) -> ProjectView:
        """Create a project.

        Args:
            name: lower-case letters, digits, dashes and underscores.
            open: whether all users see it, or its members alone.

        Raises:
            Forbidden: you are not an admin.
            NameTaken: another project has this name.
            InvalidRequest: the name is invalid.
        """
        return ProjectView.model_validate_json(self._create("/projects", {"name": name, "open": open}))

    def change_project(
        self,
        name: str,
        *,
        open: bool | None = None,
        share: float | None = None,
        limits: Mapping[str, int | None] | None = None,
        retention: Mapping[str, Any] | None = None,
    ) -> ProjectView:
        """Change a project. What is None stays as it is.

        Args:
            name: the project's name.
            open: whether all users see it, or its members alone.
            share: the part of the devices that it has by right, relative to others.
            limits: limits to set, by name; None as a value removes one.
            retention: how many days something of ended jobs is kept, by name; None as a value: for ever.

        Raises:
            Forbidden: you are not an admin.
            ProjectNotFound: there is no project with this name that you see.
            InvalidRequest: a value is invalid.
        """
        changes = {"open": open, "share": share, "limits": limits, "retention": retention}
        return ProjectView.model_validate_json(self._change(_project_path(name), changes))

    def add_member(self, project: str, user: str) -> ProjectView:
        """Let a user see a project that is not open. Doing it twice is allowed.

        Raises:
            Forbidden: you are not an admin.
            ProjectNotFound: there is no project with this name.
            UserNotFound: there is no user with this name.
        """
        return ProjectView.model_validate_json(self._call("PUT", _member_path(project, user)))

    def remove_member(self, project: str, user: str) -> ProjectView:
        """Hide a project that is not open from a user, who still sees what is their own. Doing it twice is allowed.

        Raises:
            Forbidden: you are not an admin.
            ProjectNotFound: there is no project with this name.
            UserNotFound: there is no user with this name.
        """
        return ProjectView.model_validate_json(self._call("DELETE", _member_path(project, user)))

    def tokens(self, user: str | None = None) -> Sequence[TokenView]:
        """Return your tokens, oldest first, those that are revoked or have expired, too.

        Args:
            user: for admins: the user whose tokens are listed.

        Raises:
            Forbidden: you are not an admin, and the user is somebody else.
            UserNotFound: there is no user with this name.
        """
        return tuple(self._pages("/tokens", TokenView, {"user": user} if user is not None else None))

    def create_token(
        self,
        name: str,
        *,
        user: str | None = None,
        scope: Scope | str = Scope.ALL,
        expires_in_days: int | None = None,
    ) -> NewTokenView:
        """Create a token. Its `token` is shown only now: the service stores its hash.

        Args:
            name: what its jobs and data sets have as `submitted_by`; several tokens may have one name.
            user: for admins: the user whose it is; None: it is yours.
            scope: what it may do of what its user may: `read`, `submit` or `all`.
            expires_in_days: after how many days it is no longer valid; None: it does not expire.

        Raises:
            Forbidden: you are not an admin, and the user is somebody else; or this client's token may do less.
            UserNotFound: there is no user with this name.
            InvalidRequest: a value is invalid.
        """
        fields = {"name": name, "user": user, "scope": scope, "expires_in_days": expires_in_days}
        return NewTokenView.model_validate_json(self._create("/tokens", fields))

    def revoke_token(self, token_id: str) -> None:
        """Revoke a token: it is no longer valid, and browsers that were logged in with it are logged out.

        Raises:
            TokenNotFound: there is no valid token of yours with this id; for admins, none of anybody's.
        """
        self._call("DELETE", f"/tokens/{_quoted(token_id)}", repeatable=False)

    def _create(self, path: str, fields: Mapping[str, Any]) -> bytes:
        # Sent twice, it would be refused as taken, or leave a token that nobody has.
        return self._call("POST", path, headers=JSON, body=lambda: json.dumps(fields).encode(), repeatable=False)

    def _change(self, path: str, changes: Mapping[str, Any]) -> bytes:
        present = {name: value for name, value in changes.items() if value is not None}
        return self._send("PATCH", path, json.dumps(present).encode())


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _project_path(name: str) -> str:
    return f"/projects/{_quoted(name)}"


def _member_path(project: str, user: str) -> str:
    return f"{_project_path(project)}/members/{_quoted(user)}"
