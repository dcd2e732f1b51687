"""The commands about the results of a job: weights, metrics, checkpoints, artifacts, logs, events."""

import sys
from pathlib import Path

import click

from fitqueue.cli.job_names import find_job
from fitqueue.cli.options import follow_option, json_option, output_option
from fitqueue.cli.output import make_console, print_json, print_table, remark, transfer_bar, width_of
from fitqueue.cli.tables import Column, wrap
from fitqueue.cli.text import duration, local_time, number, printable, size
from fitqueue.client import Client
from fitqueue.retention import Removable
from fitqueue.views import EpochView, EventView, LogLine

_WIDTH_WITH_KINDS = 80
"""In a narrower terminal, the messages of events would be narrower than their kinds."""


@click.command()
@click.argument("job")
@click.option("--last", "checkpoint", flag_value="last", help="Download the weights of the last epoch.")
@click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    help="The name of the checkpoint to download; `fitqueue checkpoints` lists them.",
)
@output_option
@json_option
def weights(job: str, checkpoint: str, output: Path | None, as_json: bool) -> None:
    """Download the best weights of JOB and print the path of the file.

    This works at any time, even while the job is training. The file appears only after its sha256 was verified, and
    an interrupted download is resumed. In plain Keras, `model.load_weights(FILE)` loads it.
    """
    with Client() as client, transfer_bar(checkpoint) as on_progress:
        job_id = find_job(client, job)
        path = client.download(job_id, checkpoint, output, on_progress=on_progress)
    if as_json:
        print_json({"job": job_id, "checkpoint": checkpoint, "path": str(path), "size": path.stat().st_size})
    else:
        click.echo(path)


@click.command()
@click.argument("job")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
def metrics(job: str, as_csv: bool, as_json: bool) -> None:
    """Show the metrics of each epoch of JOB."""
    with Client() as client:
        job_id = find_job(client, job)
        if as_csv:
            click.echo(client.metrics_csv(job_id), nl=False)
            return
        rows = client.metrics(job_id)
    if as_json:
        print_json(rows)
        return
    names = list(dict.fromkeys(name for row in rows for name in row.metrics if name != "learning_rate"))
    ranked = sorted(names, key=lambda name: name not in {"loss", "val_loss"})
    columns: list[Column | str] = ["EPOCH", *(Column(name, rank=1 + ranked.index(name)) for name in names)]
    print_table([*columns, "LEARNING RATE", "TIME", "STEPS/S"], [_epoch_row(row, names) for row in rows])


def _epoch_row(row: EpochView, names: list[str]) -> list[str]:
    values = [number(row.metrics[name]) if name in row.metrics else "" for name in names]
    return [str(row.epoch), *values, number(row.learning_rate), duration(row.seconds), f"{row.steps_per_second:.1f}"]


@click.command()
@click.argument("job")
@json_option
def checkpoints(job: str, as_json: bool) -> None:
    """List the checkpoints of JOB.

    Besides those that its ModelCheckpoint callbacks save, there are always `best` and `last`.
    """
    with Client() as client:
        job_id = find_job(client, job)
        rows = client.checkpoints(job_id)
        if not rows:
            _remark_removed(client, job_id, Removable.CHECKPOINTS, Removable.OTHER_CHECKPOINTS)
    if as_json:
        print_json(rows)
        return
    print_table(
        [Column("NAME", wraps=True), "EPOCH", Column("MONITOR", rank=3), Column("VALUE", rank=2), "SIZE", "SAVED"],
        [
            [row.name, str(row.epoch), row.monitor or "", number(row.value), size(row.size), local_time(row.created_at)]
            for row in rows
        ],
    )


@click.command()
@click.argument("job")
@click.argument("name", required=False)
@output_option
@json_option
def artifacts(job: str, name: str | None, output: Path | None, as_json: bool) -> None:
    """List the files that the callbacks of JOB wrote, or download one of them.

    Without NAME, list the files; with NAME, download that one. The logs of a TensorBoard callback are a zip archive:
    unzip it, and pass the folder to `tensorboard --logdir`.
    """
    with Client() as client:
        job_id = find_job(client, job)
        if name is not None:
            with transfer_bar(name) as on_progress:
                path = client.download_artifact(job_id, name, output, on_progress=on_progress)
            click.echo(path)
            return
        rows = client.artifacts(job_id)
        if not rows:
            _remark_removed(client, job_id, Removable.ARTIFACTS)
    if as_json:
        print_json(rows)
    else:
        columns: list[Column | str] = [Column("NAME", wraps=True), "SIZE", "SAVED"]
        print_table(columns, [[row.name, size(row.size), local_time(row.created_at)] for row in rows])


@click.command()
@click.argument("job")
@follow_option
@click.option("-n", "--tail", type=click.IntRange(1, 5000), help="Begin with the last N lines.", metavar="N")
@click.option("--json", "json_lines", is_flag=True, help="Print JSON, one line of the log per line.")
def logs(job: str, follow: bool, tail: int | None, json_lines: bool) -> None:
    """Show what the training of JOB has printed."""
    with Client() as client:
        job_id, line = find_job(client, job), None
        for line in client.logs(job_id, follow=follow, tail=tail):
            if json_lines:
                print_json(line, indent=None)
            else:
                _echo(line)
        if line is None:
            _remark_removed(client, job_id, Removable.LOGS)


def _remark_removed(client: Client, job_id: str, *kinds: Removable) -> None:
    """Say why there is nothing to show, if the retention of the job's project has removed it."""
    for removed in client.get(job_id).removed:
        if removed.what in kinds:
            remark(removed.message)


def _echo(line: LogLine) -> None:
    # A log can contain control characters, which a terminal would obey. A pipe gets the line unchanged.
    click.echo(printable(line.text) if sys.stdout.isatty() else line.text, color=True)


@click.command()
@click.argument("job")
@follow_option
@click.option("--json", "json_lines", is_flag=True, help="Print JSON, one event per line.")
def events(job: str, follow: bool, json_lines: bool) -> None:
    """Show what has happened to JOB."""
    width = width_of(make_console())
    with Client() as client:
        for event in client.events(find_job(client, job), follow=follow):
            if json_lines:
                print_json(event, indent=None)
            else:
                click.echo("\n".join(_event_lines(event, width)))


def _event_lines(event: EventView, width: int | None) -> list[str]:
    """Return an event in lines. Where there is little room, the kind goes, which the message says in words."""
    time, message = local_time(event.at), printable(event.message)
    if width is None:
        return [f"{time}  {event.kind:<21}  {message}"]
    begin = f"{time}  {event.kind:<21}  " if width >= _WIDTH_WITH_KINDS else f"{time}  "
    first, *others = wrap(message, max(1, width - len(begin)))
    return [begin + first, *(" " * len(begin) + line for line in others)]
