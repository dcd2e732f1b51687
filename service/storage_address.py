"""The address of the storage, as the setting has it."""

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9_.-]*(/|$))*")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Bucket(NamedTuple):
    """A bucket of S3, or of a server that speaks its protocol. The names of all files in it begin with `prefix`."""

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


def parse_address(value: Any) -> Any:
    """Return the bucket or the folder that a text names; anything else is returned as it is.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, str):
        return value
    if value.startswith("s3://"):
        return _bucket(value.removeprefix("s3://"))
    if _SCHEME.match(value):
        raise ValueError("expected a folder, or s3://bucket/prefix")
    return Path(value)


def _bucket(rest: str) -> Bucket:
    name, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(name) or not _PREFIX.fullmatch(prefix):
        raise ValueError("expected s3://bucket/prefix with names that S3 allows, and nothing else")
    return Bucket(name, prefix)


def validated_downloads(value: str) -> str:
    """Return `auto`, `stream`, or the address of an endpoint.

    Raises:
        ValueError: it is none of these.
    """
    if value in {"auto", "stream"}:
        return value
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/?", value):
        raise ValueError("expected 'auto', 'stream' or an endpoint such as https://files.example.org")
    return value.rstrip("/")
