"""The commands about what a job gives: weights, metrics, checkpoints, logs, events."""

import sys
from pathlib import Path

import click

from fitqueue.cli.jobs import as_json
from fitqueue.cli.output import print_json, print_table, transfer_bar
from fitqueue.cli.text import duration, moment, number, printable, size
from fitqueue.client import Client
from fitqueue.views import EpochView, LogLine


@click.command()
@click.argument("job")
@click.option("--last", "checkpoint", flag_value="last", help="The weights of the last epoch.")
@click.option("--checkpoint", default="best", help="A checkpoint by its name, as `fitqueue checkpoints` lists it.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write, or a folder for it.")
def weights(job: str, checkpoint: str, output: Path | None) -> None:
    """Fetch the best weights of JOB, while it trains too, and print where they are.

    The file's sha256 is checked before it appears; a broken download goes on where it broke off.
    `model.load_weights(FILE)` loads it in plain Keras.
    """
    with Client() as client, transfer_bar(checkpoint) as on_progress:
        path = client.download(job, checkpoint, output, on_progress=on_progress)
    click.echo(path)


@click.command()
@click.argument("job")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@as_json
def metrics(job: str, as_csv: bool, as_json: bool) -> None:
    """Show what each epoch of JOB logged."""
    with Client() as client:
        if as_csv:
            click.echo(client.metrics_csv(job), nl=False)
            return
        rows = client.metrics(job)
    if as_json:
        print_json(rows)
        return
    names = list(dict.fromkeys(name for row in rows for name in row.metrics if name != "learning_rate"))
    print_table(["EPOCH", *names, "LEARNING RATE", "TIME", "STEPS/S"], [_epoch_row(row, names) for row in rows])


def _epoch_row(row: EpochView, names: list[str]) -> list[str]:
    values = [number(row.metrics[name]) if name in row.metrics else "" for name in names]
    return [str(row.epoch), *values, number(row.learning_rate), duration(row.seconds), f"{row.steps_per_second:.1f}"]


@click.command()
@click.argument("job")
@as_json
def checkpoints(job: str, as_json: bool) -> None:
    """List the checkpoints of JOB; `best` and `last` are always among them."""
    with Client() as client:
        rows = client.checkpoints(job)
    if as_json:
        print_json(rows)
        return
    print_table(
        ["NAME", "EPOCH", "MONITOR", "VALUE", "SIZE", "SAVED"],
        [
            [row.name, str(row.epoch), row.monitor or "", number(row.value), size(row.size), moment(row.created_at)]
            for row in rows
        ],
    )


@click.command()
@click.argument("job")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write, or a folder for it.")
@as_json
def artifacts(job: str, name: str | None, output: Path | None, as_json: bool) -> None:
    """List what the callbacks of JOB wrote beside its weights, or fetch the one of NAME.

    What a TensorBoard callback wrote is one archive: unzip it and give `tensorboard --logdir` the folder.
    """
    with Client() as client:
        if name is not None:
            with transfer_bar(name) as on_progress:
                path = client.download_artifact(job, name, output, on_progress=on_progress)
            click.echo(path)
            return
        rows = client.artifacts(job)
    if as_json:
        print_json(rows)
    else:
        print_table(["NAME", "SIZE", "SAVED"], [[row.name, size(row.size), moment(row.created_at)] for row in rows])


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("-n", "--tail", type=click.IntRange(1, 5000), help="Begin with the last N lines only.")
def logs(job: str, follow: bool, tail: int | None) -> None:
    """Show what the training of JOB printed."""
    with Client() as client:
        for line in client.logs(job, follow=follow, tail=tail):
            _echo(line)


def _echo(line: LogLine) -> None:
    # A terminal obeys control characters, and a line is whatever a library chose to print; a pipe gets it whole.
    click.echo(printable(line.text) if sys.stdout.isatty() else line.text, color=True)


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--json", "json_lines", is_flag=True, help="Print JSON, one event a line.")
def events(job: str, follow: bool, json_lines: bool) -> None:
    """Show what happened to JOB."""
    with Client() as client:
        for event in client.events(job, follow=follow):
            if json_lines:
                print_json(event, indent=None)
            else:
                click.echo(printable(f"{moment(event.at)}  {event.kind:<21}  {event.message}"))
