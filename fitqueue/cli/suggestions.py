"""What to type instead of a command that does not exist: its other name here, or the nearest spelling."""

from collections.abc import Mapping, Sequence
from typing import Final

import click

from fitqueue.cli.text import printable
from fitqueue.text import truncate

_SERVICE: Final = (
    "`fitqueue login URL` stores the address and the token of a service, FITQUEUE_URL and FITQUEUE_TOKEN name others, "
    "and `fitqueue token create NAME` creates a token where the service runs"
)
_SIMILAR: Final = 0.8
_WHOLE: Final = 1000
"""More characters than a sentence has."""
_STOP: Final = "`fitqueue cancel JOB` stops a job. Ctrl-C stops `fitqueue up`"

_OF_COMMANDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(["list", "ls", "ps", "history"], "`fitqueue jobs` lists jobs"),
    **dict.fromkeys(
        ["status", "stat", "state"], "`fitqueue show JOB` shows one job, and `fitqueue jobs` lists all of them"
    ),
    **dict.fromkeys(["info", "get", "describe", "inspect", "job", "view"], "`fitqueue show JOB` shows one job"),
    **dict.fromkeys(["signin", "auth", "config", "configure", "connect"], _SERVICE),
    **dict.fromkeys(
        ["run", "train", "fit", "add", "create", "new", "post", "send", "enqueue"],
        "`fitqueue submit JOB.json` submits a job",
    ),
    **dict.fromkeys(["check", "validate", "lint", "dry-run"], "`fitqueue submit JOB.json --dry-run` checks a job"),
    **dict.fromkeys(["follow", "wait", "attach", "progress"], "`fitqueue watch JOB` follows a job"),
    **dict.fromkeys(["diff"], "`fitqueue compare JOB JOB` compares jobs"),
    **dict.fromkeys(["tail", "log", "output"], "`fitqueue logs JOB -f` shows what a training prints"),
    **dict.fromkeys(["stop", "kill", "abort", "down"], _STOP),
    **dict.fromkeys(["rm", "remove", "del"], "`fitqueue delete JOB` deletes an ended job"),
    **dict.fromkeys(
        ["prioritize", "promote", "front", "first", "reorder", "priority"],
        "`fitqueue move JOB --first` moves a job that waits, as --priority and --pool do",
    ),
    **dict.fromkeys(
        ["edit", "update", "modify", "rename", "label", "set"],
        "`fitqueue change JOB` changes the name, the labels and the limits of a job that waits",
    ),
    **dict.fromkeys(["undrain", "uncordon"], "`fitqueue drain WORKER --end` lets a worker claim jobs again"),
    "cordon": "`fitqueue drain WORKER` lets a worker claim no more jobs",
    **dict.fromkeys(["unpause", "continue"], "`fitqueue resume JOB` resumes a paused job"),
    **dict.fromkeys(
        ["restart", "retry", "rerun"], "`fitqueue show JOB --spec > job.json` writes a job to submit again"
    ),
    **dict.fromkeys(["download", "fetch", "best"], "`fitqueue weights JOB` downloads the best weights of a job"),
    **dict.fromkeys(["upload", "data"], "`fitqueue dataset add FILE.npz` uploads a data set"),
    **dict.fromkeys(["start", "serve", "server"], "`fitqueue up` starts a service on this machine"),
    **dict.fromkeys(["dump", "export"], "`fitqueue backup TARGET` backs up the service's database and files"),
    **dict.fromkeys(["model", "models", "summary"], "`fitqueue show JOB` shows a job with its model"),
    **dict.fromkeys(["whoami", "account", "profile"], "`fitqueue me` shows your user, your token and your projects"),
    **dict.fromkeys(["adduser", "useradd", "invite"], "`fitqueue user add NAME` adds a user"),
    **dict.fromkeys(
        ["group", "team", "member"], "`fitqueue project add-member PROJECT USER` adds a member to a project"
    ),
    **dict.fromkeys(["layers", "keras"], "`fitqueue catalogue` shows the Keras objects that a job may use"),
    **dict.fromkeys(["notify", "hook", "hooks", "mail", "slack"], "`fitqueue webhook add URL` tells when jobs end"),
    "version": "`fitqueue --version` shows the version",
    "help": "`fitqueue --help` lists the commands",
}

