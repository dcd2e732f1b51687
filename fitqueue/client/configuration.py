"""Where the service is and what token it wants: arguments, then the environment, then the nearest `client.json`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from fitqueue.errors import NotConfigured

API_PREFIX = "/api/v1"


@dataclass(frozen=True)
class Connection:
    """An address without the API's prefix and without a slash at its end, and the token for it."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        return host == "localhost" or host.startswith("127.") or host == "::1"


class _ClientFile(BaseModel):
    url: str
    token: str | None = None


def find_connection(
    url: str | None = None,
    token: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Connection:
    """The first address found: the argument, FITQUEUE_URL, `var/client.json` here or in a folder above, or the user's.

    Raises NotConfigured when there is none, or when what was found cannot be used.
    """
    url = url or environment.get("FITQUEUE_URL")
    token = token or environment.get("FITQUEUE_TOKEN")
    stored = next(_stored_connections(folder or Path.cwd(), environment), None)
    if url is None and stored is None:
        raise NotConfigured
    address = clean_url(url) if url else stored.url  # type: ignore[union-attr]  # the line above settled it
    # A stored token goes only to the address that it was stored with, never to one that was named in another way.
    if token is None and stored is not None and stored.url == address:
        token = stored.token
    return Connection(address, clean_token(token))


def preferred_language(environment: Mapping[str, str] = os.environ) -> str:
    """As `Accept-Language` has it, of the language in which messages are wanted here: `LANG=zh_CN.UTF-8` is `zh-CN`."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    tag = locale.partition(".")[0].partition("@")[0].replace("_", "-")
    return tag if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,8})?", tag) else "en"


def clean_url(url: str) -> str:
    """The address as Connection has it; raises NotConfigured for what is no HTTP address."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:  # a port or an IPv6 address that is none
        usable = False
    if not usable:
        raise NotConfigured(f"{url!r} is no address of a service; expected something like http://127.0.0.1:8765")
    return url.strip().rstrip("/").removesuffix(API_PREFIX)


def clean_token(token: str | None) -> str | None:
    """The token without blanks around it; raises NotConfigured for what no header can carry."""
    cleaned = (token or "").strip()
    if not (cleaned.isascii() and cleaned.isprintable()):
        raise NotConfigured("The token is not plain ASCII text; expected one as `fitqueue token create` prints it")
    return cleaned or None


def _stored_connections(folder: Path, environment: Mapping[str, str]) -> Iterator[Connection]:
    home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    yield from map(_read, files_above(folder, "client.json"))
    users = home / "fitqueue" / "client.json"
    if users.is_file() and _is_ours(users):
        yield _read(users)


def files_above(folder: Path, name: str) -> Iterator[Path]:
    """What `fitqueue up` has left under this name in the `var` of the folder, or of one above; the nearest first."""
    for above in [folder, *folder.parents]:
        path = above / "var" / name
        if path.is_file() and _is_ours(path):
            yield path


def _is_ours(path: Path) -> bool:
    # In a folder that several people write to, say /tmp, somebody else's file could draw our jobs to their service.
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _read(path: Path) -> Connection:
    try:
        stored = _ClientFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise NotConfigured(
            f'{path} cannot be read as {{"url": "http://…", "token": "fq_…"}}: {error}; mend it or remove it'
        ) from error
    return Connection(clean_url(stored.url), stored.token)
