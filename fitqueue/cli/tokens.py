"""The commands about tokens."""

from collections.abc import Sequence

import click

from fitqueue.account_views import TokenView
from fitqueue.cli.accounts import open_accounts
from fitqueue.cli.options import json_option
from fitqueue.cli.output import print_json, print_table, remark
from fitqueue.cli.suggestions import SuggestingGroup
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time
from fitqueue.roles import Scope


@click.group(cls=SuggestingGroup)
def token() -> None:
    """Create, list and revoke tokens.

    Where the service runs, these commands use its database: the one of FITQUEUE_DATABASE_URL, or else var/fitqueue.db
    in this folder or a parent, unless FITQUEUE_URL is set. There they need no token, and without --user they are about
    the tokens of all, and create one of the user admin. Elsewhere they use the API with your token, and without --user
    they are about your own tokens.
    """


@token.command("create")
@click.argument("name")
@click.option("--user", help="Whose token it is.")
@click.option(
    "--scope",
    type=click.Choice([str(scope) for scope in Scope]),
    default=str(Scope.ALL),
    show_default=True,
    help="What it may do of what its user may. `read`: only read. `submit`: also submit jobs and upload data.",
)
@click.option("--expires", "days", type=int, metavar="DAYS", help="After how many days it is no longer valid.")
def create_token(name: str, user: str | None, scope: str, days: int | None) -> None:
    """Create a token called NAME and print it. Only its hash is stored, so it cannot be shown again.

    The jobs and data sets that are sent with it have NAME as `submitted_by`.
    """
    with open_accounts() as accounts:
        view = accounts.create_token(name, user=user, scope=scope, expires_in_days=days)
    click.echo(view.token)
    until = f", valid until {local_time(view.expires_at)}" if view.expires_at else ""
    remark(f"A token of {view.user}, scope {view.scope}{until}.")


@token.command("list")
@click.option("--user", help="Whose tokens are listed.")
@json_option
def list_tokens(user: str | None, as_json: bool) -> None:
    """List tokens: ids, names, users and times, not the tokens themselves."""
    with open_accounts() as accounts:
        rows = accounts.tokens(user)
    if as_json:
        print_json(rows)
    else:
        _print_tokens(rows)


@token.command("revoke")
@click.argument("token_id")
def revoke_token(token_id: str) -> None:
    """Revoke the token with this id, which `fitqueue token list` shows."""
    with open_accounts() as accounts:
        accounts.revoke_token(token_id)
    remark(f"Revoked {token_id}.")


def _print_tokens(rows: Sequence[TokenView]) -> None:
    columns = [
        Column("ID"),
        Column("NAME", wraps=True, rank=1),
        Column("USER", wraps=True, rank=2),
        Column("SCOPE", rank=5),
        Column("CREATED", rank=8),
        Column("EXPIRES", rank=4),
        Column("REVOKED", rank=3),
        Column("LAST USED", rank=6),
        Column("FROM", rank=7),
    ]
    print_table(
        columns,
        [
            [
                row.id,
                row.name,
                row.user,
                str(row.scope),
                local_time(row.created_at),
                local_time(row.expires_at),
                local_time(row.revoked_at),
                local_time(row.last_used_at),
                row.last_used_from or "",
            ]
            for row in rows
        ],
    )
