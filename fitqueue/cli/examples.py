"""The examples at the end of each command's help."""

from collections.abc import Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Final

import click

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "submit": (
        "fitqueue submit examples/digits_cnn.json --wait",
        "fitqueue submit job.json --name try-2 --set fit.epochs=50",
        "fitqueue submit job.json --project vision",
        "fitqueue show latest --spec | fitqueue submit - --set seed=1",
    ),
    "watch": ("fitqueue watch latest", "fitqueue watch job_1hq4z7x2m"),
    "jobs": (
        "fitqueue jobs",
        "fitqueue jobs --state running --state queued",
        "fitqueue jobs --label project=digits --sort finished",
        "fitqueue jobs --mine --state failed",
        "fitqueue jobs --project vision --owner ada",
        "fitqueue jobs --json | jq -r '.[].id'",
    ),
    "queue": ("fitqueue queue", "fitqueue queue --pool gpu"),
    "show": ("fitqueue show latest", "fitqueue show latest --curve", "fitqueue show digits-cnn --spec > job.json"),
    "compare": (
        "fitqueue compare digits-cnn latest",
        "fitqueue compare digits-cnn digits-wide --metric accuracy",
    ),
    "usage": (
        "fitqueue usage",
        "fitqueue usage latest",
        "fitqueue usage digits-cnn --json | jq .all_attempts.gpu_seconds",
    ),
    "cancel": ("fitqueue cancel latest", "fitqueue cancel job_1hq4z7x2m digits-cnn"),
    "pause": ("fitqueue pause digits-cnn",),
    "resume": ("fitqueue resume digits-cnn",),
    "move": ("fitqueue move digits-cnn --first", "fitqueue move digits-cnn --pool gpu --priority 10"),
    "change": (
        "fitqueue change latest --name digits-wide --label project=digits",
        "fitqueue change latest --max-runtime 3600 --max-queued none",
        "fitqueue change digits-cnn --keep",
    ),
    "extend": ("fitqueue extend digits-cnn --epochs 20 --wait",),
    "delete": ("fitqueue delete job_1hq4z7x2m",),
    "weights": (
        "fitqueue weights digits-cnn",
        "fitqueue weights latest --last -o last.weights.h5",
        "fitqueue weights latest --checkpoint epoch-07.weights.h5",
    ),
    "metrics": ("fitqueue metrics latest", "fitqueue metrics digits-cnn --csv > metrics.csv"),
    "checkpoints": ("fitqueue checkpoints digits-cnn",),
    "artifacts": ("fitqueue artifacts digits-cnn", "fitqueue artifacts digits-cnn history.csv -o digits.csv"),
    "logs": ("fitqueue logs latest -f", "fitqueue logs digits-cnn -n 50"),
    "events": ("fitqueue events latest -f",),
    "audit": ("fitqueue audit", "fitqueue audit --user ada --action job --since 2026-12-24"),
    "dataset": ("fitqueue dataset add letters.npz", "fitqueue dataset list"),
    "dataset add": (
        "fitqueue dataset add letters.npz",
        "fitqueue dataset add trained.weights.h5 --name digits-weights",
        "fitqueue dataset add scans.npz --project vision",
    ),
    "dataset list": (
        "fitqueue dataset list",
        "fitqueue dataset list --mine",
        "fitqueue dataset list --owner ada --project vision",
    ),
    "dataset show": ("fitqueue dataset show letters",),
    "dataset remove": ("fitqueue dataset remove letters",),
    "webhook": (
        "fitqueue webhook add https://ci.example.org/fitqueue",
        "fitqueue webhook add mailto:ada@example.org --job latest",
    ),
    "webhook add": (
        "fitqueue webhook add https://ci.example.org/fitqueue --project vision",
        "fitqueue webhook add https://hooks.slack.com/services/T0/x --kind slack",
        "fitqueue webhook add https://ci.example.org/ --event job.failed",
        "fitqueue webhook add mailto:ada@example.org --job latest",
    ),
    "webhook list": ("fitqueue webhook list", "fitqueue webhook list --project lab --json"),
    "webhook remove": ("fitqueue webhook remove wh_1hq4z7x2m",),
    "webhook deliveries": ("fitqueue webhook deliveries wh_1hq4z7x2m",),
    "webhook resend": ("fitqueue webhook resend wh_1hq4z7x2m msg_1hq4z7x2n",),
    "webhook test": ("fitqueue webhook test wh_1hq4z7x2m",),
    "catalogue": ("fitqueue catalogue", "fitqueue catalogue LSTM"),
    "login": ("fitqueue login https://gpu.example.org/fitqueue", "fitqueue login < token.txt"),
    "logout": ("fitqueue logout",),
    "open": (
        "fitqueue open",
        "fitqueue open latest",
        "fitqueue open --print    # without a browser",
    ),
    "completion": (
        'eval "$(fitqueue completion bash)"',
        'eval "$(fitqueue completion zsh)"',
        "fitqueue completion fish > ~/.config/fish/completions/fitqueue.fish",
    ),
    "workers": ("fitqueue workers", "fitqueue workers --all"),
    "drain": (
        "fitqueue drain gpu-box --timeout 600 --wait",
        "fitqueue drain gpu-box --end",
    ),
    "up": ("fitqueue up", "fitqueue up --workers 2 --slots 1 --port 9000"),
    "init": ("fitqueue init --workers 4", "fitqueue init --gpu --public"),
    "me": ("fitqueue me", "fitqueue me --json | jq -r .user.role"),
    "token": ("docker compose exec api fitqueue token create me", "fitqueue token create laptop --expires 90"),
    "token create": (
        "fitqueue token create laptop --expires 90",
        "fitqueue token create dashboard --scope read",
        "fitqueue token create laptop --user ada",
    ),
    "token list": ("fitqueue token list", "fitqueue token list --user ada"),
    "token revoke": ("fitqueue token revoke tok_1hq4z7x2m",),
    "user": ("fitqueue user add ada", "docker compose exec api fitqueue user list"),
    "user add": ("fitqueue user add ada", "fitqueue user add grace --role admin"),
    "user list": ("fitqueue user list", "fitqueue user list --json | jq -r '.[].name'"),
    "user change": (
        "fitqueue user change ada --role admin",
        "fitqueue user change ada --max-priority 10 --share 2",
        "fitqueue user change ada --limit running_jobs=4 --limit gpus=none",
    ),
    "user disable": ("fitqueue user disable ada",),
    "user enable": ("fitqueue user enable ada",),
    "project": ("fitqueue project add vision --closed", "fitqueue project add-member vision ada grace"),
    "project add": ("fitqueue project add vision", "fitqueue project add vision --closed"),
    "project list": ("fitqueue project list",),
    "project change": (
        "fitqueue project change vision --open",
        "fitqueue project change vision --limit gpus=8 --retention logs_days=90",
    ),
    "project add-member": ("fitqueue project add-member vision ada grace",),
    "project remove-member": ("fitqueue project remove-member vision ada",),
    "doctor": ("fitqueue doctor", "docker compose exec worker fitqueue doctor --json"),
    "migrate": ("fitqueue migrate",),
    "backup": ("fitqueue backup /mnt/backup", "fitqueue backup s3://our-backups/fitqueue --keep 14"),
    "restore": (
        "fitqueue restore /mnt/backup --list",
        "fitqueue restore /mnt/backup",
        "fitqueue restore /mnt/backup --backup 20261128T020000.000Z",
    ),
    "prune": ("fitqueue prune --dry-run", "docker compose exec api fitqueue prune"),
}
"""Command lines to copy, by the full name of the command."""

_MARGIN: Final = 8
"""The columns that are left for the indentation of an example, and for a backslash at its end."""


def add_examples(name: str, command: click.Command) -> None:
    """Let the help of a command, and of the commands in it, end with its examples."""
    width = get_terminal_size().columns - _MARGIN
    lines = [part for line in EXAMPLES.get(name, ()) for part in _continued(line, width)]
    if lines:
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
    if isinstance(command, click.Group):
        for subname, subcommand in command.commands.items():
            add_examples(f"{name} {subname}", subcommand)


def _continued(line: str, width: int) -> list[str]:
    """Return a command in lines of this width that can be copied: all but the last end with a backslash."""
    *begin, end = wrap(line, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
    return [*(f"{part} \\" for part in begin), end]
