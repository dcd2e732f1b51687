"""The checks of the machine itself."""

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from service.storage import Storage, artifact_key
from service.store.leases import Lease
from workers.doctor.checks import CheckFailed
from workers.supervisor.devices import GPU, processors

MIB: Final = 1024**2
GIB: Final = 1024**3

DEVICES: Final = Path("/dev")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- nothing is written there
SHARED_BYTES: Final = GIB
"""What NVIDIA advises for NCCL, which sums over GPUs; containers get 64 MiB where nobody says otherwise."""

FREE_BYTES: Final = GIB
"""A snapshot and the checkpoints of an epoch lie in the work directory until they are stored."""


def devices(gpus: list[GPU], nodes: Path = DEVICES) -> str:
    threads = processors()
    if gpus:
        return f"{len(gpus)} GPUs ({', '.join(gpu.name for gpu in gpus)}), {threads} processors"
    there = sorted(path.name for path in nodes.glob("nvidia[0-9]*"))
    if there:
        raise CheckFailed(
            f"NVIDIA's library lists no GPU, and there are the devices {', '.join(there)}",
            "install `fitqueue[gpu]`; in a container, NVIDIA's Container Toolkit; `nvidia-smi` must list them",
        )
    return f"no GPU, {threads} processors: jobs with `gpus: 0` can be trained here"


def shared_memory(gpus: int, path: Path = SHARED_MEMORY) -> str:
    size = shutil.disk_usage(path).total
    if gpus > 1 and size < SHARED_BYTES:
        raise CheckFailed(
            f"{size // MIB} MiB; NCCL wants {SHARED_BYTES // MIB} MiB to sum over {gpus} GPUs",
            "`shm_size: 1g` in compose, `docker run --shm-size=1g`, an `emptyDir` with `medium: Memory` in Kubernetes",
        )
    return f"{size // MIB} MiB"


def work_dir(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"written by fitqueue doctor")
        file.flush()
        os.fsync(file.fileno())
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise CheckFailed(f"{folder}: {free // MIB} MiB are free", "free 1 GiB or more there, or set FITQUEUE_WORK_DIR")
    return f"{folder}: {free / GIB:.0f} GiB are free"


def file_store(store: Storage) -> str:
    """Write, read back, delete; and the folders that were not there before."""
    content = secrets.token_bytes(64 * 1024)
    key = artifact_key(Lease("doctor", attempt=1, worker_id="doctor"))
    new = _missing_folders(store.local_path(key))
    new_root = new[len(Path(key).parent.parts) :]
    try:
        read = _written_and_read(store, key, content)
    finally:
        for folder in [*_incoming(store, new_root), *new]:
            with suppress(OSError):  # somebody else's files are in it by now, or it was not made
                folder.rmdir()
    if read != content:
        raise CheckFailed(
            "a file does not read back as it was written", "look at the disk, or the server, of the store"
        )
    what = "a file was written, read back and deleted"
    return f"{what}; there is no folder {new_root[0]} yet, the first file makes it" if new_root else what


def _incoming(store: Storage, new_root: list[Path]) -> list[Path]:
    return [store.temporary_folder()] if new_root and new_root[0].exists() else []


def _missing_folders(path: Path | None) -> list[Path]:
    return [folder for folder in path.parents if not folder.exists()] if path is not None else []


def _written_and_read(store: Storage, key: str, content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "file")
        source.write_bytes(content)
        store.put(key, source)
    try:
        return b"".join(store.open(key))
    finally:
        store.delete(key)
