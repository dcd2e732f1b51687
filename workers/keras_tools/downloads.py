"""What Keras downloads: each file once, and whole, though all jobs of a machine share the folder.

Keras writes where it reads: a process that begins while another one downloads would find half a file, and a download
that is killed leaves one.
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

WORD_SECONDS: Final = 10.0
"""How often a process that waits says so: one that says nothing is taken for hanging, and ended."""

_OF_NETWORK: Final = (URLError, HTTPException, ConnectionError, TimeoutError)
_LOOK_SECONDS: Final = 0.1
_WITHOUT_HOME: Final = Path("/tmp/.keras")  # noqa: S108 -- Keras's choice


def folder_of_datasets() -> Path:
    """Where Keras itself looks: a home in which it may not write is none to it."""
    home = Path(keras_home()).expanduser()
    return (home if os.access(home, os.W_OK) else _WITHOUT_HOME) / "datasets"


def is_of_network(error: BaseException | None) -> bool:
    """Whether that is how it began: Keras says it in an exception of no kind of its own."""
    while error is not None:
        if isinstance(error, _OF_NETWORK):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Where Keras reads this data set, or this model's weights, and perhaps downloads them first."""
    with ExitStack() as until_the_end:
        with suppress(OSError):  # where nobody can write, nothing is downloaded: what is there can be read
            folder = folder_of_datasets()
            folder.mkdir(parents=True, exist_ok=True)
            _wait_for(until_the_end.enter_context((folder / f".{name}.lock").open("w")), name)
            until_the_end.enter_context(_appearing_whole())
        yield


def _wait_for(lock: IO[str], name: str) -> None:
    word_at = time.monotonic() + WORD_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= word_at:
                print(f"Waiting for another job of this machine, which loads {name}.", flush=True)  # noqa: T201
                word_at += WORD_SECONDS
            time.sleep(_LOOK_SECONDS)


@contextmanager
def _appearing_whole() -> Iterator[None]:
    """Keras's downloads are written aside and renamed. Those of a load that fails go: they are not what Keras expects.

    Not by a look at what lies there: Keras knows no hash of some files, and those that somebody put there by hand on a
    machine without network must not be deleted.
    """
    fetched: list[Path] = []
    retrieve = file_utils.urlretrieve

    def retrieve_aside(url: str, target: str, *arguments: Any) -> None:
        aside = Path(f"{target}.part")  # one name: what a killed process left is written over
        fetched.append(aside)
        retrieve(url, aside, *arguments)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        fetched.append(aside.replace(target))

    file_utils.urlretrieve = retrieve_aside
    try:
        yield
    except BaseException:
        for path in fetched:
            path.unlink(missing_ok=True)
        raise
    finally:
        file_utils.urlretrieve = retrieve
