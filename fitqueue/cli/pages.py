"""The command that opens the pages in a browser."""

import webbrowser

import click

from fitqueue.cli.output import remark
from fitqueue.client import Client


@click.command()
@click.argument("job_id", metavar="[JOB]", required=False)
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
def open(job_id: str | None, only_print: bool) -> None:
    """Open the pages in a browser, logged in: the list of jobs, or the page of one JOB.

    The address logs in once, within a day, with the token of this command line. Do not pass it on.

    \b
    Examples:
      fitqueue open
      fitqueue open job_01jd2x
      fitqueue open --print          # where this machine has no browser
    """
    with Client() as client:
        link = client.login_link(job_id)
    if only_print or not webbrowser.open(link):
        click.echo(link)
    else:
        remark("The browser is opening.")
