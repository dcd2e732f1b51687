"""The table of commands. `--help` reads only this table; a command's module is imported when the command runs."""

import os
import sys
from importlib import import_module
from typing import Any, Final

import click

SECTIONS: Final[dict[str, dict[str, str]]] = {
    "Jobs": {
        "submit": "Queue the job of a JSON file.",
        "watch": "Follow a job until it ends.",
        "jobs": "List jobs, the newest first.",
        "show": "Show one job.",
        "cancel": "Ask jobs to stop.",
        "pause": "Have jobs wait, without a device.",
        "resume": "Let paused jobs go on.",
        "extend": "Train an ended job for more epochs.",
        "delete": "Remove ended jobs and their files.",
    },
    "Results": {
        "weights": "Fetch the best weights, or another checkpoint.",
        "metrics": "Show what each epoch logged.",
        "checkpoints": "List a job's checkpoints.",
        "artifacts": "List and fetch what a job's callbacks wrote.",
        "logs": "Show what the training printed.",
        "events": "Show what happened to a job.",
    },
    "Data and service": {
        "dataset": "Add, list, show and remove data sets.",
        "catalogue": "Show what a job may name, and the arguments of a class.",
        "workers": "List the workers and what they do.",
        "up": "Start API, Redis and one worker on this machine.",
        "init": "Write the passwords that `docker compose up` needs.",
        "token": "Make, list and revoke tokens.",
        "doctor": "Check whether this machine is fit to be a worker's.",
        "migrate": "Bring the service's database to this version.",
    },
}

_MODULES: Final = {
    **dict.fromkeys(["submit", "watch", "jobs", "show"], "fitqueue.cli.jobs"),
    **dict.fromkeys(["cancel", "pause", "resume", "delete", "extend"], "fitqueue.cli.actions"),
    **dict.fromkeys(["weights", "metrics", "checkpoints", "artifacts", "logs", "events"], "fitqueue.cli.results"),
    **dict.fromkeys(["dataset", "workers"], "fitqueue.cli.datasets"),
    "catalogue": "fitqueue.cli.catalogue",
    "init": "fitqueue.cli.deployment",
}

_ENTRY_POINTS: Final = "fitqueue.commands"
"""Commands from outside this package: of the service, or of anybody's package."""


BROKEN_PIPE: Final = 141
"""What a shell shows for a program that SIGPIPE ended."""


class Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # `fitqueue logs JOB | head` is no error. Click would end with 1, which says here that the job failed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(BROKEN_PIPE)
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        listed = [name for commands in SECTIONS.values() for name in commands]
        return listed + [name for name in _plugins() if name not in listed]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if module := _MODULES.get(cmd_name):
            command: click.Command = getattr(import_module(module), cmd_name)
            return command
        return _load_plugin(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            ctx.fail(_unknown(args[0], known))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        listed = {name for commands in SECTIONS.values() for name in commands}
        others = {name: f"From {package}." for name, package in _plugins().items() if name not in listed}
        for title, commands in {**SECTIONS, "Others": others}.items():
            if commands:
                with formatter.section(title):
                    formatter.write_dl(list(commands.items()))


def _unknown(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f"There is no command '{name}'." + (f" Did you mean '{near[0]}'?" if near else "")


def _plugins() -> dict[str, str]:
    """The names of the commands from outside, each with the package that it is from; nothing is imported."""
    from importlib.metadata import entry_points

    return {point.name: point.dist.name if point.dist else "?" for point in entry_points(group=_ENTRY_POINTS)}


def _load_plugin(name: str) -> click.Command | None:
    from importlib.metadata import entry_points

    for point in entry_points(group=_ENTRY_POINTS, name=name):
        try:
            command: click.Command = point.load()
        except ImportError as error:
            advice = "It needs the service on this machine: pip install 'fitqueue[service,embedded,cpu]'"
            raise click.ClickException(f"`fitqueue {name}` cannot be loaded: {error}. {advice}") from error
        return command
    return None
