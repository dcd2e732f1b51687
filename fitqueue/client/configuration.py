"""The address and the token of the service: from arguments, from the environment, or from a file `client.json`."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from fitqueue.errors import NotConfigured
from fitqueue.private_files import replace_private

API_PREFIX = "/api/v1"


@dataclass(frozen=True)
class Connection:
    """The address of a service, without the prefix of the API and without a final slash, and the token for it."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the service runs on this machine, so that no proxy is needed."""
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
    """Return the service to talk to.

    Its address is the first one that is set: the argument, FITQUEUE_URL, `var/client.json` in the folder or its
    parents, `~/.config/fitqueue/client.json`. The token likewise; one from a file is used only with its own address.

    Args:
        url: an address, with or without `/api/v1`.
        token: a token for it.
        environment: environment variables.
        folder: where the search for `var/client.json` starts; by default the current folder.

    Raises:
        NotConfigured: no address is set, or the address, the token or the file cannot be used.
    """
    url = url or environment.get("FITQUEUE_URL")
    token = token or environment.get("FITQUEUE_TOKEN")
    stored = next(_stored_connections(folder or Path.cwd(), environment), None)
    if url is not None:
        address = clean_url(url)
    elif stored is not None:
        address = stored.url
    else:
        raise NotConfigured
    # A stored token goes only to the address that is stored with it.
    if token is None and stored is not None and stored.url == address:
        token = stored.token
    return Connection(address, clean_token(token))


def preferred_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the user's language as a language tag for `Accept-Language`: `zh-CN` for `LANG=zh_CN.UTF-8`."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    tag = locale.partition(".")[0].partition("@")[0].replace("_", "-")
    return tag if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,8})?", tag) else "en"


def clean_url(url: str) -> str:
    """Return the address in the form that Connection has.

    Raises:
        NotConfigured: it is not an HTTP address.
    """
    try:
        address = urlsplit(url.strip())
        usable = address.scheme in {"http", "https"} and address.hostname and address.port != 0 and not address.query
    except ValueError:  # an invalid port or IPv6 address
        usable = False
    if not usable:
        raise NotConfigured(f"{url!r} is not the address of a service; expected something like http://127.0.0.1:8765")
    return url.strip().rstrip("/").removesuffix(API_PREFIX)


def clean_token(token: str | None) -> str | None:
    """Return the token without whitespace around it, or None if it is empty.

    Raises:
        NotConfigured: an HTTP header cannot carry it.
    """
    cleaned = (token or "").strip()
    if not (cleaned.isascii() and cleaned.isprintable()):
        raise NotConfigured("The token is not plain ASCII text; expected one that `fitqueue token create` printed")
    return cleaned or None


def _stored_connections(folder: Path, environment: Mapping[str, str]) -> Iterator[Connection]:
    yield from map(_read, files_above(folder, "client.json"))
    path = _user_file(environment)
    if path.is_file() and _is_owned_by_user(path):
        yield _read(path)


def store_connection(connection: Connection, environment: Mapping[str, str] = os.environ) -> Path:
    """Store a service for all folders, and return the path of the file, which only the user can read."""
    path = _user_file(environment)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_private(path, json.dumps({"url": connection.url, "token": connection.token}))
    return path


def forget_connection(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Remove the service that is stored for all folders, and return the path of the file; None if there was none."""
    path = _user_file(environment)
    if not path.exists():
        return None
    path.unlink()
    return path


def stored_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the address that is stored for all folders.

    Raises:
        NotConfigured: the file cannot be read.
    """
    path = _user_file(environment)
    return _read(path).url if path.is_file() and _is_owned_by_user(path) else None


def _user_file(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "fitqueue" / "client.json"


def files_above(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of this name that `fitqueue up` left in `var` of the folder or its parents, the nearest first."""
    for ancestor in [folder, *folder.parents]:
        path = ancestor / "var" / name
        if path.is_file() and _is_owned_by_user(path):
            yield path


def _is_owned_by_user(path: Path) -> bool:
    # In a folder that several people can write to, such as /tmp, somebody else's file could send our jobs to them.
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _read(path: Path) -> Connection:
    try:
        stored = _ClientFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise NotConfigured(
            f'{path} does not have the form {{"url": "http://…", "token": "fq_…"}}: {error}; correct it or remove it'
        ) from error
    return Connection(clean_url(stored.url), stored.token)
