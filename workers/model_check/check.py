"""The check of a job that needs Keras: its model is built, without a weight, and compared with the rest of the job.

Keras is the judge: its layers find their shapes, and its loss and metrics are called on symbols that have the shapes
of the first batch. What Keras lets pass though it goes wrong later is in `fitqueue/spec/checks/consistency.py` and `targets.py`.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import keras
import tensorflow as tf
from pydantic import ValidationError

from fitqueue.datasets import ArrayInfo
from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.spec import FitSpec, KerasObject, PartialJob
from fitqueue.spec.checks import consistency, named_outputs
from fitqueue.spec.checks.consistency import PreparedArrays
from fitqueue.spec.checks.ranges import Range, ranges_before
from fitqueue.spec.checks.shapes import accepts_shape
from fitqueue.spec.checks.targets import Output, TargetPointers, Targets, check_class_weight, check_targets
from fitqueue.spec.data import array_refs
from fitqueue.spec.keras_objects.model import input_layer
from fitqueue.spec.partial import PartialLosses, PartialMetrics
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, Report, TooManyFaults, listed
from fitqueue.views import ModelSummary
from workers.keras_tools.build import build_callback, build_loss, build_metrics, build_model, build_optimizer
from workers.keras_tools.objects import ModelBuildError
from workers.keras_tools.outputs import model_outputs
from workers.model_check.array_values import Known
from workers.model_check.compare import Batch, Compiled, Metric, TargetComparer
from workers.model_check.layer_pointers import layer_pointer, width_pointer
from workers.model_check.summary import summarize
from workers.model_check.weight_shapes import stored_shapes

Made = TypeVar("Made")

GIB: Final = 1024**3

# Arguments of callbacks that write: Keras must not make those here, and what they name is checked without it.
_WRITERS: Final = {"filepath", "filename", "log_dir", "backup_dir", "schedule"}


Say = Callable[[str], None]


def check(check_request: ModelCheckRequest, say: Say) -> ModelCheckResult:
    """What is wrong with the job, and the summary of its model if it can be built.

    To be called in a process of its own that has its limits: a model can be made to take any time and memory. `say`
    is told the pointer of each thing before it is made: the last one is that of which the process died.
    """
    spec = PartialJob.model_validate(check_request.spec)
    report = Report()
    summary = None
    with suppress(TooManyFaults):
        at = Pointer(report)
        made = _Made(spec, check_request.initial_model, at, say)
        arrays = _Arrays(spec, check_request)
        consistency.check_fit(spec, arrays.x, at)
        consistency.check_devices(spec, at)
        if made.model is None:
            return ModelCheckResult(faults=report.faults, notices=report.notices)
        # What is not known yet of a faulty job takes the least memory.
        fit, optimizer = spec.fit or FitSpec(batch_size=1), spec.compile.optimizer or KerasObject(class_name="SGD")
        summary = summarize(made.model, optimizer, fit.batch_size)
        if _is_bearable(summary, check_request.max_bytes, at):
            _check_with_model(made, made.model, spec, arrays, at)
    return ModelCheckResult(faults=report.faults, notices=report.notices, summary=summary)


def _check_with_model(made: "_Made", model: keras.Model, spec: PartialJob, arrays: "_Arrays", at: Pointer) -> None:
    _check_front(model, spec, at / "model" / "config" / "layers" / 0)
    _check_names(model, spec, at)
    consistency.check_text(arrays.x, at / "data" / "x")
    consistency.check_text(arrays.y, at / "data" / "y")
    inputs = _named_inputs(model)
    _check_inputs(inputs, spec, arrays.x, at / "data" / "x")
    _check_values(model, inputs, spec, arrays, at)
    if spec.model_is_complete:
        _check_state(model, spec, arrays.x, at / "fit" / "batch_size")
        _check_targets(made, model, spec, arrays, at)
        _check_initial_weights(made, model, at / "initial_weights" / "job")


class _Arrays:
    """The job's arrays as training sees them, and what is known of their values."""

    def __init__(self, spec: PartialJob, check_request: ModelCheckRequest) -> None:
        data = spec.data
        self.known = Known(data, check_request)
        self._inputs = array_refs(data.x, data.prepare.x) if data is not None else []
        self._targets = array_refs(data.y, data.prepare.y) if data is not None else []
        weights = array_refs(data.sample_weight) if data is not None else []
        self.x = consistency.prepare_arrays(self._inputs, check_request.arrays)
        self.y = consistency.prepare_arrays(self._targets, check_request.arrays)
        self.weights = consistency.prepare_arrays(weights, check_request.arrays)

    def values(self, key: str | None) -> Range | None:
        """Between which numbers an input's prepared values lie."""
        [part] = [part for part in self._inputs if part.key == key]
        return ranges_before(self.known.inputs(part), part.steps)[-1]

    def targets(self) -> list[tuple[str | None, Targets]]:
        sound = [part for part in self._targets if part.key in self.y and self.y[part.key].dtype != "str"]
        return [(part.key, Targets(self.y[part.key], part.steps, self.known.targets(part))) for part in sound]


