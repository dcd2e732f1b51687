"""Check the inputs of the model against the data: shapes, values and the size of batches."""

import keras

from fitqueue.spec import PartialJob
from fitqueue.spec.checks.consistency import (
    PreparedArrays,
    check_indices,
    stateful_pointers,
    warn_about_fractions,
)
from fitqueue.spec.checks.shapes import accepts_shape
from fitqueue.spec.findings import FaultCode, Pointer
from fitqueue.spec.keras_objects.model import input_layer
from workers.model_check.array_values import JobArrays
from workers.model_check.layer_pointers import layer_pointer


def named_inputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the inputs under the names that Keras knows; empty if the model's first batch will decide them."""
    if isinstance(model, keras.Sequential):
        return named_inputs(model._functional) if model._functional is not None else {}
    if isinstance(model.input, dict):
        return dict(model.input)
    return {tensor._keras_history.operation.name: tensor for tensor in model.inputs}


def check_first_layer(model: keras.Model, spec: PartialJob, pointer: Pointer) -> None:
    """Report a Sequential that Keras would build from its first batch: checkpoints need its weights before."""
    assert spec.model is not None
    if not named_inputs(model) and spec.model.config["layers"][0]["class_name"] == "Functional":
        pointer.add_fault(
            FaultCode.NOT_SUPPORTED,
            "A Sequential that begins with a model with several inputs is not supported.",
            expected="a Functional model that has these inputs itself",
        )


def check_input_shapes(model: keras.Model, spec: PartialJob, x: PreparedArrays, pointer: Pointer) -> None:
    """Check the arrays against the shapes of the inputs that they are for."""
    assert spec.model is not None
    if input_layer(spec.model.model_dump()) is not None and None in x:
        return  # the parser has compared them, and what it found is reported
    inputs = named_inputs(model)
    for name, array in x.items():
        tensor = _input_for(name, inputs)
        if tensor is None:
            continue
        shape, sample_shape = list(tensor.shape[1:]), list(array.shape[1:])
        if not accepts_shape(shape, array.shape[1:]):
            (pointer if name is None else pointer / name).add_fault(
                FaultCode.BAD_SHAPE,
                f"The model expects samples of shape {shape}, but those of the prepared data have the shape "
                f"{sample_shape}.",
                received=sample_shape,
                expected=str(shape),
            )


def _input_for(name: str | None, inputs: dict[str, keras.KerasTensor]) -> keras.KerasTensor | None:
    """Return the input that an array is for; None if it is unknown, or if a wrong name has been reported."""
    if name is None:
        return next(iter(inputs.values())) if len(inputs) == 1 else None
    return inputs.get(name)


# --- Values --------------------------------------------------------------------------------------------------------


def check_input_values(model: keras.Model, spec: PartialJob, arrays: JobArrays, pointer: Pointer) -> None:
    """Check the values of the inputs that accept only some numbers: those of an Embedding, and integers."""
    inputs = named_inputs(model)
    for name in arrays.x:
        tensor = _input_for(name, inputs)
        if tensor is not None:
            _check_values(name, tensor, model, spec, arrays, pointer)


def _check_values(
    name: str | None,
    tensor: keras.KerasTensor,
    model: keras.Model,
    spec: PartialJob,
    arrays: JobArrays,
    pointer: Pointer,
) -> None:
    assert spec.model is not None
    embeddings = _embeddings_of(tensor)
    if not embeddings and not tensor.dtype.startswith(("int", "uint")):
        return  # reading an array takes time
    values = arrays.input_range(name)
    for layer in embeddings:
        config = layer_pointer(spec.model, model, layer.name, pointer) / "config"
        check_indices(values, layer.input_dim, config / "input_dim")
    if not embeddings:
        x_pointer = pointer / "data" / "x"
        warn_about_fractions(values, tensor.dtype, x_pointer if name is None else x_pointer / name)


def _embeddings_of(tensor: keras.KerasTensor) -> list[keras.layers.Embedding]:
    """Return the embeddings that get the values of this input unchanged."""
    layers = {id(node.operation): node.operation for node in tensor._keras_history.operation._outbound_nodes}
    return [layer for layer in layers.values() if isinstance(layer, keras.layers.Embedding)]


# --- The size of batches -------------------------------------------------------------------------------------------


def check_batch_size(model: keras.Model, spec: PartialJob, x: PreparedArrays, pointer: Pointer) -> None:
    """Check the batch size of a model with stateful layers, which accept batches of one size only."""
    assert spec.model is not None
    stateful = stateful_pointers(spec.model)
    if not stateful:
        return
    first_input = next(iter(named_inputs(model).values()), None)
    size = first_input.shape[0] if first_input is not None else None
    if size is None:
        Pointer(pointer.findings, stateful[0]).add_fault(
            FaultCode.BAD_SHAPE,
            "A stateful layer needs batches of a fixed size.",
            expected="an InputLayer with a batch_shape that begins with the batch size",
        )
    elif x and spec.fit is not None:
        samples = next(iter(x.values())).shape[0] or 0
        _check_fixed_size(size, spec.fit.batch_size, spec.fit.training_samples(samples), pointer)


def _check_fixed_size(size: int, batch_size: int, samples: int, pointer: Pointer) -> None:
    if batch_size != size or samples % size:
        pointer.add_fault(
            FaultCode.BAD_SHAPE,
            f"A stateful layer accepts only batches of {size} samples, but this job has {samples} samples in batches "
            f"of {batch_size}.",
            received=batch_size,
            expected=f"{size}, which must also divide the number of samples",
        )
