"""Names of files in callbacks: paths to folders, and file endings of Keras 2."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fitqueue.spec.filepath import is_template
from fitqueue.spec.findings import NoticeCode, Pointer, quoted

_SLASHES: Final = re.compile(r"[/\\]+")
_DEFAULT_LOG_DIR: Final = "logs"
_OLD_ENDINGS: Final = (".weights.h5", ".hdf5", ".hdf", ".h5")


def translate_file_names(class_name: str, config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return a callback's config with the names of its files as Keras 3 and the service expect them."""
    config = _without_folders(config, pointer)
    return _with_current_ending(config, pointer / "filepath") if class_name == "ModelCheckpoint" else config


def _without_folders(config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Turn paths into labels: the service keeps all files of a job, and no folders."""
    labels = dict(config)
    for argument, label_of in _LABELS.items():
        sent = config.get(argument)
        if isinstance(sent, str) and (label := label_of(sent)) != sent:
            (pointer / argument).add_notice(
                NoticeCode.TRANSLATED,
                f"{quoted(sent)} is read as {quoted(label)}: a name without folders, because the service keeps the "
                "files of a job.",
            )
            labels[argument] = label
    return labels


def _joined(path: str) -> str:
    """Return the folders and the name of a path in one name; the path itself if it has neither."""
    parts = (part.strip(" .") if part.strip(" ~.") and not part.endswith(":") else "" for part in _SLASHES.split(path))
    return "-".join(part for part in parts if part) or path


def _log_dir(path: str) -> str:
    return _DEFAULT_LOG_DIR if path and not path.strip("./\\") else _joined(path)


_LABELS: Final[Mapping[str, Callable[[str], str]]] = {
    "filepath": lambda path: path.removeprefix("./"),
    "filename": _joined,
    "log_dir": _log_dir,
}
"""What becomes of the paths in the arguments of callbacks."""


def _with_current_ending(config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Replace the ending: Keras 3 tells by it whether a file holds weights or a whole model.

    A filepath that is not a template stays as it was sent, so that the fault shows it.
    """
    filepath = config.get("filepath")
    ending = ".weights.h5" if config.get("save_weights_only") is True else ".keras"
    if not isinstance(filepath, str) or filepath.endswith(ending) or not is_template(filepath):
        return config
    old_ending = next((old for old in _OLD_ENDINGS if filepath.endswith(old)), None)
    if old_ending is None:
        return config
    pointer.add_notice(NoticeCode.TRANSLATED, f"The ending {old_ending!r} is read as {ending!r}, as in Keras 3.")
    return {**config, "filepath": filepath.removesuffix(old_ending) + ending}
