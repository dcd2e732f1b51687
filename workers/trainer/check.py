"""The check of a job that needs Keras: its model is built, without a weight, and compared with the rest of the job.

Keras is the judge: its layers find their shapes, and its loss and metrics are called on symbols that have the shapes
of the first batch. What Keras lets pass though it goes wrong later is in `fitqueue/spec/agreement.py`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import keras
from keras.src.backend import compute_output_spec
from keras.src.trainers.compile_utils import CompileLoss, CompileMetrics

from fitqueue.checking import Answer, Question
from fitqueue.spec import FitSpec, KerasObject, SoundJob, agreement
from fitqueue.spec.agreement import Prepared
from fitqueue.spec.base import Enough, FaultCode, Place, Report, listed
from fitqueue.spec.data import parts
from fitqueue.spec.fitting import takes
from fitqueue.spec.model import input_shape
from fitqueue.views import ModelSummary
from workers.trainer import data
from workers.trainer.build import build_callback, build_loss, build_metrics, build_model, build_optimizer
from workers.trainer.objects import ModelBuildError, keras_words
from workers.trainer.summary import summarize

Made = TypeVar("Made")

GIB: Final = 1024**3

# Arguments of callbacks that write: Keras must not make those here, and what they name is checked without it.
_WRITERS: Final = {"filepath", "filename", "log_dir", "backup_dir", "schedule"}


Say = Callable[[str], None]


def check(question: Question, say: Say) -> Answer:
    """What is wrong with the job, and the summary of its model if it can be built.

    To be called in a process of its own that has its limits: a model can be made to take any time and memory. `say`
    is told the pointer of each thing before it is made: the last one is that of which the process died.
    """
    spec = SoundJob.model_validate(question.spec)
    report = Report()
    summary = None
    with suppress(Enough):
        at = Place(report)
        made = _Made(spec, at, say)
        x, y = _prepared(spec, question)
        agreement.check_fit(spec, x, at)
        agreement.check_devices(spec, at)
        if made.model is None:
            return Answer(faults=report.faults, notices=report.notices)
        # What is not known yet of a faulty job takes the least memory.
        fit, optimizer = spec.fit or FitSpec(batch_size=1), spec.compile.optimizer or KerasObject(class_name="SGD")
        summary = summarize(made.model, optimizer, fit.batch_size)
        if _is_bearable(summary, question.max_bytes, at):
            _check_inputs(made.model, spec, x, at / "data" / "x")
            if spec.model_is_whole:
                _check_state(made.model, spec, x, at / "fit" / "batch_size")
                _check_targets(made, spec, y, at)
                agreement.check_targets(spec, y.get(None), _labels(spec, question), _outputs(made.model), at)
    return Answer(faults=report.faults, notices=report.notices, summary=summary)


def _prepared(spec: SoundJob, question: Question) -> tuple[Prepared, Prepared]:
    data = spec.data
    if data is None:
        return {}, {}
    x, y = parts(data.x, data.prepare.x), parts(data.y, data.prepare.y)
    return agreement.prepared(x, question.arrays), agreement.prepared(y, question.arrays)


class _Made:
    """What Keras made of the job; None for what it refused."""

    def __init__(self, spec: SoundJob, at: Place, say: Say) -> None:
        self._at = at
        self._say = say
        compiled = spec.compile
        # An optimizer has numbers of its own from the start, for which the scope below has no room.
        self._make("/compile/optimizer", build_optimizer, compiled.optimizer)
        with keras.StatelessScope(initialize_variables=False):
            self.loss = self._make("/compile/loss", build_loss, compiled.whole_loss)
            self.metrics = self._make_all("/compile/metrics", _build_metric, _only(compiled.metrics))
            self._make_all("/callbacks", _try_callback, spec.callbacks)
            self.model = self._make("/model", _built, spec.model, FaultCode.INVALID_MODEL)

    def _make_all(self, pointer: str, make: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return [self._make(f"{pointer}/{i}", make, item) for i, item in enumerate(items)]

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
            Place(self._at.report, here).fault(code, _INDEX.sub("", error.message))
            return None


# The pointer tells it, and in the job as it was sent it may be another.
_INDEX: Final = re.compile(r"^layer \d+, ")


def _built(model: KerasObject) -> keras.Model:
    """Without its state: a layer that keeps one makes it at once, and only weights can be left out."""
    return build_model(agreement.without_state(model), pretrained=False)


def _build_metric(metric: str | KerasObject) -> Any:
    return build_metrics([metric])[0]


def _only(metrics: Any) -> list[str | KerasObject | None]:
    return metrics if isinstance(metrics, list) else []


# Keras's words where something wants numbers of its own at once.
_NO_ROOM: Final = "while in a stateless scope"


def _try_callback(callback: KerasObject) -> None:
    if not _WRITERS & callback.config.keys():
        build_callback(callback)


def _is_bearable(summary: ModelSummary, most: int, at: Place) -> bool:
    needed = summary.memory.total
    if needed > most:
        (at / "model").fault(
            FaultCode.TOO_LARGE,
            f"The model has {summary.parameters:,} parameters and takes {needed / GIB:,.0f} GiB to train; this service "
            f"takes models up to {most / GIB:,.0f} GiB.",
            received=needed,
            expected=f"at most {most}",
        )
    return needed <= most


# --- Compared with the data ----------------------------------------------------------------------------------------


def _check_inputs(model: keras.Model, spec: SoundJob, x: Prepared, at: Place) -> None:
    assert spec.model is not None
    if input_shape(spec.model.model_dump()) is not None and None in x:
        return  # it was compared already, and a job that Keras is asked about may be wrong there
    wanted: dict[str | None, list[int | None]] = {
        tensor._keras_history.operation.name: list(tensor.shape[1:]) for tensor in model.inputs
    }
    if None in x:
        if len(wanted) > 1:
            at.fault(
                FaultCode.BAD_SHAPE,
                f"The model has {len(wanted)} inputs, and the job has one array for them.",
                expected=f"an object with an array for each of {listed([str(name) for name in wanted])}",
            )
            return
        [wanted[None]] = wanted.values()
    for name, array in x.items():
        shape = wanted.get(name)
        if shape is not None and not takes(shape, array.shape[1:]):
            (at if name is None else at / name).fault(
                FaultCode.BAD_SHAPE,
                f"The model takes samples of shape {shape}, and the prepared data has {list(array.shape[1:])}.",
                received=list(array.shape[1:]),
                expected=str(shape),
            )


def _check_state(model: keras.Model, spec: SoundJob, x: Prepared, at: Place) -> None:
    """A layer that keeps its state from batch to batch knows batches of one size alone."""
    assert spec.model is not None
    size, stateful = model.inputs[0].shape[0], agreement.stateful(spec.model)
    if stateful and size is None:
        Place(at.report, stateful[0]).fault(
            FaultCode.BAD_SHAPE,
            "A stateful layer must know the size of its batches.",
            expected="an InputLayer with a batch_shape, the size of a batch first",
        )
    if not x or not stateful or size is None or spec.fit is None:
        return
    samples = agreement.trained_samples(spec, next(iter(x.values())))
    if spec.fit.batch_size != size or samples % size:
        at.fault(
            FaultCode.BAD_SHAPE,
            f"A stateful layer takes batches of {size} samples and no others; this job has {samples} samples in "
            f"batches of {spec.fit.batch_size}.",
            received=spec.fit.batch_size,
            expected=f"{size}, which must also divide the number of samples",
        )


def _symbol(tensor: keras.KerasTensor, batch: int) -> keras.KerasTensor:
    return keras.KerasTensor((batch, *tensor.shape[1:]), tensor.dtype)


def _check_targets(made: _Made, spec: SoundJob, y: Prepared, at: Place) -> None:
    model = made.model
    assert model is not None
    if None in y and len(model.outputs) == 1:
        batch = min((spec.fit or FitSpec()).batch_size, y[None].shape[0] or 1)
        symbols = keras.KerasTensor((batch, *y[None].shape[1:]), y[None].dtype), _symbol(model.outputs[0], batch)
        _compare(made, spec, symbols, at)


def _compare(made: _Made, spec: SoundJob, symbols: tuple[keras.KerasTensor, keras.KerasTensor], at: Place) -> None:
    """Let Keras's loss and each metric see targets and outputs, as it does at the first batch."""
    if made.loss is not None:
        _see(CompileLoss(made.loss), symbols, at / "compile" / "loss", agreement.advice(spec, *_shapes(symbols)))
    for i, metric in enumerate(made.metrics):
        if metric is not None:
            _see(CompileMetrics([metric], None).update_state, symbols, at / "compile" / "metrics" / i)


