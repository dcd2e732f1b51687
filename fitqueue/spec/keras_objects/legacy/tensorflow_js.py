"""The model.json of TensorFlow.js, which holds a model of Keras among other things, or none at all."""

from typing import Any

from fitqueue.spec.findings import FaultCode, Pointer


def report_tensorflow_js(model: dict[str, Any], pointer: Pointer) -> bool:
    """Report a model.json of TensorFlow.js, be it the model of a job or in place of a job. Return whether it is one."""
    if "modelTopology" not in model and "weightsManifest" not in model:
        return False
    pointer.add_fault(
        FaultCode.NOT_SUPPORTED,
        "This is the model.json of TensorFlow.js" + _advice(model.get("modelTopology")),
        received=model.get("format"),
        expected="what `to_json()` of Keras returns, as the field `model` of a job",
    )
    return True


def _advice(topology: Any) -> str:
    if isinstance(topology, dict) and isinstance(topology.get("model_config"), dict):
        return ". Send what it has under `modelTopology`, `model_config`."
    if isinstance(topology, dict) and "class_name" in topology:
        return ". Send what it has under `modelTopology`."
    return ", and it has no Keras layers that could be trained. Send the Keras model that it was made from."
