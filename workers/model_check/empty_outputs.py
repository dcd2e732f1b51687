"""Report layers that put out no values: Keras accepts them, and training dies in a crash of the process."""

import keras

from fitqueue.spec import PartialJob
from fitqueue.spec.findings import FaultCode, Pointer
from fitqueue.views import ModelSummary
from workers.model_check.layer_pointers import layer_pointer


def check_empty_outputs(model: keras.Model, summary: ModelSummary, spec: PartialJob, pointer: Pointer) -> None:
    """Report each layer with an output that has an axis of length 0."""
    assert spec.model is not None
    for layer in summary.layers:
        empty = next((shape for shape in layer.output_shapes if 0 in shape[1:]), None)
        if empty is not None:
            layer_pointer(spec.model, model, layer.name, pointer).add_fault(
                FaultCode.BAD_SHAPE,
                f"The layer {layer.name!r} puts out no values: its output has the shape {empty[1:]} for each sample.",
                received=empty[1:],
                expected="axes of at least 1",
            )