def _see(
    judge: Callable[..., Any], symbols: tuple[keras.KerasTensor, keras.KerasTensor], at: Place, advice: str = ""
) -> None:
    try:
        with keras.StatelessScope(initialize_variables=False):
            compute_output_spec(judge, *symbols)
    except Exception as error:
        targets, outputs = ([None, *symbol.shape[1:]] for symbol in symbols)
        at.fault(
            FaultCode.BAD_TARGETS,
            f"It cannot compare targets of shape {_shown(targets)} with outputs of shape {_shown(outputs)}: "
            f"{keras_words(error)}{advice}",
            received=targets,
            expected=f"targets that fit outputs of shape {_shown(outputs)}",
        )


def _shapes(symbols: Iterable[keras.KerasTensor]) -> list[list[int | None]]:
    return [list(symbol.shape[1:]) for symbol in symbols]


def _shown(shape: list[int | None]) -> str:
    return str(shape).replace("None", "null")


def _outputs(model: keras.Model) -> agreement.Outputs | None:
    if len(model.outputs) != 1:
        return None
    [output] = model.outputs
    last = output._keras_history.operation
    while isinstance(last, keras.Model) and last.layers:
        last = last.layers[-1]
    activation = last if isinstance(last, keras.layers.Softmax) else getattr(last, "activation", None)
    name = getattr(activation, "__name__", "") or (type(activation).__name__.lower() if activation else "")
    return agreement.Outputs(list(output.shape[1:]), name, output._keras_history.operation.name)


# --- Labels --------------------------------------------------------------------------------------------------------

_READABLE_BYTES: Final = 64 * 1024**2


def _labels(spec: SoundJob, question: Question) -> agreement.Labels | None:
    """What the raw targets are, if they are labels: known of a built-in set, read from a user's file if it is small."""
    if question.classes is not None:
        return agreement.Labels(0, question.classes - 1)
    name = spec.data.y if spec.data is not None else None
    if not isinstance(name, str) or question.dataset_path is None:
        return None
    if name not in question.arrays or agreement.size(question.arrays[name]) > _READABLE_BYTES:
        return None
    try:
        values = data.read_npz(Path(question.dataset_path), {name})[name]
    except data.DataError:
        return None
    if values.size == 0 or (values.dtype.kind == "f" and not (values == values.round()).all()):
        return None
    return agreement.Labels(int(values.min()), int(values.max()))
