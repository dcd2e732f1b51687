"""Files that look like a model of Keras and cannot be read as one: each gets one fault, which says what to do."""

from collections.abc import Iterator
from typing import Any, Final

from fitqueue.spec.report import FaultCode, Pointer, quoted

# Arguments of Keras 1 that no layer has had since. Two of them in one layer are no mistake in spelling.
_KERAS_1_ARGUMENTS: Final = frozenset(
    {
        "W_regularizer", "b_regularizer", "U_regularizer", "W_constraint", "b_constraint", "init", "inner_init",
        "inner_activation", "dropout_W", "dropout_U", "nb_filter", "nb_row", "nb_col", "filter_length", "border_mode",
        "subsample", "dim_ordering", "input_dtype", "output_dim", "bias", "consume_less",
    }
)  # fmt: skip


def report_foreign_file(model: dict[str, Any], pointer: Pointer) -> bool:
    """Report a model of Keras 1 or a model.json of TensorFlow.js. Return whether it is one."""
    for message in (_tensorflow_js(model), _keras_1(model)):
        if message is not None:
            received = model.get("keras_version", model.get("format"))
            pointer.add_fault(FaultCode.NOT_SUPPORTED, message, received, "what to_json() of Keras 2 or 3 returns")
            return True
    return False


def _tensorflow_js(model: dict[str, Any]) -> str | None:
    if "modelTopology" not in model and "weightsManifest" not in model:
        return None
    topology = model.get("modelTopology")
    name = "This is the model.json of TensorFlow.js"
    if not isinstance(topology, dict):
        return f"{name}, and has no model in it. Send the Keras model that it was made from."
    if isinstance(topology.get("model_config"), dict):
        return f"{name}. Send what it has under modelTopology, model_config."
    if "class_name" in topology:
        return f"{name}. Send what it has under modelTopology."
    return f"{name}, a graph without Keras layers, which cannot be trained. Send the Keras model that it was made from."


def _keras_1(model: dict[str, Any]) -> str | None:
    version = model.get("keras_version")
    is_old_version = isinstance(version, str) and version.startswith(("0.", "1."))
    # Before 0.3, a model had no class_name, but a name and layers.
    has_no_class = "class_name" not in model and model.get("name") in ("Sequential", "Graph") and "config" not in model
    if not is_old_version and not has_no_class and (version is not None or not _has_keras_1_layer(model)):
        return None
    shown = f" ({quoted(version)})" if isinstance(version, str) else ""
    return (
        f"This is a model of Keras 1{shown}, whose layers have other arguments. Load it with a Keras from 2.0 to 2.3, "
        "which still reads such files, and send what its to_json() returns."
    )


def _has_keras_1_layer(model: dict[str, Any]) -> bool:
    return any(len(_KERAS_1_ARGUMENTS & layer.keys()) >= 2 for layer in _layer_configs(model.get("config")))


def _layer_configs(config: Any) -> Iterator[dict[str, Any]]:
    layers = config.get("layers") if isinstance(config, dict) else config
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict):
            yield layer["config"]
