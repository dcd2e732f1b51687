"""The commands about users: user, me."""

from collections.abc import Sequence

import click

from fitqueue.account_views import UserView
from fitqueue.cli.accounts import open_accounts
from fitqueue.cli.limits import limit_facts, limit_option, limits_of
from fitqueue.cli.options import json_option, present
from fitqueue.cli.output import print_facts, print_json, print_table, remark
from fitqueue.cli.suggestions import SuggestingGroup
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time
from fitqueue.client import Client
from fitqueue.limits import UserLimits
from fitqueue.roles import Role, Scope

_ROLE: click.Choice[str] = click.Choice([str(role) for role in Role])


@click.command()
@json_option
def me(as_json: bool) -> None:
    """Show who you are for the service: your user and role, your token and what it may do, and the projects you see.

    Below stands what you have now, and what you may have at the most.
    """
    with Client() as client:
        view = client.me()
    if as_json:
        print_json(view)
        return
    token, user = view.token, view.user
    facts = [
        ("User", user.name),
        ("Role", str(user.role)),
        ("Priority", "" if user.role is Role.ADMIN else f"{user.max_priority} at most"),
        ("Token", f"{token.name}, {token.id}"),
        ("Scope", str(token.scope) if token.scope is not Scope.ALL else "all that the role may"),
        ("Expires", local_time(token.expires_at) or "never"),
        ("Projects", ", ".join(view.projects)),
        *limit_facts(user.limits, user.usage),
    ]
    print_facts(facts)


@click.group(cls=SuggestingGroup)
def user() -> None:
    """Add, list, change and disable the users of a service.

    Where the service runs, these commands use its database: the one of FITQUEUE_DATABASE_URL, or else var/fitqueue.db
    in this folder or a parent, unless FITQUEUE_URL is set. Elsewhere they use the API with your token, which must be
    an admin's.
    """


@user.command()
@click.argument("name")
@click.option("--role", type=_ROLE, default=str(Role.MEMBER), show_default=True, help="What the user may do.")
def add(name: str, role: str) -> None:
    """Add a user called NAME: lower-case letters, digits, dots, dashes, underscores and @.

    A viewer reads the jobs and data sets of the projects that they see. A member also submits jobs, uploads data, and
    changes what is their own. An admin sees and changes everything, and manages users and projects.
    """
    with open_accounts() as accounts:
        view = accounts.create_user(name, role=role)
    remark(f"Added {view.name}, {view.role}. They need a token: fitqueue token create NAME --user {view.name}")


@user.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List the users."""
    with open_accounts() as accounts:
        rows = accounts.users()
    if as_json:
        print_json(rows)
    else:
        _print_users(rows)


@user.command()
@click.argument("user")
@click.option("--role", type=_ROLE, help="What the user may do.")
@click.option("--share", type=float, help="The part of the devices that is theirs by right; 1, unless it was changed.")
@click.option("--max-priority", type=int, help="The highest priority that they may give to a job. Admins may give any.")
@limit_option
def change(user: str, role: str | None, share: float | None, max_priority: int | None, limits: tuple[str, ...]) -> None:
    """Change the role, the share, the highest priority or the limits of USER.

    Limits are running_jobs, gpus, queued_jobs, stored_bytes, runtime_seconds and requests_per_minute.
    """
    changed = limits_of(limits, UserLimits)
    if not present(role, share, max_priority, changed):
        raise click.UsageError("Nothing to change: expected --role, --share, --max-priority or --limit.")
    with open_accounts() as accounts:
        view = accounts.change_user(user, role=role, share=share, max_priority=max_priority, limits=changed)
    remark(f"{view.name}: {view.role}, share {view.share:g}, priority {view.max_priority} at most.")


@user.command()
@click.argument("user")
def disable(user: str) -> None:
    """Disable USER: their tokens are not valid until they are enabled. Their jobs and data sets stay."""
    _set_disabled(user, disabled=True)


@user.command()
@click.argument("user")
def enable(user: str) -> None:
    """Enable USER again, with their tokens."""
    _set_disabled(user, disabled=False)


def _set_disabled(user: str, *, disabled: bool) -> None:
    with open_accounts() as accounts:
        view = accounts.change_user(user, disabled=disabled)
    remark(f"{view.name}: {'disabled' if disabled else 'enabled'}.")


def _print_users(rows: Sequence[UserView]) -> None:
    columns = [
        Column("NAME", wraps=True),
        Column("ROLE", rank=1),
        Column("SHARE", rank=4),
        Column("PRIORITY", rank=5),
        Column("ADDED", rank=3),
        Column("DISABLED", rank=2),
    ]
    print_table(
        columns,
        [
            [
                row.name,
                str(row.role),
                f"{row.share:g}",
                "any" if row.role is Role.ADMIN else f"to {row.max_priority}",
                local_time(row.created_at),
                local_time(row.disabled_at),
            ]
            for row in rows
        ],
    )
