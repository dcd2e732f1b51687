"""Have Keras build the parts of a job, as far as that is possible without weights."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import keras
import tensorflow as tf
from pydantic import ValidationError

from fitqueue.spec import KerasObject, PartialJob
from fitqueue.spec.checks.consistency import without_state
from fitqueue.spec.fields.partial import PartialLosses, PartialMetrics
from fitqueue.spec.findings import FaultCode, Pointer
from workers.keras_tools.adapting import assume_learned
from workers.keras_tools.callbacks import build_callback
from workers.keras_tools.compiling import build_loss, build_metrics, build_optimizer
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model
from workers.model_check.compare import BuiltMetric

Built = TypeVar("Built")

Announce = Callable[[str], None]
"""Called with the pointer of each part before Keras builds it: if the process dies, the last one is to blame."""

# Arguments of callbacks that write or that Keras cannot take as data. Such callbacks are checked without Keras.
_UNBUILDABLE: Final = {"filepath", "filename", "log_dir", "backup_dir", "schedule"}
# What Keras's error says when an object creates variables at once.
_NEEDS_WEIGHTS: Final = "while in a stateless scope"
# The pointer tells the index already, and it may be another one in the job as the user sent it.
_LAYER_INDEX: Final = re.compile(r"^layer \d+, ")


class BuiltJob:
    """What Keras has built of a job, with None for each part that it refuses.

    Attributes:
        losses: by output; under None if the job has a single loss. None as well for an output that is not trained.
        metrics: the weighted ones as well.
        initial_model: the model of the job that the initial weights come from.
    """

    def __init__(
        self, spec: PartialJob, initial_model: dict[str, Any] | None, pointer: Pointer, announce: Announce
    ) -> None:
        """Build the job, and report what Keras refuses.

        Raises:
            ModelBuildError: the model cannot be built without weights, so nothing is known about it.
        """
        self._announce = announce
        self._compiled = spec.compile
        compiled, compile_pointer = spec.compile, pointer / "compile"
        # An optimizer creates variables, which a stateless scope does not allow. In a graph they are only symbolic.
        # TensorFlow's eager runtime would take long to start, and hardly any check needs it.
        with tf.Graph().as_default():
            self._build(compile_pointer / "optimizer", build_optimizer, compiled.optimizer)
        with keras.StatelessScope(initialize_variables=False):
            self.losses = self._build_losses(compile_pointer / "loss", compiled.loss)
            self.metrics = [
                *self._build_metrics(compile_pointer / "metrics", compiled.metrics, is_weighted=False),
                *self._build_metrics(compile_pointer / "weighted_metrics", compiled.weighted_metrics, is_weighted=True),
            ]
            for i, callback in enumerate(spec.callbacks):
                self._build(pointer / "callbacks" / i, _try_callback, callback)
            self.model = self._build(pointer / "model", _build_stateless, spec.model, FaultCode.INVALID_MODEL)
            self.initial_model = _build_initial_model(initial_model)

    @property
    def has_all_losses_and_metrics(self) -> bool:
        """Whether Keras has built every loss and every metric."""
        return self._has_all_losses() and all(metric.metric is not None for metric in self.metrics)

    def _has_all_losses(self) -> bool:
        given = self._compiled.loss
        if not isinstance(given, dict):
            return self.losses[None] is not None
        built = (self.losses[name] is not None for name, of_output in given.items() if of_output is not None)
        return self._compiled.loss_is_complete and all(built)

    def _build_losses(self, pointer: Pointer, loss: PartialLosses) -> dict[str | None, Any]:
        if isinstance(loss, dict):
            return {name: self._build(pointer / name, build_loss, output_loss) for name, output_loss in loss.items()}
        return {None: self._build(pointer, build_loss, loss)}

    def _build_metrics(self, pointer: Pointer, metrics: PartialMetrics, *, is_weighted: bool) -> list[BuiltMetric]:
        by_output = metrics if isinstance(metrics, dict) else {None: metrics}
        built = []
        for output, output_metrics in by_output.items():
            output_pointer = pointer if output is None else pointer / output
            for i, metric in enumerate(output_metrics):
                keras_metric = self._build(output_pointer / i, _build_metric, metric)
                built.append(BuiltMetric(output_pointer / i, output, keras_metric, is_weighted))
        return built

    def _build(
        self,
        pointer: Pointer,
        build: Callable[[Any], Built],
        part: Any,
        code: FaultCode = FaultCode.REFUSED_BY_KERAS,
    ) -> Built | None:
        if part is None:
            return None
        self._announce(pointer.text)
        try:
            return build(part)
        except ModelBuildError as error:
            if _NEEDS_WEIGHTS in error.message:
                raise  # a limit of this check, not a fault of the job
            # If the part is one of a list, the error does not know its index there.
            text = error.pointer if error.pointer.startswith(pointer.text) else pointer.text
            Pointer(pointer.findings, text).add_fault(code, _LAYER_INDEX.sub("", error.message))
            return None


def _build_stateless(model: KerasObject) -> keras.Model:
    """Return the model with layers that keep no state: only weights can be left out, and a state exists at once."""
    return build_model(without_state(model), pretrained=False, prepare=assume_learned)


def _build_metric(metric: str | KerasObject) -> Any:
    return build_metrics([metric])[0]


def _build_initial_model(model: dict[str, Any] | None) -> keras.Model | None:
    """Return the model of an earlier job. If Keras refuses it today, that is not a fault of the job to check."""
    if model is None:
        return None
    try:
        return _build_stateless(KerasObject.model_validate(model))
    except (ModelBuildError, ValidationError):
        return None


def _try_callback(callback: KerasObject) -> None:
    if not _UNBUILDABLE & callback.config.keys():
        build_callback(callback)
