"""The doctor's checks of the machine itself. Each returns a detail for people, or raises."""

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from service.storage import Storage, artifact_key
from workers.doctor.checks import CheckFailed
from workers.supervisor.devices import GPU, processors

MIB: Final = 1024**2
GIB: Final = 1024**3

DEVICES: Final = Path("/dev")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- nothing is written there
MIN_SHARED_BYTES: Final = GIB
"""NVIDIA's advice for NCCL, which computes sums over GPUs. A container gets 64 MiB by default."""

MIN_FREE_BYTES: Final = GIB
"""The work directory holds a snapshot and the checkpoints of an epoch until they are stored."""


def check_devices(gpus: list[GPU], device_files: Path = DEVICES) -> str:
    threads = processors()
    if gpus:
        return f"{len(gpus)} GPUs ({', '.join(gpu.name for gpu in gpus)}), {threads} processors"
    names = sorted(path.name for path in device_files.glob("nvidia[0-9]*"))
    if names:
        raise CheckFailed(
            f"NVIDIA's library lists no GPU, but the machine has the devices {', '.join(names)}",
            "install `fitqueue[gpu]`; in a container, NVIDIA's Container Toolkit; `nvidia-smi` must list the GPUs",
        )
    return f"no GPU, {threads} processors: this machine can train jobs with `gpus: 0`"


def check_shared_memory(gpus: int, path: Path = SHARED_MEMORY) -> str:
    size = shutil.disk_usage(path).total
    if gpus > 1 and size < MIN_SHARED_BYTES:
        raise CheckFailed(
            f"{size // MIB} MiB; NCCL needs {MIN_SHARED_BYTES // MIB} MiB for sums over {gpus} GPUs",
            "`shm_size: 1g` in compose, `docker run --shm-size=1g`, an `emptyDir` with `medium: Memory` in Kubernetes",
        )
    return f"{size // MIB} MiB"


def check_work_dir(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"written by fitqueue doctor")
        file.flush()
        os.fsync(file.fileno())
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise CheckFailed(
            f"{folder}: {free // MIB} MiB are free", "free at least 1 GiB there, or set FITQUEUE_WORK_DIR"
        )
    return f"{folder}: {free / GIB:.0f} GiB are free"


def check_storage(storage: Storage) -> str:
    """Write a file, read it back, and delete it together with the folders that were not there before."""
    content = secrets.token_bytes(64 * 1024)
    key = artifact_key("doctor", attempt=1)
    missing = _missing_folders(storage.local_path(key))
    try:
        read = _write_and_read(storage, key, content)
    finally:
        for folder in missing:
            with suppress(OSError):  # it has files of others by now, or was not created
                folder.rmdir()
    if read != content:
        raise CheckFailed("a file does not read back as it was written", "look at the disk, or the server, behind it")
    return "a file was written, read back and deleted"


def _missing_folders(path: Path | None) -> list[Path]:
    return [folder for folder in path.parents if not folder.exists()] if path is not None else []


def _write_and_read(storage: Storage, key: str, content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "file")
        source.write_bytes(content)
        storage.put(key, source)
    try:
        return b"".join(storage.open(key))
    finally:
        storage.delete(key)
