"""The keys of stored files: of the service's own making, so that none leads elsewhere."""

import re
import secrets
from typing import Final

from service.store.leases import Lease

KINDS: Final = ("artifacts", "checkpoints", "datasets", "snapshots")
_KEY: Final = re.compile(rf"({'|'.join(KINDS)})(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){{1,3}}")


def checkpoint_key(lease: Lease, format: str) -> str:
    """A key that was never used: it carries the attempt, so that one that lost its lease can overwrite nothing."""
    return f"checkpoints/{lease.job_id}/{lease.attempt}-{secrets.token_hex(8)}.{format}"


def artifact_key(lease: Lease) -> str:
    """As a checkpoint's: never used before."""
    return f"artifacts/{lease.job_id}/{lease.attempt}-{secrets.token_hex(8)}"


def snapshot_key(lease: Lease) -> str:
    """As a checkpoint's: never used before."""
    return f"snapshots/{lease.job_id}/{lease.attempt}-{secrets.token_hex(8)}"


def dataset_key(dataset_id: str) -> str:
    return f"datasets/{dataset_id}.npz"


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def checked(key: str) -> str:
    """The key itself.

    Raises:
        ValueError: this is no key that the service makes.
    """
    if not is_key(key):
        raise ValueError(f"'{key}' is no key of the store.")
    return key
