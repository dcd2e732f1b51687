"""Check the targets against the outputs of the model, its losses and its metrics."""

from typing import Any

import keras

from fitqueue.spec import FitSpec, KerasObject, PartialJob
from fitqueue.spec.checks.consistency import PreparedArrays
from fitqueue.spec.checks.targets import Output, TargetPointers, Targets, check_targets
from fitqueue.spec.findings import FaultCode, Pointer
from workers.keras_tools.outputs import model_outputs
from workers.model_check.array_values import JobArrays
from workers.model_check.built_job import BuiltJob
from workers.model_check.class_weights import with_class_weights
from workers.model_check.compare import Batch, CompiledParts, TargetComparer
from workers.model_check.layer_pointers import width_pointer
from workers.model_check.names import has_valid_output_names

Losses = dict[str | None, str | KerasObject | None]


def check_all_targets(
    built: BuiltJob, model: keras.Model, spec: PartialJob, arrays: JobArrays, pointer: Pointer
) -> None:
    """Check the targets of each output, then all of them together as Keras compares them."""
    outputs, targets = model_outputs(model), arrays.targets()
    if isinstance(model, keras.Sequential) and outputs and len(model.outputs) > 1:
        (pointer / "model").add_fault(
            FaultCode.NOT_SUPPORTED,
            f"This Sequential has {len(model.outputs)} outputs, but they have no names to give targets to.",
            expected="a Functional model",
        )
        return
    for key, of_output in targets:
        name = next(iter(outputs), None) if key is None and len(outputs) == 1 else key
        if name in outputs:
            _check_output(key, name, of_output, model, spec, pointer)
    if targets:
        is_complete = built.has_all_losses_and_metrics and has_valid_output_names(spec)
        compiled = CompiledParts(built.losses, built.metrics, spec.compile.loss_weights, is_complete)
        comparer = TargetComparer(model, compiled, _losses_by_output(spec), pointer)
        batch = _first_batch(spec, dict(targets), arrays.weights)
        comparer.compare(with_class_weights(batch, model, spec, dict(targets), pointer))


def _check_output(
    key: str | None, name: str | None, targets: Targets, model: keras.Model, spec: PartialJob, pointer: Pointer
) -> None:
    """Check the targets of one output.

    Args:
        key: the name that the job has for the output.
        name: the name that the model has for it.
    """
    tensor, losses = model_outputs(model)[name], _losses_by_output(spec)
    output = Output(list(tensor.shape[1:]), _last_activation(tensor._keras_history.operation))
    check_targets(targets, losses.get(name, losses.get(None)), output, _pointers(key, name, spec, model, pointer))


def _losses_by_output(spec: PartialJob) -> Losses:
    loss = spec.compile.loss
    return dict(loss.items()) if isinstance(loss, dict) else {None: loss}


def _pointers(
    key: str | None, name: str | None, spec: PartialJob, model: keras.Model, pointer: Pointer
) -> TargetPointers:
    """Return where the job says something about the targets of one output."""
    assert spec.data is not None
    assert spec.model is not None
    prepare, loss = pointer / "data" / "prepare" / "y", pointer / "compile" / "loss"
    layer = model_outputs(model)[name]._keras_history.operation
    return TargetPointers(
        prepare / key if key is not None and isinstance(spec.data.prepare.y, dict) else prepare,
        loss / name if name is not None and name in _losses_by_output(spec) else loss,
        width_pointer(spec.model, model, layer.name, pointer),
    )


def _first_batch(spec: PartialJob, targets: dict[str | None, Targets], weights: PreparedArrays) -> Batch:
    arrays = {key: of_output.info for key, of_output in targets.items()}
    samples = next(iter(arrays.values())).shape[0] or 1
    fit = spec.fit or FitSpec()
    # Weights for several outputs together have one number per sample; others have been reported.
    usable = {
        key: array for key, array in weights.items() if key is not None or len(targets) == 1 or len(array.shape) == 1
    }
    return Batch(min(fit.batch_size, samples), arrays, usable)


def _last_activation(layer: Any) -> str:
    """Return the name of the last activation before an output of the model."""
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[-1]
    activation = layer if isinstance(layer, keras.layers.Softmax) else getattr(layer, "activation", None)
    return getattr(activation, "__name__", "") or (type(activation).__name__.lower() if activation else "")
