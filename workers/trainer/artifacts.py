"""The files that callbacks of a job write beside its weights. They are reported when training ends."""

import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras

from fitqueue.reports import ArtifactWritten, Message
from fitqueue.spec import KerasObject
from fitqueue.text import csv_heading
from workers.keras_tools.callbacks import callback_arguments
from workers.trainer.checkpoints import WriteFailed, flush_and_hash, is_caused_by_disk

WRITING_CALLBACKS: Final = frozenset({"CSVLogger", "TensorBoard"})


class _CSVLogger(keras.callbacks.CSVLogger):  # type: ignore[misc] # Keras has no types
    """Keras's own, except that a spreadsheet does not take the name of a metric for a formula."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, {csv_heading(name): value for name, value in (logs or {}).items()})


class ArtifactsTooLarge(Exception):
    """The callbacks of the job have written more than the service keeps. The message is a sentence for people."""


class _Artifact(NamedTuple):
    """A file or folder that a callback writes."""

    callback: keras.callbacks.Callback
    name: str
    """What users call it."""
    path: Path


class Artifacts:
    """Creates the callbacks that write files, and keeps track of the files.

    A name in the job is only a label: no file is opened under it.
    """

    def __init__(self, directory: Path, emit: Callable[[Message], None], max_bytes: float = math.inf) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._emit = emit
        self._artifacts: list[_Artifact] = []

    def make_callback(self, spec: KerasObject) -> keras.callbacks.Callback:
        """Return the callback, one of WRITING_CALLBACKS; it writes into the work directory."""
        arguments = callback_arguments(spec)
        path = self._directory / f"artifact-{len(self._artifacts)}"
        if spec.class_name == "CSVLogger":
            name = arguments["filename"]
            callback = _CSVLogger(**arguments | {"filename": str(path)})
        else:
            name = f"{arguments['log_dir']}.zip"
            callback = keras.callbacks.TensorBoard(**arguments | {"log_dir": str(path)})
        self._artifacts.append(_Artifact(callback, name, path))
        return callback

    def read_files(self) -> dict[str, bytes]:
        """Return everything that the callbacks have written so far, by paths relative to the work directory.

        Raises:
            ArtifactsTooLarge: it is more than the service keeps.
        """
        for artifact in self._artifacts:
            # TensorBoard has writers that buffer; a CSVLogger flushes every line.
            for writer in getattr(artifact.callback, "_writers", {}).values():
                writer.flush()
        self._check_size()
        paths = [path for artifact in self._artifacts for path in _paths_at(artifact.path)]
        return {str(path.relative_to(self._directory)): path.read_bytes() for path in paths if path.is_file()}

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Put files of an earlier attempt back. Call it before `fit`, so that the callbacks continue them."""
        for name, content in files.items():
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for artifact in self._artifacts:
            artifact.callback.append = True  # makes a CSVLogger continue its file

    def report(self, *, fit_is_complete: bool) -> None:
        """Report the files to the worker, once training has ended.

        Args:
            fit_is_complete: whether Keras has reached the end of `fit` and closed the files.

        Raises:
            WriteFailed: a file cannot be written completely.
            ArtifactsTooLarge: they are larger than the service keeps.
        """
        for artifact in self._artifacts:
            if not fit_is_complete:
                with suppress(Exception):  # a callback that was never started cannot be closed
                    artifact.callback.on_train_end()
        self._check_size()
        for artifact in self._artifacts:
            if artifact.path.exists():
                self._report(artifact)

    def _check_size(self) -> None:
        paths = [path for artifact in self._artifacts for path in _paths_at(artifact.path)]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        if size > self._max_bytes:
            names = ", ".join(repr(artifact.name) for artifact in self._artifacts)
            raise ArtifactsTooLarge(
                f"The artifacts of the job ({names}) have {size:,} bytes, and this service keeps "
                f"{self._max_bytes:,.0f} of a job (FITQUEUE_MAX_ARTIFACT_BYTES); they were not stored."
            )

    def _report(self, artifact: _Artifact) -> None:
        path = artifact.path
        try:
            if path.is_dir():
                path = Path(shutil.make_archive(str(path), "zip", path))
            size, sha256 = flush_and_hash(path)
        except OSError as error:
            message = f"The artifact {artifact.name!r} could not be written: {error}"
            raise WriteFailed(message, is_outage=is_caused_by_disk(error, path.parent)) from error
        self._emit(ArtifactWritten(file=path.name, name=artifact.name, size=size, sha256=sha256))


def _paths_at(path: Path) -> list[Path]:
    """Return the path itself if it is a file, else everything below it, in order."""
    return [path] if path.is_file() else sorted(path.rglob("*"))