class _Made:
    """What Keras made of the job; None for what it refused."""

    def __init__(self, spec: PartialJob, initial: dict[str, Any] | None, at: Pointer, say: Say) -> None:
        self._at = at
        self._say = say
        compiled = spec.compile
        # An optimizer has numbers of its own from the start, for which the scope below has no room. In a graph they
        # are named and not made: TensorFlow's eager runtime, which hardly any check needs, takes long to start.
        with tf.Graph().as_default():
            self._make("/compile/optimizer", build_optimizer, compiled.optimizer)
        with keras.StatelessScope(initialize_variables=False):
            self.losses = self._make_losses(compiled.loss)
            metrics = self._make_metrics("metrics", compiled.metrics)
            self.metrics = [*metrics, *self._make_metrics("weighted_metrics", compiled.weighted_metrics)]
            for i, callback in enumerate(spec.callbacks):
                self._make(f"/callbacks/{i}", _try_callback, callback)
            self.model = self._make("/model", _built, spec.model, FaultCode.INVALID_MODEL)
            self.initial = _built_before(initial)

    def compiled(self, spec: PartialJob) -> Compiled:
        made = [*self.losses.values(), *(metric.made for metric in self.metrics)]
        is_sound = all(one is not None for one in made) and _names_are_sound(spec)
        return Compiled(self.losses, self.metrics, spec.compile.loss_weights, is_sound)

    def _make_losses(self, loss: PartialLosses) -> dict[str | None, Any]:
        if isinstance(loss, dict):
            return {name: self._make(f"/compile/loss/{name}", build_loss, one) for name, one in loss.items()}
        return {None: self._make("/compile/loss", build_loss, loss)}

    def _make_metrics(self, field: str, metrics: PartialMetrics) -> list[Metric]:
        by_output = metrics if isinstance(metrics, dict) else {None: metrics}
        found = []
        for output, some in by_output.items():
            pointer = f"/compile/{field}" + (f"/{output}" if output is not None else "")
            for i, one in enumerate(some):
                made = self._make(f"{pointer}/{i}", _build_metric, one)
                found.append(Metric(f"{pointer}/{i}", output, made, field == "weighted_metrics"))
        return found

    def _make(
        self,
        pointer: str,
        make: Callable[[Any], Made],
        item: Any,
        code: FaultCode = FaultCode.REFUSED_BY_KERAS,
    ) -> Made | None:
        if item is None:
            return None
        self._say(pointer)
        try:
            return make(item)
        except ModelBuildError as error:
            if _NO_ROOM in error.message:
                raise  # a fault of this check's, not of the job: nothing is known of the model then
            # What is made as one of a list does not know its place there.
            here = error.pointer if error.pointer.startswith(pointer) else pointer
            Pointer(self._at.report, here).add_fault(code, _INDEX.sub("", error.message))
            return None


# The pointer tells it, and in the job as it was sent it may be another.
_INDEX: Final = re.compile(r"^layer \d+, ")


def _built(model: KerasObject) -> keras.Model:
    """Without its state: a layer that keeps one makes it at once, and only weights can be left out."""
    return build_model(consistency.without_state(model), pretrained=False)


def _build_metric(metric: str | KerasObject) -> Any:
    return build_metrics([metric])[0]


def _built_before(model: dict[str, Any] | None) -> keras.Model | None:
    """The model of an earlier job. What this Keras makes of it is no fault of the job that is checked."""
    if model is None:
        return None
    try:
        return _built(KerasObject.model_validate(model))
    except (ModelBuildError, ValidationError):
        return None


# Keras's words where something wants numbers of its own at once.
_NO_ROOM: Final = "while in a stateless scope"


def _try_callback(callback: KerasObject) -> None:
    if not _WRITERS & callback.config.keys():
        build_callback(callback)


def _is_bearable(summary: ModelSummary, most: int, at: Pointer) -> bool:
    needed = summary.memory.total
    if needed > most:
        (at / "model").add_fault(
            FaultCode.TOO_LARGE,
            f"The model has {summary.parameters:,} parameters and takes {needed / GIB:,.0f} GiB to train; this service "
            f"takes models up to {most / GIB:,.0f} GiB.",
            received=needed,
            expected=f"at most {most}",
        )
    return needed <= most


