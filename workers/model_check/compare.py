"""Call Keras's losses and metrics on symbolic targets and outputs, with the shapes that they have in the first batch.

First each output is compared on its own, so that a fault gets the pointer of its loss or metric; then all outputs
together, as `fit` compares them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras.src.backend import compute_output_spec
from keras.src.trainers.compile_utils import CompileLoss, CompileMetrics

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.metrics import report_several_values
from fitqueue.spec.checks.targets import advice
from fitqueue.spec.fields.training import KerasObject, LossWeights
from fitqueue.spec.findings import FaultCode, Pointer
from workers.keras_tools.errors import keras_message
from workers.keras_tools.outputs import arrange_for_outputs, model_outputs

Key = str | None
"""The name of an output; None stands for the only one, or for all of them."""


@dataclass(frozen=True)
class BuiltMetric:
    """A metric that Keras has built.

    Attributes:
        pointer: where the job asks for it.
        metric: None if Keras refuses it.
    """

    pointer: Pointer
    output: Key
    metric: Any
    is_weighted: bool


@dataclass(frozen=True)
class CompiledParts:
    """The losses and metrics that Keras has built.

    Attributes:
        is_complete: whether Keras refused none, and all are for existing outputs.
    """

    losses: Mapping[Key, Any]
    metrics: list[BuiltMetric]
    loss_weights: LossWeights | None
    is_complete: bool


@dataclass(frozen=True)
class Batch:
    """The first batch: targets and sample weights, by the outputs that they are for."""

    size: int
    targets: Mapping[Key, ArrayInfo]
    weights: Mapping[Key, ArrayInfo]

    def symbol(self, array: ArrayInfo | None) -> keras.KerasTensor | None:
        return None if array is None else keras.KerasTensor((self.size, *array.shape[1:]), array.dtype)


class Symbols(NamedTuple):
    """What a loss compares for one output, or for all of them in the form of the outputs."""

    targets: Any
    outputs: Any
    weights: Any


class TargetComparer:
    """Reports the losses and metrics that cannot compare the targets with the outputs."""

    def __init__(
        self,
        model: keras.Model,
        compiled: CompiledParts,
        losses: Mapping[Key, str | KerasObject | None],
        pointer: Pointer,
    ) -> None:
        """Prepare to compare; `losses` are those of the job, by output."""
        self._model = model
        self._compiled = compiled
        self._losses = losses
        self._pointer = pointer
        self._outputs = model_outputs(model)

    def compare(self, batch: Batch) -> None:
        """Compare a batch."""
        faults_before = len(self._pointer.findings.faults)
        for name in self._outputs:
            if _for_output(batch.targets, name) is not None:
                self._compare_output(name, self._symbols(name, batch))
        if len(self._pointer.findings.faults) == faults_before and self._can_compare_together(batch):
            self._compare_together(batch)

    def _can_compare_together(self, batch: Batch) -> bool:
        """Return whether there are several outputs, or one with a name, and whether nothing is missing for any."""
        return (
            bool(self._outputs)
            and None not in self._outputs
            and self._compiled.is_complete
            and all(_for_output(batch.targets, name) is not None for name in self._outputs)
        )

    def _symbols(self, name: Key, batch: Batch) -> Symbols:
        output = self._outputs[name]
        return Symbols(
            batch.symbol(_for_output(batch.targets, name)),
            keras.KerasTensor((batch.size, *output.shape[1:]), output.dtype),
            batch.symbol(_for_output(batch.weights, name)),
        )

    def _compare_output(self, name: Key, symbols: Symbols) -> None:
        key = name if name in self._compiled.losses else None
        keras_loss, loss = self._compiled.losses.get(key), self._losses.get(key)
        if keras_loss is not None and loss is not None:
            pointer = self._pointer / "compile" / "loss"
            hint = advice(loss, symbols.targets.shape[1:], symbols.outputs.shape[1:])
            _report_failure(CompileLoss(keras_loss), symbols, pointer if key is None else pointer / key, hint)
        metrics = [metric for metric in self._compiled.metrics if self._is_for_output(metric, name)]
        if metrics:
            self._compare_metrics(name, metrics, symbols)

    def _compare_metrics(self, name: Key, metrics: list[BuiltMetric], symbols: Symbols) -> None:
        """Update the metrics of an output. Each call takes time, so all of them are called together first."""
        try:
            results = _output_spec(_update_function(metrics), *symbols)
        except Exception:
            for metric in metrics:
                own_symbols = symbols if metric.is_weighted else symbols._replace(weights=None)
                _report_failure(_update_function([metric]), own_symbols, metric.pointer)
            return
        prefix = f"{name}_" if len(self._outputs) > 1 else ""
        in_order = sorted(metrics, key=lambda metric: metric.is_weighted)
        for metric, (own_name, result) in zip(in_order, results.items(), strict=False):
            report_several_values(prefix + own_name, math.prod(result.shape), metric.pointer)

    def _is_for_output(self, metric: BuiltMetric, name: Key) -> bool:
        return metric.metric is not None and (metric.output in (None, name) or len(self._outputs) == 1)

    def _compare_together(self, batch: Batch) -> None:
        by_output = {str(name): self._symbols(name, batch) for name in self._outputs}
        targets, outputs, weights = (
            arrange_for_outputs(self._model, {name: symbols[i] for name, symbols in by_output.items()})
            for i in range(len(Symbols._fields))
        )
        if all(symbols.weights is None for symbols in by_output.values()):
            weights = None
        losses = self._compiled.losses
        loss = losses[None] if None in losses else dict(losses)
        function = CompileLoss(loss, self._compiled.loss_weights, output_names=self._model.output_names)
        if failure := _failure(function, targets, outputs, weights):
            message = f"Keras cannot compute the loss of all outputs together: {failure}"
            (self._pointer / "compile" / "loss").add_fault(FaultCode.BAD_TARGETS, message)


def _for_output(arrays: Mapping[Key, ArrayInfo], name: Key) -> ArrayInfo | None:
    """Return the array for this output: its own, or the one for all outputs."""
    return arrays.get(name, arrays.get(None))


def _update_function(metrics: list[BuiltMetric]) -> Callable[..., Any]:
    """Return a function that updates these metrics, and returns their results by name: the weighted ones come last."""
    plain, weighted = (
        [metric.metric for metric in metrics if metric.is_weighted is is_weighted] for is_weighted in (False, True)
    )
    compiled = CompileMetrics(plain, weighted)

    def update(targets: Any, outputs: Any, weights: Any) -> Any:
        compiled.update_state(targets, outputs, weights)
        return compiled.result()

    return update


def _report_failure(function: Callable[..., Any], symbols: Symbols, pointer: Pointer, hint: str = "") -> None:
    """Call a loss or metrics on symbols, and report it if that fails."""
    failure = _failure(function, *symbols)
    if failure is None:
        return
    targets, outputs, *weights = ([None, *symbol.shape[1:]] for symbol in symbols if symbol is not None)
    weighted = f", weighted by {_shape_text(weights[0])}," if weights else ""
    pointer.add_fault(
        FaultCode.BAD_TARGETS,
        f"It cannot compare targets of shape {_shape_text(targets)}{weighted} with outputs of shape "
        f"{_shape_text(outputs)}: {failure}{hint}",
        received=targets,
        expected=f"targets for outputs of shape {_shape_text(outputs)}",
    )


def _failure(function: Callable[..., Any], targets: Any, outputs: Any, weights: Any) -> str | None:
    """Return Keras's message if a loss or metrics cannot be called on these symbols; None if they can."""
    try:
        _output_spec(function, targets, outputs, weights)
    except Exception as error:
        return keras_message(error)
    return None


def _output_spec(function: Callable[..., Any], targets: Any, outputs: Any, weights: Any) -> Any:
    """Return symbols of what a loss or metrics give for these symbols."""
    with keras.StatelessScope(initialize_variables=False):
        return compute_output_spec(function, targets, outputs, weights)


def _shape_text(shape: list[int | None]) -> str:
    return str(shape).replace("None", "null")
