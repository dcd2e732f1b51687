"""The command that sets up completion in a shell, and what it completes beside commands and options.

Jobs, data sets, workers and pools are asked of the service: quickly, and without a word if it does not answer.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final, TypeVar

import click
from click.shell_completion import CompletionItem, get_completion_class

from fitqueue.states import FINAL_STATES, JobState

_SHELLS: Final = ("bash", "zsh", "fish")
_SECONDS: Final = 2.0
_ROWS: Final = 100
"""The newest jobs or data sets are completed: so many of them come in one request."""
_PLAIN: Final = re.compile(r"[\w.+@%/=-]+")
"""Names that a shell takes as they are. Others would have to be quoted, which each shell does in its own way."""

_Item = TypeVar("_Item")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print the script by which SHELL completes commands, options, jobs, data sets and workers.

    Without SHELL, it is the one of the variable SHELL. To complete in each new shell, add the line of the examples to
    ~/.bashrc or, after `compinit`, to ~/.zshrc; or write the script to ~/.config/fish/completions/fitqueue.fish.

    Of the jobs and data sets, the newest are completed, by id and by name.
    """
    name = shell or PurePath(os.environ.get("SHELL", "")).name
    found = get_completion_class(name)
    if found is None:
        raise click.UsageError(f"Expected one of the shells {', '.join(_SHELLS)}; received {name!r}.")
    click.echo(found(context.find_root().command, {}, "fitqueue", "_FITQUEUE_COMPLETE").source())


class _Completed(click.types.StringParamType):
    """A text that the shell completes."""

    def __init__(self, complete: Callable[[str], Iterator[CompletionItem]]) -> None:
        self._complete = complete

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return what begins like this; nothing if no service answers."""
        from fitqueue.errors import FitQueueError

        try:
            items = list(self._complete(ctx.info_name or ""))
        except (FitQueueError, ValueError):
            return []
        return [item for item in items if item.value.startswith(incomplete)]


def add_completions(command: click.Command) -> None:
    """Let the shell complete the parameters of a command, and of the commands in it, by their names."""
    for parameter in command.params:
        if parameter.name in _COMPLETIONS and parameter.type is click.STRING:
            parameter.type = _Completed(_COMPLETIONS[parameter.name])
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            add_completions(subcommand)


def _complete_jobs(command: str) -> Iterator[CompletionItem]:
    from fitqueue.cli.job_names import LATEST, short_ids
    from fitqueue.views import JobSummary

    jobs = _fetch("/jobs", JobSummary, {"limit": _ROWS, "state": [*_STATES.get(command, ())]})
    ids = short_ids(job.id for job in jobs)
    names = [job.name for job in jobs]
    if jobs and command not in _STATES:
        yield CompletionItem(LATEST, help="the newest job")
    for job in jobs:
        if job.name and _PLAIN.fullmatch(job.name) and names.count(job.name) == 1:
            yield CompletionItem(job.name, help=f"{job.state}, {ids[job.id]}")
        yield CompletionItem(ids[job.id], help=" ".join([job.state, *(job.name or "").split()]))


def _complete_datasets(command: str) -> Iterator[CompletionItem]:
    from fitqueue.views import DatasetView

    for dataset in _fetch("/datasets", DatasetView, {"limit": _ROWS}):
        if _PLAIN.fullmatch(dataset.name) and not (command == "remove" and dataset.builtin):
            yield CompletionItem(dataset.name, help="built in" if dataset.builtin else dataset.id)


def _complete_workers(command: str) -> Iterator[CompletionItem]:  # noqa: ARG001 - all commands have the same workers
    from fitqueue.views import WorkerView

    workers = [worker for worker in _fetch("/workers", WorkerView, {}) if worker.alive]
    hosts = [worker.host for worker in workers]
    for worker in workers:
        if hosts.count(worker.host) == 1:
            yield CompletionItem(worker.host, help=worker.id)
        yield CompletionItem(worker.id, help=worker.host)


def _complete_pools(command: str) -> Iterator[CompletionItem]:  # noqa: ARG001 - all commands have the same pools
    from fitqueue.views import WorkerView

    workers = _fetch("/workers", WorkerView, {})
    yield from map(CompletionItem, dict.fromkeys(pool for worker in workers for pool in worker.pools))


def _complete_owners(command: str) -> Iterator[CompletionItem]:  # noqa: ARG001 - all commands have the same owners
    from fitqueue.views import JobSummary

    # Those of the newest jobs: only admins may list users.
    jobs = _fetch("/jobs", JobSummary, {"limit": _ROWS})
    yield from map(CompletionItem, sorted({job.owner for job in jobs if job.owner}))


def _complete_users(command: str) -> Iterator[CompletionItem]:
    from fitqueue.account_views import UserView

    for user in _fetch("/users", UserView, {}):
        if command not in _DISABLED or _DISABLED[command] == (user.disabled_at is not None):
            yield CompletionItem(user.name, help=str(user.role))


def _complete_projects(command: str) -> Iterator[CompletionItem]:  # noqa: ARG001 - all commands have the same projects
    from fitqueue.account_views import ProjectView

    for project in _fetch("/projects", ProjectView, {}):
        yield CompletionItem(project.name, help="open" if project.open else "closed")


def _complete_tokens(command: str) -> Iterator[CompletionItem]:  # noqa: ARG001 - only `revoke` has a token
    from fitqueue.account_views import TokenView

    for token in _fetch("/tokens", TokenView, {}):
        if token.revoked_at is None:
            yield CompletionItem(token.id, help=token.name)


def _fetch(path: str, row_type: type[_Item], params: Mapping[str, str | int | list[str]]) -> Sequence[_Item]:
    """Return the first page of a list."""
    from fitqueue.client.configuration import find_connection
    from fitqueue.client.transport import Call, Transport
    from fitqueue.views import Page

    call = Call("GET", path, params=params, retry_seconds=0, timeout=_SECONDS)
    answer = Transport(find_connection()).request(call).content
    return Page[row_type].model_validate_json(answer).data  # type: ignore[valid-type]  # a type made at run time


_COMPLETIONS: Final[Mapping[str, Callable[[str], Iterator[CompletionItem]]]] = {
    **dict.fromkeys(["job", "jobs"], _complete_jobs),
    **dict.fromkeys(["dataset", "name_or_id", "names_or_ids"], _complete_datasets),
    **dict.fromkeys(["worker", "workers"], _complete_workers),
    **dict.fromkeys(["user", "users"], _complete_users),
    "owner": _complete_owners,
    "project": _complete_projects,
    "token_id": _complete_tokens,
    "pool": _complete_pools,
}
"""What is completed, by the name of the parameter. A parameter that is a file, such as `submit`'s, is left alone."""

_STATES: Final[Mapping[str, Sequence[JobState]]] = {
    "watch": [JobState.QUEUED, JobState.RUNNING, JobState.PAUSED],
    "cancel": [JobState.QUEUED, JobState.RUNNING, JobState.PAUSED],
    "pause": [JobState.QUEUED, JobState.RUNNING],
    "resume": [JobState.PAUSED],
    "move": [JobState.QUEUED],
    "extend": sorted(FINAL_STATES),
    "delete": sorted(FINAL_STATES),
}
"""The states of the jobs that a command takes; the other commands take all."""

_DISABLED: Final = {"enable": True, "disable": False}
"""Whether the users are disabled that a command takes; the other commands take all."""
