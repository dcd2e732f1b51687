"""The commands that store the address and the token of a service, and remove them: login, logout."""

import os
import sys

import click

from fitqueue.cli.output import remark
from fitqueue.client import Client
from fitqueue.client.configuration import (
    Connection,
    clean_token,
    clean_url,
    find_connection,
    forget_connection,
    store_connection,
    stored_url,
)
from fitqueue.errors import NotConfigured, Unauthenticated


@click.command()
@click.argument("url", required=False)
def login(url: str | None) -> None:
    """Ask for a token of the service at URL, check it, and store both for the other commands.

    Without URL, it is the address of FITQUEUE_URL, or the one that is stored already. The token is not shown while you
    type it; in a script, it is read from standard input. Only you can read the file, ~/.config/fitqueue/client.json.
    """
    address = clean_url(url or os.environ.get("FITQUEUE_URL") or stored_url() or click.prompt("Address", err=True))
    token = clean_token(_read_token(address))
    if token is None:
        raise click.UsageError("Received no token; `fitqueue token create NAME` creates one where the service runs.")
    with Client(address, token) as client:
        try:
            next(client.list(), None)
        except Unauthenticated as error:
            advice = "`fitqueue token create NAME` creates one where the service runs."
            raise click.ClickException(f"{address} does not accept this token. {advice}") from error
    path = store_connection(Connection(address, token))
    remark(f"Logged in to {address}. The token is in {path}.")
    if find_connection() != Connection(address, token):
        remark(f"In this folder and shell, another service or token goes first: {_what_goes_first()}.")


@click.command()
def logout() -> None:
    """Remove the address and the token that `fitqueue login` stored.

    The token stays valid: `fitqueue token revoke` ends that, where the service runs.
    """
    path = forget_connection()
    remark(f"Removed {path}." if path else "Nothing was stored.")
    try:
        find_connection()
    except NotConfigured:
        return
    remark(f"Commands still find a service: by {_what_goes_first()}.")


def _read_token(address: str) -> str:
    if sys.stdin.isatty():
        token: str = click.prompt(f"Token for {address}", hide_input=True, err=True)
        return token
    return sys.stdin.readline()


def _what_goes_first() -> str:
    names = [name for name in ("FITQUEUE_URL", "FITQUEUE_TOKEN") if os.environ.get(name)]
    return " and ".join(names) or "var/client.json in this folder or a parent"
