"""Models of Keras 1, whose layers had other arguments throughout."""

from typing import Any, Final

from fitqueue.spec.findings import FaultCode, Pointer

_ARGUMENTS: Final = frozenset(
    {
        "W_regularizer", "b_regularizer", "W_constraint", "b_constraint", "U_regularizer", "init", "inner_init",
        "border_mode", "subsample", "nb_filter", "nb_row", "nb_col", "dim_ordering", "dropout_W", "dropout_U",
    }
)  # fmt: skip
"""Arguments that no layer of Keras 2 has."""


def report_keras1(model: Any, pointer: Pointer) -> bool:
    """Report a model that Keras 1 wrote, once and for all. Return whether it is one."""
    if not isinstance(model, dict) or not _is_keras1(model):
        return False
    version = model.get("keras_version")
    pointer.add_fault(
        FaultCode.NOT_SUPPORTED,
        "This is a model of Keras 1, and its layers have other arguments. Load it with Keras 2 (such as 2.2.4), and "
        "send what `to_json()` returns there.",
        received=version,
        expected="a model of Keras 2 or 3",
    )
    return True


def _is_keras1(model: dict[str, Any]) -> bool:
    version = model.get("keras_version")
    if isinstance(version, str):
        return version.startswith(("0.", "1."))
    if "class_name" not in model and model.get("name") in ("Sequential", "Graph"):
        return "layers" in model or "nodes" in model  # before 0.3
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    configs = [layer.get("config") for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    return any(isinstance(each, dict) and not _ARGUMENTS.isdisjoint(each) for each in configs)