# --- Compared with the data ----------------------------------------------------------------------------------------


def _check_front(model: keras.Model, spec: PartialJob, at: Pointer) -> None:
    """Keras builds such a model from its first batch; its weights are to be known before, for checkpoints."""
    assert spec.model is not None
    if not _named_inputs(model) and spec.model.config["layers"][0]["class_name"] == "Functional":
        at.add_fault(
            FaultCode.NOT_SUPPORTED,
            "A Sequential cannot begin with a model of several inputs here.",
            expected="a Functional model that has these inputs",
        )


def _check_names(model: keras.Model, spec: PartialJob, at: Pointer) -> None:
    """Names that only Keras knows: those of the ends of an architecture, or of a model that begins with one."""
    assert spec.model is not None
    known = named_outputs.io_names(spec.model)
    inputs = list(_named_inputs(model)) or None if known.inputs is None else None
    outputs = list(model.output_names) if known.outputs is None else None
    if spec.data is not None:
        named_outputs.check_arrays(spec.data, named_outputs.IONames(inputs, outputs), at / "data")
    if outputs is not None:
        named_outputs.check_compile(spec.compile, named_outputs.IONames(None, outputs), at / "compile")


def _names_are_sound(spec: PartialJob) -> bool:
    """Whether the parse had nothing to say against the names of outputs: Keras would say the same once more."""
    report = Report()
    if spec.model is not None:
        named_outputs.check_compile(spec.compile, named_outputs.io_names(spec.model), Pointer(report))
    return not report.faults


def _named_inputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """What goes in, under the names that Keras has for it; nothing where the data will tell."""
    if isinstance(model, keras.Sequential):
        return _named_inputs(model._functional) if model._functional is not None else {}
    if isinstance(model.input, dict):
        return dict(model.input)
    return {tensor._keras_history.operation.name: tensor for tensor in model.inputs}


def _check_inputs(inputs: dict[str, keras.KerasTensor], spec: PartialJob, x: PreparedArrays, at: Pointer) -> None:
    assert spec.model is not None
    if input_layer(spec.model.model_dump()) is not None and None in x:
        return  # it was compared already, and a job that Keras is asked about may be wrong there
    for name, array in x.items():
        tensor = _input_for(name, inputs)
        if tensor is not None and not accepts_shape(shape := list(tensor.shape[1:]), array.shape[1:]):
            (at if name is None else at / name).add_fault(
                FaultCode.BAD_SHAPE,
                f"The model takes samples of shape {shape}, and the prepared data has {list(array.shape[1:])}.",
                received=list(array.shape[1:]),
                expected=str(shape),
            )


def _input_for(name: str | None, inputs: dict[str, keras.KerasTensor]) -> keras.KerasTensor | None:
    """Where an array goes; None where it is not known, or where the names are at fault already."""
    if name is None:
        return next(iter(inputs.values())) if len(inputs) == 1 else None
    return inputs.get(name)


def _check_values(
    model: keras.Model, inputs: dict[str, keras.KerasTensor], spec: PartialJob, arrays: _Arrays, at: Pointer
) -> None:
    """The numbers that go in, where something takes but some of them."""
    assert spec.model is not None
    for name in arrays.x:
        tensor = _input_for(name, inputs)
        embeddings = _embeddings_of(tensor) if tensor is not None else []
        if tensor is None or not (embeddings or tensor.dtype.startswith(("int", "uint"))):
            continue  # to read an array takes time
        values = arrays.values(name)
        for layer in embeddings:
            here = layer_pointer(spec.model, model, layer.name, at) / "config" / "input_dim"
            consistency.check_indices(values, layer.input_dim, here)
        if not embeddings:
            here = at / "data" / "x" if name is None else at / "data" / "x" / name
            consistency.warn_about_fractions(values, tensor.dtype, here)


def _embeddings_of(tensor: keras.KerasTensor) -> list[keras.layers.Embedding]:
    """The tables in which the numbers of this input are looked up as they are."""
    readers = {id(node.operation): node.operation for node in tensor._keras_history.operation._outbound_nodes}
    return [layer for layer in readers.values() if isinstance(layer, keras.layers.Embedding)]


