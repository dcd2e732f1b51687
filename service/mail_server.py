"""The address of the mail server, taken apart."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

EXPECTED: Final = "`smtp://user:password@host:587` or `smtps://user:password@host`"

_PORTS: Final = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True)
class MailServer:
    """An SMTP server, and from whom mails come."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    sender: str


def parse_mail_server(url: str, sender: str) -> MailServer:
    """Return the server at an address.

    Raises:
        ValueError: it is not one. The message does not repeat the address, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host = None, None
    if not host or parts.scheme not in _PORTS:
        raise ValueError(f"This is not the address of an SMTP server; expected {EXPECTED}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(parts.scheme, host, port or _PORTS[parts.scheme], user, password, sender)
