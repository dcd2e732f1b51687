"""Check the class weights of each output, and add what becomes of them to the first batch."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from fitqueue.datasets import ArrayInfo
from fitqueue.spec import PartialJob
from fitqueue.spec.checks.class_weights import check_classes, check_product
from fitqueue.spec.checks.targets import Targets
from fitqueue.spec.fields.class_weight import class_weight_of, is_by_output, separated
from fitqueue.spec.findings import Pointer
from workers.keras_tools.outputs import model_outputs
from workers.model_check.compare import Batch


def with_class_weights(
    batch: Batch, model: keras.Model, spec: PartialJob, targets: Mapping[str | None, Targets], pointer: Pointer
) -> Batch:
    """Return the batch as training sees it, in which the class weights are part of the sample weights.

    Args:
        targets: the targets by output; a single array is under None.
    """
    class_weight = spec.fit.class_weight if spec.fit is not None else None
    if class_weight is None:
        return batch
    pointer = pointer / "fit" / "class_weight"
    new_targets, new_weights = dict(batch.targets), dict(batch.weights)
    for key, of_output in targets.items():
        output = _output_shape(model, key)
        weights = class_weight_of(class_weight, key)
        if output is None or weights is None:
            continue
        check_classes(weights, of_output, output, _pointer_to(class_weight, key, pointer))
        sample_weights = batch.weights.get(key, batch.weights.get(None))
        own = sample_weights.shape[1:] if sample_weights is not None else ()
        samples, dtype = of_output.info.shape[0], of_output.info.dtype
        new_targets[key] = ArrayInfo((samples, *separated(of_output.shape, output)), dtype)
        if (product := check_product(own, of_output, output, pointer)) is not None:
            new_weights[key] = ArrayInfo((samples, *product), "float32")
        else:
            new_weights.pop(key, None)
    return dataclasses.replace(batch, targets=new_targets, weights=new_weights)


def _output_shape(model: keras.Model, key: str | None) -> list[int | None] | None:
    """Return the shape of the output that the targets under this key are for; None if there is none."""
    outputs = model_outputs(model)
    if key is None and len(outputs) == 1:
        key = next(iter(outputs))
    return list(outputs[key].shape[1:]) if key in outputs else None


def _pointer_to(class_weight: Any, key: str | None, pointer: Pointer) -> Pointer:
    """Return where the job gives the class weights of an output."""
    if not is_by_output(class_weight):
        return pointer
    return pointer / (key if key is not None else next(iter(class_weight)))
