"""The commands about webhooks."""

from itertools import islice
from urllib.parse import urlsplit

import click
from rich.text import Text

from fitqueue.cli.batch import for_each
from fitqueue.cli.job_names import find_job
from fitqueue.cli.lists import shown_ids
from fitqueue.cli.options import json_option
from fitqueue.cli.output import cell, print_facts, print_json, print_table, remark
from fitqueue.cli.suggestions import SuggestingGroup
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time
from fitqueue.client import Client
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.views import DeliveryView, WebhookView
from fitqueue.webhooks import CHOSEN_EVENTS, DeliveryState, WebhookKind

_STYLES = {DeliveryState.PENDING: "yellow", DeliveryState.DELIVERED: "green", DeliveryState.FAILED: "red"}


@click.group(cls=SuggestingGroup)
def webhook() -> None:
    """Have programs, channels and people told when jobs end.

    You see your own webhooks and those for your jobs; admins see all.
    """


@webhook.command()
@click.argument("url")
@click.option("--project", help=f"The project whose jobs it is for; by default {DEFAULT_PROJECT}.")
@click.option("--job", help="The only job that it is for.")
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in WebhookKind]),
    help="By default `mail` for `mailto:`, else `webhook`.",
)
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="EVENT",
    type=click.Choice([str(event) for event in CHOSEN_EVENTS]),
    help=f"What to tell, one of {', '.join(CHOSEN_EVENTS)}. Repeatable; by default the first three.",
)
@json_option
def add(
    url: str, project: str | None, job: str | None, kind: str | None, events: tuple[str, ...], as_json: bool
) -> None:
    """Create a webhook that sends to URL: `https:`, `http:`, or `mailto:` for mail.

    Its secret, by which the receiver verifies the messages, is shown now and never again.
    """
    if project and job:
        raise click.UsageError("--project and --job exclude each other.")
    with Client() as client:
        job_id = find_job(client, job) if job else None
        chosen_project = None if job_id else project or DEFAULT_PROJECT
        view = client.add_webhook(url, project=chosen_project, job=job_id, kind=kind, events=list(events) or None)
    if as_json:
        print_json(view)
        return
    print_facts([("Webhook", view.id), ("Secret", view.secret or "")])
    remark(f"To see whether it works: fitqueue webhook test {view.id}")


@webhook.command("list")
@click.option("--project", help="Only those for this project.")
@click.option("--job", help="Only those for this job alone.")
@json_option
def list_all(project: str | None, job: str | None, as_json: bool) -> None:
    """List the webhooks.

    --json has their whole addresses, without what may be a secret in them.
    """
    with Client() as client:
        job_id = find_job(client, job) if job else None
        rows = list(client.webhooks(project=project, job=job_id))
    if as_json:
        print_json(rows)
    elif rows:
        _print_webhooks(rows)
    else:
        remark("There is no webhook. `fitqueue webhook add URL` creates one.")


@webhook.command()
@click.argument("ids", nargs=-1, required=True)
def remove(ids: tuple[str, ...]) -> int:
    """Remove webhooks with what is still to be sent to them."""

    def action(client: Client, webhook_id: str) -> str:
        client.remove_webhook(webhook_id)
        return "removed"

    return for_each(ids, action)


@webhook.command()
@click.argument("id")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list at most.")
@json_option
def deliveries(id: str, limit: int, as_json: bool) -> None:
    """List what a webhook was sent in the last 30 days, newest first, and what came of it."""
    with Client() as client:
        rows = list(islice(client.deliveries(id), limit))
    if as_json:
        print_json(rows)
    elif rows:
        _print_deliveries(rows)
    else:
        remark(f"Nothing was sent yet. `fitqueue webhook test {id}` sends a message that tells nothing.")


@webhook.command()
@click.argument("id")
@click.argument("delivery")
def resend(id: str, delivery: str) -> None:
    """Send a delivery of a webhook again, with the same id and all its tries."""
    with Client() as client:
        _remark_sent(id, client.resend_delivery(id, delivery))


@webhook.command()
@click.argument("id")
def test(id: str) -> None:
    """Send a message to a webhook that tells nothing, to see whether it comes."""
    with Client() as client:
        _remark_sent(id, client.test_webhook(id))


def _remark_sent(webhook_id: str, view: DeliveryView) -> None:
    click.echo(view.id)
    remark(f"A worker sends it within seconds. What came of it: fitqueue webhook deliveries {webhook_id}")


def _print_webhooks(rows: list[WebhookView]) -> None:
    columns: list[Column | str] = [
        "ID",
        Column("KIND", rank=4),
        Column("RECEIVER", wraps=True, rank=1),
        Column("FOR", wraps=True, rank=2),
        Column("EVENTS", wraps=True, rank=5),
        Column("OWNER", wraps=True, rank=6),
        Column("STATE", rank=3),
    ]
    print_table(columns, map(_webhook_row, rows))


def _webhook_row(row: WebhookView) -> list[str | Text]:
    subject = f"project {row.project}" if row.project else f"job {row.job}"
    state = cell("disabled", "red") if row.disabled_at else cell("enabled", "green")
    return [row.id, row.kind, _receiver(row), subject, ", ".join(row.events), row.owner, state]


def _receiver(row: WebhookView) -> str:
    """Return the host, or the address of mail: a whole address is too long for a table, and is in the JSON."""
    parts = urlsplit(row.url)
    return parts.netloc or parts.path


def _print_deliveries(rows: list[DeliveryView]) -> None:
    ids = shown_ids([row.job for row in rows if row.job])
    columns: list[Column | str] = [
        "ID",
        Column("EVENT", rank=2),
        Column("JOB", rank=4),
        Column("STATE", rank=1),
        Column("TRIES", rank=5),
        Column("LAST STATUS", wraps=True, rank=3),
        Column("LAST TRY", rank=6),
        Column("NEXT TRY", rank=7),
    ]
    print_table(
        columns,
        [
            [
                row.id,
                row.event,
                ids[row.job] if row.job else "",
                cell(row.state, _STYLES[row.state]),
                str(row.tries),
                row.last_status or "",
                local_time(row.last_try_at),
                local_time(row.next_try_at),
            ]
            for row in rows
        ],
    )
