"""Class weights as sample weights: each label in the targets gets the weight of its class.

For a single output with one label in each sample, this is what Keras makes of `class_weight`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
import numpy as np

from fitqueue.spec import JobSpec, KerasObject
from fitqueue.spec.fields.class_weight import (
    OutputClassWeight,
    Shape,
    aligned,
    class_weight_of,
    has_class_axis,
    label_shape,
    separated,
)
from workers.keras_tools.npz import Array, DataError
from workers.keras_tools.outputs import model_outputs
from workers.trainer.data import Samples

Weights = Mapping[int, float]
"""The weights of classes by label."""

_CHUNK_VALUES: Final = 4_000_000


def with_class_weights(model: keras.Model, samples: Samples, spec: JobSpec) -> Samples:
    """Return the samples with their class weights as sample weights, multiplied with those that they have already.

    Raises:
        DataError: the sample weights of an output do not match its labels.
    """
    if not isinstance(samples.y, dict):
        assert not isinstance(samples.y, list)  # targets are arranged in the order of the outputs later
        targets, weights = _weighted(None, samples.y, samples.weights, model, spec)
        return Samples(samples.x, targets, weights)
    targets_by_name, weights_by_name = {}, {}
    for name, targets in samples.y.items():
        own = samples.weights.get(name) if isinstance(samples.weights, dict) else samples.weights
        targets_by_name[name], weights = _weighted(name, targets, own, model, spec)
        if weights is not None:
            weights_by_name[name] = weights
    return Samples(samples.x, targets_by_name, weights_by_name or None)


def _weighted(
    name: str | None, targets: Array, sample_weights: Any, model: keras.Model, spec: JobSpec
) -> tuple[Array, Array | None]:
    """Return the targets of an output in the shape that is needed for weights, and these weights."""
    class_weight = class_weight_of(spec.fit.class_weight, name)
    if class_weight is None:
        return targets, sample_weights
    output, sample = _output_shape(model, name), targets.shape[1:]
    classes = _Classes(targets, has_class_axis=has_class_axis(sample, output))
    weights = classes.weights(class_weight, _ignored_class(spec.compile.loss, name))
    weights = weights.reshape((len(targets), *label_shape(sample, output)))
    if sample_weights is not None:
        weights = _product(sample_weights, weights)
    return _reshaped(targets, separated(sample, output)), weights


def _output_shape(model: keras.Model, name: str | None) -> Shape:
    outputs = model_outputs(model)
    return list((outputs[name] if name in outputs else next(iter(outputs.values()))).shape[1:])


def _product(sample_weights: Array, weights: Array) -> Array:
    of_samples, of_labels = aligned(sample_weights.shape[1:], weights.shape[1:])
    try:
        product = _reshaped(sample_weights, of_samples) * _reshaped(weights, of_labels)
        return np.asarray(product, dtype=keras.config.floatx())
    except ValueError as error:
        raise DataError(f"The sample weights do not match the labels that have class weights: {error}") from error


def _reshaped(array: Array, sample: Shape) -> Array:
    """Return the array with samples of this shape."""
    return array.reshape((len(array), *(length for length in sample if length is not None)))


def _ignored_class(loss: Any, output: str | None) -> int | None:
    """Return the label that the loss of an output ignores."""
    if isinstance(loss, dict):
        loss = loss.get(output) if output is not None else next(iter(loss.values()))
    return loss.config.get("ignore_class") if isinstance(loss, KerasObject) else None


class _Classes:
    """The classes in the targets of one output."""

    def __init__(self, targets: Array, *, has_class_axis: bool) -> None:
        width = targets.shape[-1] if has_class_axis else 1
        self._is_wide = width > 1
        self._targets = targets.reshape((-1, width)) if self._is_wide else targets.reshape(-1)
        self._has_several = self._is_wide and _is_zero_or_one(self._targets)

    def weights(self, class_weight: OutputClassWeight, ignored: int | None) -> Array:
        """Return the weight of each label, or of each row of classes."""
        if isinstance(class_weight, str):
            by_label = self._balanced(ignored)
        else:
            by_label = {int(label): weight for label, weight in class_weight.items()}
        weights = np.ones(len(self._targets), dtype=keras.config.floatx())
        for chunk in _chunks(self._targets):
            values = self._targets[chunk]
            weights[chunk] = (
                _mean_weights(values, by_label) if self._has_several else _look_up(_labels(values), by_label)
            )
        return weights

    def _balanced(self, ignored: int | None) -> Weights:
        """Return weights with which all classes count the same: labels / (classes × labels of the class)."""
        counts: Counter[int] = Counter()
        for chunk in _chunks(self._targets):
            values = self._targets[chunk]
            labels = np.nonzero(values)[1] if self._has_several else _labels(values)
            counts.update(dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True)))
        if ignored is not None:
            counts.pop(ignored, None)
        total = counts.total()
        return {label: total / (len(counts) * count) for label, count in counts.items()}


def _chunks(targets: Array) -> Iterator[slice]:
    step = max(1, _CHUNK_VALUES * len(targets) // max(1, targets.size))
    return (slice(start, start + step) for start in range(0, len(targets), step))


def _is_zero_or_one(rows: Array) -> bool:
    return all(bool(((rows[chunk] == 0) | (rows[chunk] == 1)).all()) for chunk in _chunks(rows))


def _labels(values: Array) -> Array:
    """Return the label of each target as Keras does: the class with the highest number, or the rounded label."""
    if values.ndim > 1:
        values = values.argmax(axis=-1)
    return (np.round(values) if values.dtype.kind == "f" else values).astype("int64")


def _look_up(labels: Array, weights: Weights) -> Array:
    if not weights:
        return np.ones(len(labels))
    known = np.array(sorted(weights), dtype="int64")
    index = np.searchsorted(known, labels).clip(max=len(known) - 1)
    values = np.array([weights[int(label)] for label in known], dtype=keras.config.floatx())
    return np.asarray(np.where(known[index] == labels, values[index], values.dtype.type(1.0)))


def _mean_weights(rows: Array, weights: Weights) -> Array:
    """Return the mean weight of the classes of each row; 1 for a row without classes."""
    values = np.array([weights.get(label, 1.0) for label in range(rows.shape[1])])
    rows = rows.astype("float64")
    counts = rows.sum(axis=1)
    return np.where(counts > 0, rows @ values / np.maximum(counts, 1), 1.0)
