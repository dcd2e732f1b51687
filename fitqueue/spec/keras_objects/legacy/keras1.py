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

_CLASSES: Final = frozenset(
    {
        "Merge", "MaxoutDense", "Highway", "AtrousConvolution1D", "AtrousConvolution2D", "Deconvolution2D",
        "Deconvolution3D", "TimeDistributedDense", "LambdaMerge",
    }
)  # fmt: skip
"""Classes of layers that Keras 2 does not have."""


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
    return isinstance(layers, list) and any(isinstance(layer, dict) and _is_layer_of_keras1(layer) for layer in layers)


def _is_layer_of_keras1(layer: dict[str, Any]) -> bool:
    class_name, config = layer.get("class_name"), layer.get("config")
    if isinstance(class_name, str) and class_name in _CLASSES:
        return True
    return isinstance(config, dict) and not _ARGUMENTS.isdisjoint(config)
