"""A call of `fit` as a job: the JSON to POST, and the arrays that go with it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from fitqueue.errors import Fault
from fitqueue.fit import batches, models
from fitqueue.fit.arguments import with_argument
from fitqueue.fit.arrays import Array, NotNumbers, to_array
from fitqueue.fit.batch_sizes import chosen_sizes
from fitqueue.fit.callbacks import Callbacks, describe_callbacks
from fitqueue.fit.data import DataReader, FitData, first_array
from fitqueue.fit.framework import floatx_of, framework_of
from fitqueue.fit.plain import plain, report_not_finite
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.spec import ArrayInfo, DatasetInfo, examine_job, invalid_job
from fitqueue.spec.findings import FaultCode, Findings, Pointer, TooManyFaults
from fitqueue.views import Notice

PLACEHOLDER: Final = "uploaded"
"""Stands for the id of the data set that is not uploaded yet."""


@dataclass(frozen=True)
class FitCall:
    """The arguments of `model.fit` that have other values than data, by Keras's names."""

    epochs: int = 1
    batch_size: int | None = None
    callbacks: Any = None
    validation_split: float = 0.0
    shuffle: bool | str = True
    class_weight: Any = None
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
    project: str = DEFAULT_PROJECT
    labels: Mapping[str, str] | None = None
    pool: str | None = None
    priority: int | None = None
    preemptible: bool = False
    seed: int | None = None
    save_optimizer: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the job that have other values than the default."""
        resources = {"gpus": self.gpus, "pool": self.pool}
        fields = {
            "name": self.name,
            "project": self.project if self.project != DEFAULT_PROJECT else None,
            "labels": self.labels or None,
            "priority": self.priority,
            "preemptible": self.preemptible or None,
            "seed": self.seed,
            "save_optimizer": self.save_optimizer or None,
            "resources": {name: value for name, value in resources.items() if value},
        }
        return {name: plain(value) for name, value in fields.items() if value is not None and value != {}}


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
        self._model, self._call = model, call
        self._keras = framework_of(model)
        self._findings = Findings()
        self._pointer = Pointer(self._findings)
        self._data = DataReader(self._pointer / "data", floatx_of(self._keras), on_bytes)
        self._callbacks = Callbacks([], [], [])
        self._reported: list[str] = []
        """The pointers of what cannot be sent: what else is wrong there is of no interest."""
        self._body: dict[str, Any] = options.to_json()

    def describe(self, x: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        self._body["fit"] = self._describe_fit()
        data = self._data.training(
            FitData(x, y, sample_weight), _product(self._call.steps_per_epoch, self._call.epochs)
        )
        self._use_batches(data)
        can_be_built = self._build_from(data.x)
        if can_be_built:
            self._body["model"] = self._take(models.describe_model(self._model, self._pointer / "model"))
        self._body["compile"] = self._take(models.describe_compilation(self._model, self._pointer / "compile"))
        self._describe_callbacks()
        if self._body.get("model") is not None:
            self._body["data"] = self._describe_data(data, validation_data)
            self._choose_batch_sizes()
        for root in ("fit", "compile", "callbacks", "model"):
            report_not_finite(self._body.get(root), self._pointer / root)

    def result(self) -> Described:
        body = {name: value for name, value in self._body.items() if value is not None}
        if not self._findings.faults or "data" in body:
            infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in self._data.arrays.items()}
            examined = examine_job(body, lambda _: DatasetInfo(PLACEHOLDER, infos))
            self._findings.faults += [fault for fault in examined.faults if not self._is_reported(fault)]
        if self._findings.faults:
            labels = self._callbacks.labels
            raise invalid_job([with_argument(fault, body.get("model"), labels) for fault in self._findings.faults])
        return Described(body, self._data.arrays, self._findings.notices)

    def _take(self, described: tuple[Any, list[str]]) -> Any:
        value, code = described
        self._reported += code
        return value

    def _is_reported(self, fault: Fault) -> bool:
        reported = [*self._reported, *self._data.reported, *(found.pointer for found in self._findings.faults)]
        return any(fault.pointer == pointer or fault.pointer.startswith(f"{pointer}/") for pointer in reported)

    # --- The parts of a job -------------------------------------------------------------------------------------------

    def _describe_fit(self) -> dict[str, Any]:
        call, pointer = self._call, self._pointer / "fit"
        if call.initial_epoch:
            message = "A job begins with epoch 0. Extend a job, or train the model again, to go on from where it is."
            (pointer / "initial_epoch").add_fault(FaultCode.NOT_SUPPORTED, message, plain(call.initial_epoch), "0")
        if call.shuffle == "batch":
            message = "A job shuffles samples, and not batches. Give True or False."
            (pointer / "shuffle").add_fault(FaultCode.NOT_SUPPORTED, message, "batch", "true or false")
        fields = {
            "epochs": call.epochs,
            "batch_size": call.batch_size,
            "shuffle": call.shuffle,
            "class_weight": call.class_weight,
            "steps_per_epoch": call.steps_per_epoch,
            "validation_steps": call.validation_steps,
            "validation_batch_size": call.validation_batch_size,
            "validation_freq": call.validation_freq,
            "validation_split": call.validation_split,
        }
        return {name: plain(value) for name, value in fields.items() if value is not None}

    def _use_batches(self, data: FitData) -> None:
        if data.taken is None:
            return
        shuffled = data.taken.shuffled
        self._body["fit"] |= {"batch_size": data.taken.sizes[0]} | ({} if shuffled is None else {"shuffle": shuffled})
        if self._call.validation_split:
            message = "It takes its part of arrays, and x comes in batches. Give validation_data."
            pointer = self._pointer / "fit" / "validation_split"
            pointer.add_fault(FaultCode.CONFLICT, message, plain(self._call.validation_split), "0")

    def _describe_callbacks(self) -> None:
        rate = getattr(getattr(self._model, "optimizer", None), "learning_rate", 0.0)
        is_scheduled = isinstance(rate, self._keras.optimizers.schedules.LearningRateSchedule)
        self._callbacks = describe_callbacks(
            self._call.callbacks,
            None if is_scheduled else float(rate),
            plain(self._call.epochs),
            self._pointer / "callbacks",
        )
        self._reported += self._callbacks.code
        self._body["callbacks"] = self._callbacks.data

    def _build_from(self, x: Any) -> bool:
        try:
            shape = to_array(first_array(x), "float32").shape
        except NotNumbers:
            return True  # it is reported with the data
        return models.build_from(self._model, shape, self._keras, self._pointer / "model")

    def _describe_data(self, data: FitData, validation_data: Any) -> dict[str, Any]:
        names = models.io_names(self._body["model"])
        described = {"dataset": PLACEHOLDER, **self._data.named(data, names, is_validation=False)}
        if validation_data is not None:
            validation = self._data.validation(validation_data, self._call.validation_steps)
            if validation.taken is not None:
                self._body["fit"]["validation_batch_size"] = validation.taken.sizes[0]
            fields = self._data.named(validation, names, is_validation=True)
            # In place of what cannot be sent, so that all the rest of the call can be checked.
            described["validation"] = fields or {name: described[name] for name in ("x", "y") if name in described}
        return described

    def _choose_batch_sizes(self) -> None:
        samples = self._samples(self._body["data"])
        steps = [self._body["fit"].get(name) for name in ("steps_per_epoch", "validation_steps")]
        if samples and all(isinstance(count, int | None) for count in steps):  # other values are refused
            validation = self._samples(self._body["data"].get("validation", {}))
            self._body["fit"] |= chosen_sizes(self._body["fit"], samples, validation)

    def _samples(self, fields: Mapping[str, Any]) -> int | None:
        """Return how many samples the inputs have that these fields name."""
        names = fields.get("x")
        name = next(iter(names.values()), None) if isinstance(names, Mapping) else names
        array = self._data.arrays.get(name) if name is not None else None
        return len(array) if array is not None and array.ndim else None


def _product(steps: Any, epochs: Any) -> int | None:
    """Return how many batches `fit` takes; None if it does not say so."""
    return int(steps) * int(epochs) if isinstance(steps, int) and isinstance(epochs, int) else None
