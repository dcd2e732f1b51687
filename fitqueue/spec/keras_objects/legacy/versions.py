"""What the absence of an argument meant in the version of Keras that wrote a model."""

import re
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer

# Keras 2.0 to 2.3, and tf.keras up to TensorFlow 1.12: the version of the latter ends in "-tf".
_RESET_BEFORE: Final = re.compile(r"2\.([0-3](\.\d+)*|[01](\.\d+)*-tf)")


def with_defaults_of_version(model: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return a model with the argument `reset_after` of each GRU that its version of Keras did not write.

    Keras 2 reset the state of a GRU before the matrix multiplication, Keras 3 resets it after.
    """
    version = model.get("keras_version")
    if not isinstance(version, str) or not _RESET_BEFORE.fullmatch(version):
        return model
    return {**model, "config": _with_reset_before(model.get("config"), version, pointer / "config")}


def _with_reset_before(value: Any, version: str, pointer: Pointer) -> Any:
    if isinstance(value, list):
        return [_with_reset_before(item, version, pointer / i) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    copied = {key: _with_reset_before(member, version, pointer / key) for key, member in value.items()}
    config = copied.get("config")
    if copied.get("class_name") in ("GRU", "GRUCell") and isinstance(config, dict) and "reset_after" not in config:
        config["reset_after"] = False
        pointer.add_notice(
            NoticeCode.TRANSLATED,
            f"A GRU of Keras {version} without reset_after is read with reset_after=false, as that version meant it.",
        )
    return copied
