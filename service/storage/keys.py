"""The keys of stored files. The service makes them all, so none of them leads anywhere else."""

import re
import secrets
from typing import Final

KINDS: Final = ("artifacts", "checkpoints", "datasets", "snapshots")
"""The kinds of files that rows of the database refer to."""

BACKUPS: Final = "backups"
"""The kind of the files that describe a backup. They are in a storage that holds backups, and in no other one."""

_KEY: Final = re.compile(rf"({'|'.join([*KINDS, BACKUPS])})(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){{1,3}}")


def checkpoint_key(job_id: str, attempt: int, format: str) -> str:
    """Return a key that was never used: it has the attempt in it, so an attempt without a lease overwrites nothing."""
    return f"checkpoints/{job_id}/{attempt}-{secrets.token_hex(8)}.{format}"


def artifact_key(job_id: str, attempt: int) -> str:
    """Return a key that was never used, as for a checkpoint."""
    return f"artifacts/{job_id}/{attempt}-{secrets.token_hex(8)}"


def snapshot_key(job_id: str, attempt: int) -> str:
    """Return a key that was never used, as for a checkpoint."""
    return f"snapshots/{job_id}/{attempt}-{secrets.token_hex(8)}"


def dataset_key(dataset_id: str) -> str:
    return f"datasets/{dataset_id}.npz"


def backup_key(backup: str, file: str) -> str:
    return f"{BACKUPS}/{backup}/{file}"


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def validated(key: str) -> str:
    """Return the key itself.

    Raises:
        ValueError: it is not a key that the service makes.
    """
    if not is_key(key):
        raise ValueError(f"'{key}' is not a key of the storage.")
    return key
