"""The command that opens the pages in a browser."""

import webbrowser

import click

from fitqueue.cli.job_names import find_job
from fitqueue.cli.output import remark
from fitqueue.client import Client


@click.command()
@click.argument("job", required=False)
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
def open(job: str | None, only_print: bool) -> None:
    """Open the pages in a browser, logged in: the list of jobs, or the page of one JOB.

    The address logs in once, within a day, with the token of this command line. Do not pass it on.
    """
    with Client() as client:
        link = client.login_link(find_job(client, job) if job else None)
    if only_print or not webbrowser.open(link):
        click.echo(link)
    else:
        remark("The browser is opening.")
