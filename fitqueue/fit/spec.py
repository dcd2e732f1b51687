"""A call of `fit` as a job: the JSON to POST, and the arrays that go with it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from fitqueue.errors import Fault
from fitqueue.fit import batches, models
from fitqueue.fit.arguments import argument_of
from fitqueue.fit.arrays import Array, by_names
from fitqueue.fit.callbacks import describe_callbacks
from fitqueue.fit.framework import framework_of
from fitqueue.spec import ArrayInfo, DatasetInfo, examine_job, invalid_job
from fitqueue.spec.findings import FaultCode, Findings, Pointer, TooManyFaults
from fitqueue.views import Notice

PLACEHOLDER: Final = "uploaded"
"""Stands for the id of the data set that is not uploaded yet."""

_PARTS: Final = ("x", "y", "sample_weight")


@dataclass(frozen=True)
class FitCall:
    """The arguments of `model.fit` that have other values than data, by Keras's names."""

    epochs: int = 1
    batch_size: int | None = None
    callbacks: Sequence[Any] | None = None
    validation_split: float = 0.0
    shuffle: bool | str = True
    class_weight: Mapping[Any, float] | None = None
    initial_epoch: int = 0
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    validation_batch_size: int | None = None
    validation_freq: int | Sequence[int] = 1


