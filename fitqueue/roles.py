"""Who may do what: the roles of users, and the scopes that narrow their tokens."""

from enum import StrEnum


class Role(StrEnum):
    """What a user may do.

    - `viewer`: read the jobs and data sets of the projects that are open to them.
    - `member`: also submit jobs and upload data, and change what is their own.
    - `admin`: see and change everything, and manage users and projects.
    """

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Tell whether this role may do all that the other one may."""
        return _ROLES.index(self) >= _ROLES.index(other)


class Scope(StrEnum):
    """What a token may do of what its user may.

    - `read`: only read.
    - `submit`: also submit jobs and upload data.
    - `all`: everything.
    """

    READ = "read"
    SUBMIT = "submit"
    ALL = "all"

    def includes(self, other: "Scope") -> bool:
        """Tell whether this scope allows all that the other one does."""
        return _SCOPES.index(self) >= _SCOPES.index(other)


_ROLES = tuple(Role)
_SCOPES = tuple(Scope)

DEFAULT_PROJECT = "lab"
"""The project of jobs and data sets that do not name one. It is open to all."""
