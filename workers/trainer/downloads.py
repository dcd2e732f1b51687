"""What Keras downloads: each file once, and whole, though all jobs of a machine share the folder.

Keras writes where it reads: a process that begins while another one downloads would find half a file, and a download
that is killed leaves one.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from keras.src.backend.config import keras_home

_UNVERIFIED: Final = {"fashion_mnist": "fashion-mnist"}
"""The folder of the data set whose files Keras takes as they are. All others it compares with their hash."""


def folder_of_datasets() -> Path:
    return Path(keras_home()).expanduser() / "datasets"


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Where Keras reads this data set, or this model's weights, and perhaps downloads them first."""
    folder = folder_of_datasets()
    with ExitStack() as at_the_end:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = at_the_end.enter_context((folder / f".{name}.lock").open("w"))
        except OSError:  # Keras does without that folder, too: it has one below /tmp then
            yield
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun = folder / f".{name}.begun"
        if begun.exists() and name in _UNVERIFIED:
            shutil.rmtree(folder / _UNVERIFIED[name], ignore_errors=True)
        begun.touch()
        try:
            yield
        finally:  # what raises, Keras has removed itself
            begun.unlink(missing_ok=True)
