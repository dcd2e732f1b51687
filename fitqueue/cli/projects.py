"""The commands about projects."""

from collections.abc import Sequence

import click

from fitqueue.account_views import ProjectView
from fitqueue.cli.batch import for_each
from fitqueue.cli.limits import limit_option, limits_of, retention_of
from fitqueue.cli.options import json_option, present
from fitqueue.cli.output import print_json, print_table, remark
from fitqueue.cli.suggestions import SuggestingGroup
from fitqueue.cli.tables import Column
from fitqueue.client import Client
from fitqueue.limits import Limits


@click.group(cls=SuggestingGroup)
def project() -> None:
    """Add, list and change projects, and their members.

    Each job and each data set belongs to a project, `lab` if it names none. All users see a project that is open; one
    that is closed, its members and the admins alone. These commands use the API; only admins change projects.
    """


@project.command()
@click.argument("name")
@click.option("--closed", is_flag=True, help="Only its members and admins see it; by default all users do.")
def add(name: str, closed: bool) -> None:
    """Add a project called NAME: lower-case letters, digits, dashes and underscores."""
    with Client() as client:
        view = client.create_project(name, open=not closed)
    remark(f"Added {view.name}, {_state(view)}.")


@project.command("list")
@json_option
def list_projects(as_json: bool) -> None:
    """List the projects that you see."""
    with Client() as client:
        rows = client.projects()
    if as_json:
        print_json(rows)
    else:
        _print_projects(rows)


@project.command()
@click.argument("project")
@click.option("--open/--closed", "is_open", default=None, help="Whether all users see it, or its members alone.")
@click.option("--share", type=float, help="The part of the devices that is its by right; 1, unless it was changed.")
@limit_option
@click.option(
    "--retention",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set for how many days something of ended jobs is kept; `none`: for ever. Repeatable.",
)
def change(
    project: str, is_open: bool | None, share: float | None, limits: tuple[str, ...], retention: tuple[str, ...]
) -> None:
    """Open or close PROJECT, or change its share, its limits or its retention.

    Limits are running_jobs, gpus, queued_jobs, stored_bytes and runtime_seconds. Retention has logs_days, events_days,
    snapshots_days, checkpoints_days and artifacts_days, and keep_checkpoints, which is best_and_last or all.
    """
    changed, kept = limits_of(limits, Limits), retention_of(retention)
    if not present(is_open, share, changed, kept):
        raise click.UsageError("Nothing to change: expected --open, --closed, --share, --limit or --retention.")
    with Client() as client:
        view = client.change_project(project, open=is_open, share=share, limits=changed, retention=kept)
    remark(f"{view.name}: {_state(view)}, share {view.share:g}.")


@project.command()
@click.argument("project")
@click.argument("users", nargs=-1, required=True)
def add_member(project: str, users: tuple[str, ...]) -> int:
    """Let USERS see PROJECT."""

    def action(client: Client, user: str) -> str:
        client.add_member(project, user)
        return f"member of {project}"

    return for_each(users, action)


@project.command()
@click.argument("project")
@click.argument("users", nargs=-1, required=True)
def remove_member(project: str, users: tuple[str, ...]) -> int:
    """Hide PROJECT from USERS, if it is closed. They still see their own jobs and data sets in it."""

    def action(client: Client, user: str) -> str:
        client.remove_member(project, user)
        return f"not a member of {project}"

    return for_each(users, action)


def _state(view: ProjectView) -> str:
    return "open" if view.open else "closed"


def _print_projects(rows: Sequence[ProjectView]) -> None:
    columns = [
        Column("NAME", wraps=True),
        Column("SEEN BY", wraps=True, rank=1),
        Column("SHARE", rank=2),
    ]
    print_table(
        columns,
        [[row.name, "all" if row.open else ", ".join(row.members) or "admins alone", f"{row.share:g}"] for row in rows],
    )
