"""Let all jobs of a machine share Keras's folder, in which each file is downloaded once and appears only when complete.

Keras writes a download under its final name. Without this module, a process that starts during a download would read
half a file, and a download that is killed would leave half a file behind.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import URLError

from keras.src.backend.config import keras_home
from keras.src.utils import file_utils

WAITING_MESSAGE_SECONDS: Final = 10.0
"""How often a waiting process prints a message. One that stays silent is considered frozen and is killed."""

_NETWORK_ERRORS: Final = (URLError, HTTPException, ConnectionError, TimeoutError)
_POLL_SECONDS: Final = 0.1
_FALLBACK_HOME: Final = Path("/tmp/.keras")  # noqa: S108 -- Keras's choice


def datasets_folder() -> Path:
    """Return the folder in which Keras looks for data sets: below its home, or below /tmp if that is not writable."""
    home = Path(keras_home()).expanduser()
    return (home if os.access(home, os.W_OK) else _FALLBACK_HOME) / "datasets"


def is_network_error(error: BaseException | None) -> bool:
    """Return whether an error was caused by the network. Keras wraps those in plain exceptions."""
    while error is not None:
        if isinstance(error, _NETWORK_ERRORS):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def exclusive_download(name: str) -> Iterator[None]:
    """Let one process at a time load a data set or the weights of a model, and download them if they are missing."""
    with ExitStack() as stack:
        with suppress(OSError):  # nothing can be downloaded into a folder that is not writable, only read
            folder = datasets_folder()
            folder.mkdir(parents=True, exist_ok=True)
            _acquire(stack.enter_context((folder / f".{name}.lock").open("w")), name)
            stack.enter_context(_atomic_downloads())
        yield


def _acquire(lock: IO[str], name: str) -> None:
    message_at = time.monotonic() + WAITING_MESSAGE_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= message_at:
                print(f"Waiting for another job on this machine to load {name}.", flush=True)  # noqa: T201
                message_at += WAITING_MESSAGE_SECONDS
            time.sleep(_POLL_SECONDS)


@contextmanager
def _atomic_downloads() -> Iterator[None]:
    """Have Keras's downloads written aside and renamed. If loading fails, they are deleted, since they may be wrong.

    Only what was downloaded here is deleted. Keras knows no hash for some files, so other files in the folder may be
    right: on a machine without network, somebody puts them there by hand.
    """
    downloaded: list[Path] = []
    retrieve = file_utils.urlretrieve

    def retrieve_aside(url: str, target: str, *arguments: Any) -> None:
        aside = Path(f"{target}.part")  # always this name, so that it replaces what a killed process left
        downloaded.append(aside)
        retrieve(url, aside, *arguments)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        downloaded.append(aside.replace(target))

    file_utils.urlretrieve = retrieve_aside
    try:
        yield
    except BaseException:
        for path in downloaded:
            path.unlink(missing_ok=True)
        raise
    finally:
        file_utils.urlretrieve = retrieve
