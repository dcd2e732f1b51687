"""Files that callbacks of a job write beside its weights: kept in the work directory, and announced when it ends."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import keras

from fitqueue.reports import ArtifactWritten, Message
from fitqueue.spec import KerasObject
from workers.keras_tools.build import callback_arguments
from workers.trainer.checkpoints import CheckpointFailed, flushed

WRITERS: Final = frozenset({"CSVLogger", "TensorBoard"})


class Artifacts:
    """Makes the callbacks that write. The names they give are labels: no file is opened under them."""

    def __init__(self, directory: Path, emit: Callable[[Message], None]) -> None:
        self._directory = directory
        self._emit = emit
        self._written: list[tuple[keras.callbacks.Callback, str, Path]] = []

    def callback(self, spec: KerasObject) -> keras.callbacks.Callback:
        arguments = callback_arguments(spec)
        path = self._directory / f"artifact-{len(self._written)}"
        if spec.class_name == "CSVLogger":
            name = arguments["filename"]
            made = keras.callbacks.CSVLogger(**arguments | {"filename": str(path)})
        else:
            name = f"{arguments['log_dir']}.zip"
            made = keras.callbacks.TensorBoard(**arguments | {"log_dir": str(path)})
        self._written.append((made, name, path))
        return made

    def files(self) -> dict[str, bytes]:
        """All that the callbacks have written until now, by paths in the work directory."""
        for callback, _, _ in self._written:
            for writer in getattr(callback, "_writers", {}).values():  # TensorBoard's; a CSVLogger flushes each line
                writer.flush()
        roots = [path for _, _, path in self._written]
        paths = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
        return {str(path.relative_to(self._directory)): path.read_bytes() for path in paths if path.is_file()}

    def restore(self, files: Mapping[str, bytes]) -> None:
        """To be called before the callbacks begin, which then go on in these files, or beside them."""
        for name, content in files.items():
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for callback, _, _ in self._written:
            callback.append = True  # a CSVLogger's

    def announce(self, *, ended: bool) -> None:
        """Tell the worker of the files. Where the training was left and has not `ended`, Keras closed none of them.

        Raises:
            CheckpointFailed: one cannot be written whole.
        """
        for callback, name, path in self._written:
            if not ended:
                with suppress(Exception):  # what was not begun cannot be closed
                    callback.on_train_end()
            if path.exists():
                self._announce(name, path)

    def _announce(self, name: str, path: Path) -> None:
        try:
            if path.is_dir():
                path = Path(shutil.make_archive(str(path), "zip", path))
            size, sha256 = flushed(path)
        except OSError as error:
            raise CheckpointFailed(f"The artifact {name!r} could not be written: {error}") from error
        self._emit(ArtifactWritten(file=path.name, name=name, size=size, sha256=sha256))
