"""Let Keras's loss and metrics see targets and outputs as symbols, as they do at the first batch.

First one output at a time, so that a fault has its place; then all losses together, as `fit` has them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.backend import compute_output_spec
from keras.src.trainers.compile_utils import CompileLoss, CompileMetrics

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.targets import advice
from fitqueue.spec.report import FaultCode, Pointer
from fitqueue.spec.training import KerasObject, LossWeights
from workers.keras_tools.objects import keras_words
from workers.keras_tools.outputs import arrange_for_outputs, model_outputs

Key = str | None
"""The name of an output; None: the only one, or all of them."""


@dataclass(frozen=True)
class Metric:
    """A metric that Keras made, and where the job asks for it."""

    pointer: str
    output: Key
    made: Any
    weighted: bool


@dataclass(frozen=True)
class Compiled:
    """What Keras made of the job's losses and metrics; without those that it refused."""

    losses: Mapping[Key, Any]
    metrics: list[Metric]
    loss_weights: LossWeights | None
    is_sound: bool
    """Whether none was refused, and all have names that the model's outputs have."""


@dataclass(frozen=True)
class Batch:
    """The first batch: targets and weights of samples, under the names of the outputs they are for."""

    size: int
    targets: Mapping[Key, ArrayInfo]
    weights: Mapping[Key, ArrayInfo]

    def symbol(self, array: ArrayInfo | None) -> keras.KerasTensor | None:
        return None if array is None else keras.KerasTensor((self.size, *array.shape[1:]), array.dtype)


Symbols = tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor | None]


class TargetComparer:
    def __init__(
        self, model: keras.Model, compiled: Compiled, asked: Mapping[Key, str | KerasObject | None], at: Pointer
    ) -> None:
        """`asked`: the losses as the job says them."""
        self._model = model
        self._compiled = compiled
        self._asked = asked
        self._at = at
        self._outputs = model_outputs(model)

    def compare(self, batch: Batch) -> None:
        known = len(self._at.report.faults)
        for name in self._outputs:
            if _of(batch.targets, name) is not None:
                self._compare_one(name, self._symbols(name, batch))
        complete = all(_of(batch.targets, name) is not None for name in self._outputs)
        if (
            self._outputs
            and None not in self._outputs
            and complete
            and self._compiled.is_sound
            and len(self._at.report.faults) == known
        ):
            self._compare_all(batch)

    def _symbols(self, name: Key, batch: Batch) -> Symbols:
        output = self._outputs[name]
        targets, weights = batch.symbol(_of(batch.targets, name)), batch.symbol(_of(batch.weights, name))
        return targets, keras.KerasTensor((batch.size, *output.shape[1:]), output.dtype), weights

    def _compare_one(self, name: Key, symbols: Symbols) -> None:
        key = name if name in self._compiled.losses else None
        loss, asked = self._compiled.losses.get(key), self._asked.get(key)
        if loss is not None and asked is not None:
            here = self._at / "compile" / "loss"
            hint = advice(asked, symbols[0].shape[1:], symbols[1].shape[1:])
            _see(CompileLoss(loss), symbols, here if key is None else here / key, hint)
        wanted = [metric for metric in self._compiled.metrics if metric.made is not None and self._is_of(metric, name)]
        # Each trace takes time, so one for all of them comes first.
        if wanted and _problem(_judging(wanted), *symbols) is not None:
            for metric in wanted:
                here = Pointer(self._at.report, metric.pointer)
                _see(_judging([metric]), symbols if metric.weighted else symbols[:2], here)

    def _is_of(self, metric: Metric, name: Key) -> bool:
        return metric.output in (None, name) or len(self._outputs) == 1

    def _compare_all(self, batch: Batch) -> None:
        symbols = {name: self._symbols(name, batch) for name in self._outputs}
        whole = [
            arrange_for_outputs(self._model, {str(name): each[i] for name, each in symbols.items()}) for i in range(3)
        ]
        if all(each[2] is None for each in symbols.values()):
            whole[2] = None
        losses = self._compiled.losses
        loss = losses[None] if None in losses else dict(losses)
        judge = CompileLoss(loss, self._compiled.loss_weights, output_names=self._model.output_names)
        if problem := _problem(judge, *whole):
            (self._at / "compile" / "loss").add_fault(FaultCode.BAD_TARGETS, f"It does not fit the outputs: {problem}")


def _of(values: Mapping[Key, ArrayInfo], name: Key) -> ArrayInfo | None:
    """What there is for this output, or for all of them."""
    return values.get(name, values.get(None))


def _judging(metrics: list[Metric]) -> Callable[..., Any]:
    plain, weighted = ([one.made for one in metrics if one.weighted is kind] for kind in (False, True))
    update: Callable[..., Any] = CompileMetrics(plain, weighted).update_state
    return update


def _see(judge: Callable[..., Any], symbols: tuple[Any, ...], at: Pointer, hint: str = "") -> None:
    problem = _problem(judge, *symbols)
    if problem is None:
        return
    targets, outputs, *weights = ([None, *symbol.shape[1:]] for symbol in symbols if symbol is not None)
    weighted = f", weighted by {_shown(weights[0])}," if weights else ""
    at.add_fault(
        FaultCode.BAD_TARGETS,
        f"It cannot compare targets of shape {_shown(targets)}{weighted} with outputs of shape {_shown(outputs)}: "
        f"{problem}{hint}",
        received=targets,
        expected=f"targets that fit outputs of shape {_shown(outputs)}",
    )


def _problem(judge: Callable[..., Any], *symbols: Any) -> str | None:
    """Keras's words where it cannot compare these."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            compute_output_spec(judge, *symbols)
    except Exception as error:
        return keras_words(error)
    return None


def _shown(shape: list[int | None]) -> str:
    return str(shape).replace("None", "null")