@dataclass(frozen=True)
class JobOptions:
    """What a job has beside a `fit`."""

    gpus: int = 0
    name: str | None = None
    labels: Mapping[str, str] | None = None
    pool: str | None = None
    priority: int | None = None
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the job that have other values than the default."""
        resources = {"gpus": self.gpus, "pool": self.pool}
        fields = {
            "name": self.name,
            "labels": dict(self.labels) if self.labels else None,
            "priority": self.priority,
            "seed": self.seed,
            "resources": {name: value for name, value in resources.items() if value},
        }
        return {name: value for name, value in fields.items() if value not in (None, {})}


Options = TypeVar("Options", FitCall, JobOptions)


@dataclass(frozen=True)
class Described:
    """A job that can be sent.

    Attributes:
        spec: `data.dataset` is PLACEHOLDER until the arrays are uploaded.
        arrays: by their names in the data set.
    """

    spec: dict[str, Any]
    arrays: dict[str, Array]
    notices: list[Notice] = field(default_factory=list)


def describe(
    model: Any, x: Any, y: Any, sample_weight: Any, validation_data: Any, call: FitCall, options: JobOptions,
    on_bytes: batches.OnBytes = lambda _: None,
) -> Described:  # fmt: skip
    """Return a call of `fit` as a job. Nothing is sent.

    Args:
        on_bytes: called while data is taken that comes in batches.

    Raises:
        TypeError: `model` is not a Keras model.
        InvalidSpec: names all that cannot be sent, with the argument that it is in.
    """
    description = _Description(model, call, options, on_bytes)
    with suppress(TooManyFaults):
        description.describe(x, y, sample_weight, validation_data)
    return description.result()


def spec_of(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    validation_data: Any = None,
    **arguments: Any,
) -> dict[str, Any]:
    """Return the job that `client.fit` would send with the same arguments, as JSON: to look at, or to keep.

    Its `data.dataset` is a placeholder, because nothing is uploaded.

    Raises:
        TypeError: the model is not a Keras model, or `fit` has no such argument.
        InvalidSpec: names all that cannot be sent.
    """
    call, options = _taken(FitCall, arguments), _taken(JobOptions, arguments)
    if arguments:
        raise TypeError(f"fit has no argument {next(iter(arguments))!r}")
    return describe(model, x, y, sample_weight, validation_data, call, options).spec


def _taken(kind: type[Options], arguments: dict[str, Any]) -> Options:
    """Take the arguments that belong to this class out of all of them."""
    return kind(**{each.name: arguments.pop(each.name) for each in fields(kind) if each.name in arguments})


class _Description:
    """Collects the parts of one job, and what is wrong with them."""

    def __init__(self, model: Any, call: FitCall, options: JobOptions, on_bytes: batches.OnBytes) -> None:
        self._model, self._call, self._options, self._on_bytes = model, call, options, on_bytes
        self._keras = framework_of(model)
        self._findings = Findings()
        self._pointer = Pointer(self._findings)
        self._code: list[str] = []
        """The pointers of what is code: what else is wrong there is of no interest."""
        self._arrays: dict[str, Array] = {}
        self._body: dict[str, Any] = options.to_json()

    def describe(self, x: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        self._body["fit"] = self._describe_fit()
        if batches.come_in_batches(x):
            x, y, sample_weight = self._collect(x, y, sample_weight)
        self._build_from(x)
        self._body["model"] = self._take(models.describe_model(self._model, self._pointer / "model"))
        self._body["compile"] = self._take(models.describe_compilation(self._model, self._pointer / "compile"))
        self._body["callbacks"] = self._take(self._describe_callbacks())
        if self._body["model"] is not None:
            self._body["data"] = self._describe_data(x, y, sample_weight, validation_data)

    def result(self) -> Described:
        body = {name: value for name, value in self._body.items() if value is not None}
        if not self._findings.faults or "data" in body:
            infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in self._arrays.items()}
            examined = examine_job(body, lambda _: DatasetInfo(PLACEHOLDER, infos))
            self._findings.faults += [fault for fault in examined.faults if not self._is_code(fault)]
        if self._findings.faults:
            raise invalid_job([_with_argument(fault, body) for fault in self._findings.faults])
        return Described(body, self._arrays, self._findings.notices)

    def _take(self, described: tuple[Any, list[str]]) -> Any:
        value, code = described
        self._code += code
        return value

    def _is_code(self, fault: Fault) -> bool:
        return any(fault.pointer == code or fault.pointer.startswith(f"{code}/") for code in self._code)

    # --- The parts of a job -------------------------------------------------------------------------------------------

    def _describe_fit(self) -> dict[str, Any]:
        call = self._call
        if call.initial_epoch:
            message = "A job begins with epoch 0. Extend a job, or train the model again, to go on from where it is."
            (self._pointer / "fit" / "initial_epoch").add_fault(
                FaultCode.NOT_SUPPORTED, message, call.initial_epoch, "0"
            )
        frequency = call.validation_freq
        fields = {
            "epochs": call.epochs,
            "batch_size": call.batch_size,
            "shuffle": bool(call.shuffle),
            "class_weight": _with_text_keys(call.class_weight),
            "steps_per_epoch": call.steps_per_epoch,
            "validation_steps": call.validation_steps,
            "validation_batch_size": call.validation_batch_size,
            "validation_freq": frequency if isinstance(frequency, int) else list(frequency),
            "validation_split": call.validation_split,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _describe_callbacks(self) -> tuple[list[dict[str, Any]], list[str]]:
        rate = getattr(getattr(self._model, "optimizer", None), "learning_rate", 0.0)
        is_scheduled = isinstance(rate, self._keras.optimizers.schedules.LearningRateSchedule)
        own = [callback for callback in self._call.callbacks or () if type(callback).__name__ not in _ADDED_BY_KERAS]
        return describe_callbacks(
            own, None if is_scheduled else float(rate), self._call.epochs, self._pointer / "callbacks"
        )

    def _build_from(self, x: Any) -> None:
        shape = getattr(x, "shape", None)
        if shape is not None:
            models.build_from(self._model, (None, *shape[1:]), self._keras)

    def _collect(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        pointer = self._pointer / "data" / "x"
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                message = f"x yields its own {name}, as for model.fit: leave the argument {name} out."
                (self._pointer / "data" / name).add_fault(FaultCode.CONFLICT, message, None, "None")
        try:
            found = batches.collect(x, self._on_bytes)
        except batches.NoEnd as error:
            pointer.add_fault(FaultCode.TOO_LARGE, f"x cannot be sent: {error}", type(x).__name__, "batches that end")
        except ValueError as error:
            message = f"x cannot be sent: {error}"
            pointer.add_fault(FaultCode.WRONG_TYPE, message, type(x).__name__, "batches of arrays")
        else:
            self._body["fit"] |= {"batch_size": found.batch_size, "shuffle": found.shuffled}
            return found.x, found.y, found.sample_weight
        return None, None, None

    def _describe_data(self, x: Any, y: Any, sample_weight: Any, validation_data: Any) -> dict[str, Any]:
        data: dict[str, Any] = {"dataset": PLACEHOLDER, **self._arrays_of((x, y, sample_weight), "", "data")}
        if validation_data is not None:
            parts = self._validation_parts(validation_data)
            data["validation"] = self._arrays_of(parts, "val_", "data/validation")
        return data

    def _validation_parts(self, given: Any) -> tuple[Any, Any, Any]:
        pointer = self._pointer / "data" / "validation"
        if batches.come_in_batches(given):
            try:
                found = batches.collect(given, self._on_bytes)
            except ValueError as error:
                message = f"validation_data cannot be sent: {error}"
                pointer.add_fault(FaultCode.WRONG_TYPE, message, type(given).__name__, "batches of arrays")
                return None, None, None
            self._body["fit"].setdefault("validation_batch_size", found.batch_size)
            return found.x, found.y, found.sample_weight
        if isinstance(given, tuple | list) and len(given) in (2, 3):
            x, y, weight = [*given, None][:3]
            return x, y, weight
        pointer.add_fault(
            FaultCode.WRONG_TYPE, "validation_data is a tuple (x, y) or (x, y, sample_weight).", type(given).__name__,
            "a tuple, or batches",
        )  # fmt: skip
        return None, None, None

    def _arrays_of(self, parts: tuple[Any, Any, Any], prefix: str, pointer: str) -> dict[str, Any]:
        """Keep the arrays of x, y and sample_weight; return their names as the fields of a job."""
        inputs, outputs = models.io_names(self._model, self._keras)
        floatx = self._keras.config.floatx() if hasattr(self._keras, "config") else self._keras.backend.floatx()
        named: dict[str, Any] = {}
        for part, value, names in zip(_PARTS, parts, (inputs, outputs, outputs), strict=True):
            if value is None:
                continue
            where = self._pointer
            for key in (*pointer.split("/"), part):
                where = where / key
            argument = f"validation_data's {part}" if prefix else part
            found = by_names(value, names, argument, floatx, where)
            labels = {name: f"{prefix}{part}" + (f".{name}" if len(names) > 1 else "") for name in found}
            self._arrays |= {labels[name]: array for name, array in found.items()}
            named[part] = labels if len(names) > 1 else next(iter(labels.values()), f"{prefix}{part}")
        return named


_ADDED_BY_KERAS: Final = frozenset({"History", "ProgbarLogger", "BaseLogger"})
"""Callbacks that Keras adds to every training."""


def _with_text_keys(weights: Mapping[Any, float] | None) -> dict[str, float] | None:
    if weights is None:
        return None
    return {str(label): float(weight) for label, weight in weights.items()}


def _with_argument(fault: Fault, body: Mapping[str, Any]) -> Fault:
    argument = argument_of(fault.pointer, body)
    if not argument or fault.message.startswith(argument):
        return fault
    return fault.model_copy(update={"message": f"{argument}: {fault.message}"})
