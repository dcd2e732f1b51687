"""Names of files in callbacks: paths in the current folder, and file endings of Keras 2."""

from typing import Any, Final

from fitqueue.spec.filepath import is_template
from fitqueue.spec.findings import NoticeCode, Pointer, quoted

_OLD_ENDINGS: Final = (".weights.h5", ".hdf5", ".hdf", ".h5")


def translate_file_names(class_name: str, config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return a callback's config with the names of its files as Keras 3 and the service expect them."""
    config = _without_current_folder(config, pointer)
    return _with_current_ending(config, pointer / "filepath") if class_name == "ModelCheckpoint" else config


def _without_current_folder(config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Strip `./`: all files of a job are in one folder of its own."""
    stripped = dict(config)
    for argument in ("filepath", "filename", "log_dir"):
        sent = config.get(argument)
        if not isinstance(sent, str):
            continue
        name = sent.removeprefix("./")
        name = name.removesuffix("/") if argument == "log_dir" else name
        if name != sent:
            (pointer / argument).add_notice(NoticeCode.TRANSLATED, f"{quoted(sent)} is read as {quoted(name)}.")
            stripped[argument] = name
    return stripped


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
