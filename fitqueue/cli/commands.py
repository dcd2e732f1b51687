"""The table of commands. `--help` only reads this table; the module of a command is imported when it runs."""

import os
import sys
from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from fitqueue.cli.examples import add_examples
from fitqueue.cli.suggestions import SuggestingGroup

SECTIONS: Final[dict[str, dict[str, str]]] = {
    "Jobs": {
        "submit": "Submit the job in a JSON file.",
        "watch": "Follow a job until it ends.",
        "jobs": "List jobs.",
        "queue": "List the jobs that wait, in order.",
        "show": "Show one job.",
        "compare": "Compare jobs: bests, curves, differences.",
        "usage": "Show what a job, users and projects have used.",
        "cancel": "Cancel jobs; what they have saved stays.",
        "pause": "Pause jobs and free their devices.",
        "resume": "Resume paused jobs.",
        "move": "Move waiting jobs in the queue.",
        "change": "Change jobs: names, labels, limits, whether kept.",
        "extend": "Train an ended job for more epochs.",
        "delete": "Delete ended jobs and their files.",
    },
    "Results": {
        "weights": "Download the best weights, or another checkpoint.",
        "metrics": "Show the metrics of each epoch.",
        "checkpoints": "List the checkpoints of a job.",
        "artifacts": "List or download the files that callbacks wrote.",
        "logs": "Show what the training has printed.",
        "events": "Show what has happened to a job.",
    },
    "Users and projects": {
        "me": "Show who you are, and what you see.",
        "token": "Create, list and revoke tokens.",
        "user": "Add, list, change and disable users.",
        "project": "Add, list and change projects and members.",
    },
    "Data and service": {
        "dataset": "Add, list, show and remove data sets.",
        "webhook": "Tell programs, channels and people when jobs end.",
        "catalogue": "Show the Keras objects that a job may use.",
        "login": "Store the address and the token of a service.",
        "logout": "Remove what `login` stored.",
        "open": "Open the pages in a browser, logged in.",
        "completion": "Print the script for completion in a shell.",
        "workers": "List the workers and the jobs they are training.",
        "drain": "Let workers claim no more jobs.",
        "audit": "Show who did what, when and from where.",
        "up": "Start the API, Redis and workers on this machine.",
        "init": "Create the passwords that `docker compose up` needs.",
        "doctor": "Check whether this machine can run a worker.",
        "migrate": "Upgrade the service's database to this version.",
        "backup": "Back up the service's database and files.",
        "restore": "Restore a backup into an empty service.",
        "prune": "Remove what projects no longer keep of ended jobs.",
    },
}

_MODULES: Final = {
    **dict.fromkeys(["submit", "watch", "show"], "fitqueue.cli.jobs"),
    **dict.fromkeys(["jobs", "queue"], "fitqueue.cli.lists"),
    **dict.fromkeys(["cancel", "pause", "resume", "delete", "extend"], "fitqueue.cli.actions"),
    **dict.fromkeys(["weights", "metrics", "checkpoints", "artifacts", "logs", "events"], "fitqueue.cli.results"),
    **dict.fromkeys(["login", "logout"], "fitqueue.cli.login"),
    **dict.fromkeys(["move", "change"], "fitqueue.cli.changes"),
    **dict.fromkeys(["workers", "drain"], "fitqueue.cli.workers"),
    "audit": "fitqueue.cli.audit",
    **dict.fromkeys(["user", "me"], "fitqueue.cli.users"),
    "token": "fitqueue.cli.tokens",
    "project": "fitqueue.cli.projects",
    "compare": "fitqueue.cli.compare",
    "usage": "fitqueue.cli.usage",
    "completion": "fitqueue.cli.completion",
    "dataset": "fitqueue.cli.datasets",
    "webhook": "fitqueue.cli.webhooks",
    "open": "fitqueue.cli.pages",
    "catalogue": "fitqueue.cli.catalogue",
    "init": "fitqueue.cli.deployment",
}

_ENTRY_POINTS: Final = "fitqueue.commands"
"""The group of entry points through which other packages add commands: the service does, and any package can."""

BROKEN_PIPE: Final = 141
"""The exit code that shells show for a program that SIGPIPE ended."""


class Commands(SuggestingGroup):
    """A click group that imports a command only when it runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; exit quietly if the reader of its output has gone."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # `fitqueue logs JOB | head` is not an error. Click would exit with 1, which means here that the job failed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(BROKEN_PIPE)
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names of all commands, in the order of the sections."""
        listed = [name for commands in SECTIONS.values() for name in commands]
        return listed + [name for name in _plugins() if name not in listed]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command and return it; None if there is no such command."""
        if module := _MODULES.get(cmd_name):
            command: click.Command | None = getattr(import_module(module), cmd_name)
        else:
            command = _load_plugin(cmd_name)
        if command is not None:
            add_examples(cmd_name, command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; if a shell asks for completions, those of its arguments as well."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and ctx.resilient_parsing:
            from fitqueue.cli.completion import add_completions

            add_completions(command)
        return name, command, rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin like this. No command is imported for its short help."""
        helps = {name: text for commands in SECTIONS.values() for name, text in commands.items()}
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=helps.get(name)) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands for `--help`, section by section."""
        listed = {name for commands in SECTIONS.values() for name in commands}
        others = {name: f"From {package}." for name, package in _plugins().items() if name not in listed}
        for title, commands in {**SECTIONS, "Others": others}.items():
            if commands:
                with formatter.section(title):
                    formatter.write_dl(list(commands.items()))


def _plugins() -> dict[str, str]:
    """Return the names of the commands that other packages add, each with its package. Nothing is imported."""
    from importlib.metadata import entry_points

    return {point.name: point.dist.name if point.dist else "?" for point in entry_points(group=_ENTRY_POINTS)}


def _load_plugin(name: str) -> click.Command | None:
    from importlib.metadata import entry_points

    for point in entry_points(group=_ENTRY_POINTS, name=name):
        try:
            command: click.Command = point.load()
        except ImportError as error:
            advice = "Install the service on this machine: pip install 'fitqueue[service,embedded,cpu]'"
            raise click.ClickException(f"`fitqueue {name}` cannot be loaded: {error}. {advice}") from error
        return command
    return None