OTHER_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "cli": _OF_COMMANDS,
    "dataset": {
        **dict.fromkeys(
            ["upload", "create", "new", "put", "push"], "`fitqueue dataset add FILE.npz` uploads a data set"
        ),
        **dict.fromkeys(["rm", "delete", "del"], "`fitqueue dataset remove NAME` removes a data set"),
        **dict.fromkeys(["ls"], "`fitqueue dataset list` lists the data sets"),
        **dict.fromkeys(["get", "info", "describe"], "`fitqueue dataset show NAME` shows a data set"),
    },
    "webhook": {
        **dict.fromkeys(["create", "new"], "`fitqueue webhook add URL` creates a webhook"),
        **dict.fromkeys(["rm", "delete", "del"], "`fitqueue webhook remove ID` removes a webhook"),
        **dict.fromkeys(["ls", "show"], "`fitqueue webhook list` lists the webhooks"),
        **dict.fromkeys(["redeliver", "retry"], "`fitqueue webhook resend ID DELIVERY` sends a delivery again"),
        **dict.fromkeys(["ping"], "`fitqueue webhook test ID` sends a message that tells nothing"),
    },
    "token": {
        **dict.fromkeys(["add", "new", "generate"], "`fitqueue token create NAME` creates a token"),
        **dict.fromkeys(["rm", "remove", "delete"], "`fitqueue token revoke ID` revokes a token"),
        **dict.fromkeys(["ls", "show"], "`fitqueue token list` lists the tokens"),
    },
    "user": {
        **dict.fromkeys(["create", "new", "invite"], "`fitqueue user add NAME` adds a user"),
        **dict.fromkeys(
            ["rm", "remove", "delete", "del"], "`fitqueue user disable USER` disables a user, whose jobs stay"
        ),
        **dict.fromkeys(["ls", "show"], "`fitqueue user list` lists the users"),
        **dict.fromkeys(
            ["role", "promote", "set", "edit"], "`fitqueue user change USER --role` changes the role of a user"
        ),
    },
    "project": {
        **dict.fromkeys(["create", "new"], "`fitqueue project add NAME` adds a project"),
        **dict.fromkeys(["ls", "show", "members"], "`fitqueue project list` lists the projects with their members"),
        **dict.fromkeys(["join", "invite", "add-user"], "`fitqueue project add-member PROJECT USER` adds a member"),
        **dict.fromkeys(["leave", "remove-user"], "`fitqueue project remove-member PROJECT USER` removes a member"),
        **dict.fromkeys(
            ["open", "close", "set", "edit"], "`fitqueue project change PROJECT` opens or closes a project"
        ),
    },
}
"""Names that other programs give to our commands, by the group of the command, each with what to type."""


class SuggestingGroup(click.Group):
    """A click group that says what to type instead of a command that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command.

        Raises:
            click.UsageError: it does not exist.
        """
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(_unknown_command(args[0], known, OTHER_NAMES.get(self.name or "", {})))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for `--help`, each with its first sentence as a whole."""
        names = self.list_commands(ctx)
        rows = [(name, found.get_short_help_str(_WHOLE)) for name in names if (found := self.get_command(ctx, name))]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _unknown_command(name: str, known: Sequence[str], other_names: Mapping[str, str]) -> str:
    message = f"There is no command '{printable(truncate(name, 40))}'."
    nearest = name.lower() if name.lower() in other_names else _similar(name.lower(), [*known, *other_names])
    if advice := other_names.get(nearest):
        return f"{message} {advice}."
    return f"{message} Did you mean '{nearest}'?" if nearest else message


def _similar(name: str, names: Sequence[str]) -> str:
    """Return the name that is a typing error away, or else one that looks very similar; empty if there is none."""
    from difflib import get_close_matches

    from fitqueue.spec.nearest import near_miss

    return near_miss(name, names) or next(iter(get_close_matches(name, names, n=1, cutoff=_SIMILAR)), "")
