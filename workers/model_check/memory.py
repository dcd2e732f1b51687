"""An estimate of the memory that training takes, computed from shapes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import keras

from fitqueue.datasets import ArrayInfo
from fitqueue.spec import FitSpec, KerasObject, PartialJob
from fitqueue.views import MemoryEstimate
from workers.model_check.activations import find_activations, find_constants
from workers.model_check.array_values import JobArrays
from workers.model_check.data_memory import data_bytes
from workers.model_check.inputs import named_inputs
from workers.model_check.sizes import value_bytes

# How many variables an optimizer keeps for each trainable weight. All others keep two.
_VARIABLES_PER_WEIGHT: Final = {"SGD": 0, "Adagrad": 1, "Adafactor": 1, "Lion": 1, "RMSprop": 1}
_DEFAULT_VARIABLES: Final = 2

_PROCESS_BYTES: Final = 64 * 1024**2
"""What TensorFlow takes in a child for a small training, with the buffers of its operations."""
_PROCESS_BYTES_PER_LAYER: Final = 1024**2
"""For the graphs of a layer, forward and backward."""
_HEAP_BYTES: Final = 32 * 1024**2
"""The C library frees the memory of larger arrays at once; that of smaller ones stays with the process."""
_PROCESS_BYTES_PER_STEP: Final = 640 * 1024
"""For the graphs of a step of a recurrent layer that is unrolled."""
_COPIES_OF_WEIGHTS: Final = 7
"""Of the weights: `best`, `last` and the snapshot that wait, the shadow model, and what is written."""
_COPIES_OF_SLOTS: Final = 1
"""Of the optimizer's variables, in a snapshot."""
_MORE_ON_HEAP: Final = (1, 3)
"""How many more copies there are of smaller weights, and of their variables in the optimizer."""
_METRIC_TENSORS: Final = 3
"""A variable of a metric, what a batch adds to it, and the result."""
_BATCHES: Final = 4
"""Batches that exist at a time: Keras prepares the next ones while it trains on one."""


def estimate(
    model: keras.Model, metrics: Sequence[Any], spec: PartialJob, arrays: JobArrays, stored: Mapping[str, ArrayInfo]
) -> MemoryEstimate:
    """Return what training takes; for what is unknown because of a fault, assume what needs the least memory.

    Args:
        metrics: the job's own, as Keras has built them: None for one that it refuses, a name for one without arguments.
        arrays: the prepared arrays.
        stored: the arrays of the data set.
    """
    fit, optimizer = spec.fit or FitSpec(batch_size=1), spec.compile.optimizer or KerasObject(class_name="SGD")
    trainable, weights = _bytes(model.trainable_weights), _bytes(model.weights)
    slots_per_weight = _variables_per_weight(optimizer)
    batch = _batch(model, arrays, fit.batch_size)
    batches = _BATCHES * sum(value_bytes(tensor) for tensor in batch)
    of_metrics = sum(_bytes(getattr(metric, "variables", ())) for metric in metrics)
    activations = find_activations(model, batch)
    parts = {
        "weights": weights,
        "gradients": trainable,
        "optimizer": slots_per_weight * trainable + _METRIC_TENSORS * of_metrics,
        "activations": batches + activations.total,
        "constants": find_constants(model),
        "data": data_bytes(spec, stored),
        "checkpoints": _checkpoint_bytes(model, slots_per_weight, _restores_best(spec)),
        "process": _PROCESS_BYTES
        + _PROCESS_BYTES_PER_LAYER * len(model._flatten_layers())
        + _PROCESS_BYTES_PER_STEP * activations.unrolled_steps,
    }
    return MemoryEstimate(**parts, total=sum(parts.values()))


def _checkpoint_bytes(model: keras.Model, slots_per_weight: int, restores_best: int) -> int:
    """Return what is copied of the weights and of the optimizer's variables, and not freed yet."""
    of_weights, of_slots = _MORE_ON_HEAP
    heap = [weight for weight in model.weights if value_bytes(weight) <= _HEAP_BYTES]
    trainable_heap = [weight for weight in model.trainable_weights if value_bytes(weight) <= _HEAP_BYTES]
    weights = (_COPIES_OF_WEIGHTS + restores_best) * _bytes(model.weights) + of_weights * _bytes(heap)
    slots = _COPIES_OF_SLOTS * _bytes(model.trainable_weights) + of_slots * _bytes(trainable_heap)
    return weights + slots_per_weight * slots


def _batch(model: keras.Model, arrays: JobArrays, size: int) -> list[keras.KerasTensor]:
    """Return the inputs of the model for one batch, with the lengths of the data where the model leaves them open."""
    by_name = named_inputs(model)
    batch = []
    for name, tensor in by_name.items():
        array = arrays.x.get(name) or (arrays.x.get(None) if len(by_name) == 1 else None)
        known = array.shape if array is not None else ()
        samples = min(size, known[0] or size) if known else size
        batch.append(keras.KerasTensor((samples, *_lengths(tensor.shape[1:], known[1:])), tensor.dtype))
    return batch


def _lengths(shape: Sequence[int | None], known: Sequence[int | None]) -> list[int]:
    found = known if len(known) == len(shape) else [None] * len(shape)
    return [length or other or 1 for length, other in zip(shape, found, strict=True)]


def _restores_best(spec: PartialJob) -> int:
    """Return how many callbacks keep a copy of the weights."""
    callbacks = [callback for callback in spec.callbacks if callback is not None]
    return sum(
        callback.class_name == "SwapEMAWeights" or bool(callback.config.get("restore_best_weights"))
        for callback in callbacks
    )


def _variables_per_weight(optimizer: KerasObject) -> int:
    """Return how many variables the optimizer keeps for each trainable weight."""
    config = optimizer.config
    inner = config.get("inner_optimizer")
    if isinstance(inner, dict):
        return _variables_per_weight(KerasObject.model_validate(inner))
    extra = sum(bool(config.get(name)) for name in ("use_ema", "gradient_accumulation_steps", "amsgrad", "centered"))
    momentum = bool(config.get("momentum")) if optimizer.class_name in ("SGD", "RMSprop") else 0
    return _VARIABLES_PER_WEIGHT.get(optimizer.class_name, _DEFAULT_VARIABLES) + extra + momentum


def _bytes(weights: Iterable[Any]) -> int:
    return sum(value_bytes(weight) for weight in weights)
