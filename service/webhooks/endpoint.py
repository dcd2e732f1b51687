"""The address of a receiver, taken apart."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

MAX_URL: Final = 2_000

_PORTS: Final = {"http": 80, "https": 443}
_FIRST_FREE_PORT: Final = 1024
_CHARACTERS: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")


class InvalidEndpoint(ValueError):
    """The address cannot be one of a receiver. The message is a sentence that does not repeat the address."""


@dataclass(frozen=True)
class Endpoint:
    """Where to send messages by HTTP. `path` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_endpoint(url: str) -> Endpoint:
    """Take an address apart.

    Raises:
        InvalidEndpoint: it is not an address of HTTP that the service sends to.
    """
    if len(url) > MAX_URL:
        raise InvalidEndpoint(f"The address has {len(url):,} characters; at most {MAX_URL:,} are allowed.")
    # Before it is taken apart: urlsplit leaves out line breaks, and a backslash is a slash to some programs.
    if not _CHARACTERS.fullmatch(url) or "\\" in url:
        raise InvalidEndpoint(
            "The address has a character that no address has, such as a space or a letter with accent."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidEndpoint("The host or the port of the address is not one.") from None
    return _endpoint(parts, port)


def _endpoint(parts: SplitResult, port: int | None) -> Endpoint:
    if parts.scheme not in _PORTS:
        raise InvalidEndpoint(f"The address begins with '{parts.scheme[:20]}:'; expected `https:` or `http:`.")
    if "@" in parts.netloc:
        raise InvalidEndpoint("The address has a user or a password, which is not sent; remove what is before the `@`.")
    if parts.fragment:
        raise InvalidEndpoint("The address has a fragment, which is not sent; remove what follows the `#`.")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise InvalidEndpoint("The address has no host, or one whose name is not written in ASCII.")
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and port < _FIRST_FREE_PORT:
        raise InvalidEndpoint(f"The port {port} belongs to another protocol; expected 80, 443, or one from 1024.")
    path = parts.path or "/"
    return Endpoint(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path)
