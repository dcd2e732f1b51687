"""Checkpoints in the storage of an API, saved like a worker saves them."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from service.api.context import Services
from service.storage import checkpoint_key
from service.store import leases, recording
from service.store.leases import Lease
from tests.reports import checkpoint_written


def save_checkpoint(
    services: Services,
    lease: Lease,
    content: bytes,
    names: Sequence[str] = ("best", "last"),
    epoch: int = 1,
    *,
    format: Literal["weights.h5", "keras"] = "weights.h5",
    has_optimizer: bool = False,
) -> None:
    """Store a file, record it under these names, and delete the files that it replaces."""
    path = services.storage.temporary_folder() / "written"
    path.write_bytes(content)
    key = checkpoint_key(lease.job_id, lease.attempt, format)
    services.storage.put(key, path)
    sha256 = hashlib.sha256(content).hexdigest()
    written = checkpoint_written(
        list(names),
        epoch,
        format=format,
        value=1.0,
        size=len(content),
        sha256=sha256,
        has_optimizer=has_optimizer,
    )
    with services.database.write() as session:
        replaced = recording.record_checkpoint(session, leases.held_job(session, lease), written, key)
    for old_key in replaced:
        services.storage.delete(old_key)