def _check_state(model: keras.Model, spec: PartialJob, x: PreparedArrays, at: Pointer) -> None:
    """A layer that keeps its state from batch to batch knows batches of one size alone."""
    assert spec.model is not None
    first = next(iter(_named_inputs(model).values()), None)
    size, stateful = first.shape[0] if first is not None else None, consistency.stateful_pointers(spec.model)
    if stateful and size is None:
        Pointer(at.report, stateful[0]).add_fault(
            FaultCode.BAD_SHAPE,
            "A stateful layer must know the size of its batches.",
            expected="an InputLayer with a batch_shape, the size of a batch first",
        )
    if not x or not stateful or size is None or spec.fit is None:
        return
    samples = consistency.training_samples(spec, next(iter(x.values())))
    if spec.fit.batch_size != size or samples % size:
        at.add_fault(
            FaultCode.BAD_SHAPE,
            f"A stateful layer takes batches of {size} samples and no others; this job has {samples} samples in "
            f"batches of {spec.fit.batch_size}.",
            received=spec.fit.batch_size,
            expected=f"{size}, which must also divide the number of samples",
        )


def _check_targets(made: _Made, model: keras.Model, spec: PartialJob, arrays: _Arrays, at: Pointer) -> None:
    outputs, targets = model_outputs(model), arrays.targets()
    if isinstance(model, keras.Sequential) and len(outputs) and len(model.outputs) > 1:
        (at / "model").add_fault(
            FaultCode.NOT_SUPPORTED,
            f"This Sequential puts out {len(model.outputs)} tensors, and they have no names for targets to go to.",
            expected="a Functional model",
        )
        return
    for key, one in targets:
        name = next(iter(outputs), None) if key is None and len(outputs) == 1 else key
        if name in outputs:
            _check_target(key, name, one, spec, model, at)
    if targets:
        judge = TargetComparer(model, made.compiled(spec), _losses(spec), at)
        judge.compare(_first_batch(spec, dict(targets), arrays.weights))


def _check_target(
    key: str | None, name: str | None, targets: Targets, spec: PartialJob, model: keras.Model, at: Pointer
) -> None:
    """`key` is the name that the job has for the output, `name` the model's."""
    assert spec.data is not None
    assert spec.model is not None
    losses, tensor = _losses(spec), model_outputs(model)[name]
    layer = tensor._keras_history.operation
    prepare, loss = at / "data" / "prepare" / "y", at / "compile" / "loss"
    pointers = TargetPointers(
        prepare / key if key is not None and isinstance(spec.data.prepare.y, dict) else prepare,
        loss / name if name is not None and name in losses else loss,
        width_pointer(spec.model, model, layer.name, at),
    )
    asked = losses.get(name, losses.get(None))
    check_targets(targets, asked, Output(list(tensor.shape[1:]), _activation(layer)), pointers)
    if spec.fit is not None and spec.fit.class_weight is not None and key is None:
        check_class_weight(spec.fit.class_weight, targets, at / "fit" / "class_weight")


def _losses(spec: PartialJob) -> dict[str | None, str | KerasObject | None]:
    loss = spec.compile.loss
    return dict(loss.items()) if isinstance(loss, dict) else {None: loss}


def _first_batch(spec: PartialJob, targets: dict[str | None, Targets], weights: PreparedArrays) -> Batch:
    infos = {key: one.info for key, one in targets.items()}
    samples = next(iter(infos.values())).shape[0] or 1
    fit = spec.fit or FitSpec()
    # Weights for several outputs together are one number a sample; others are at fault already.
    found = {key: one for key, one in weights.items() if key is not None or len(targets) == 1 or len(one.shape) == 1}
    if fit.class_weight is not None and None in targets and len(targets[None].shape) <= 1:
        found.setdefault(None, ArrayInfo((samples,), "float32"))
    return Batch(min(fit.batch_size, samples), infos, found)


def _activation(layer: Any) -> str:
    """The name of the last activation before the end of the model."""
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[-1]
    activation = layer if isinstance(layer, keras.layers.Softmax) else getattr(layer, "activation", None)
    return getattr(activation, "__name__", "") or (type(activation).__name__.lower() if activation else "")


# --- The weights of another job ------------------------------------------------------------------------------------


def _check_initial_weights(made: _Made, model: keras.Model, at: Pointer) -> None:
    if made.initial is None:
        return
    own, other = stored_shapes(model), stored_shapes(made.initial)
    if own is None or other is None:
        return
    unfit = [path for path, shapes in own.items() if other.get(path) != shapes]
    if unfit:
        path = unfit[0]
        at.add_fault(
            FaultCode.CONFLICT,
            f"The weights of that job do not fit this model: for {path!r} it has the shapes {other.get(path, [])}.",
            received=other.get(path, []),
            expected=f"{own[path]}, as this model has there",
        )
    elif spare := [path for path in other if path not in own]:
        at.add_notice(NoticeCode.SUSPICIOUS, f"That job's model has weights that this one has not: {listed(spare)}.")
