"""A whole job: read strictly when a person speaks (`parse_job`), leniently when it comes back (`read_job`)."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from fitqueue.datasets import BUILTIN, DatasetInfo
from fitqueue.errors import Fault, InvalidSpec, MalformedJSON
from fitqueue.spec.checks import named_outputs, shapes
from fitqueue.spec.checks.callbacks import (
    check_checkpoints,
    check_logged,
    check_optimizer,
    check_validated_names,
    in_logged_names,
    without_needless,
)
from fitqueue.spec.data import DataSpec
from fitqueue.spec.filepath import COUNTERS
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.objects import FAULTY, check_object
from fitqueue.spec.logged import flat_metrics, logged_names, output_names
from fitqueue.spec.partial import PartialJob, partial_job
from fitqueue.spec.report import MAX_FAULTS, FaultCode, Pointer, Report, TooManyFaults, listed
from fitqueue.spec.strict import EACH, Strict, form, report_validation_error
from fitqueue.spec.strict_json import parse_json
from fitqueue.spec.training import (
    MAX_OBJECTS,
    CompileSpec,
    FitSpec,
    InitialWeights,
    KerasObject,
    Resources,
)
from fitqueue.views import Notice

MAX_SEED: Final = 2**32 - 1

FindDataset = Callable[[str], DatasetInfo | None]
LabelKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Field(max_length=255)]


class JobSpec(Strict):
    """A job as the service understood it, defaults filled in."""

    name: str | None = Field(default=None, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")
    model: KerasObject
    compile: CompileSpec
    data: DataSpec
    fit: FitSpec = Field(default_factory=FitSpec)
    callbacks: list[KerasObject] = Field(default_factory=list, max_length=MAX_OBJECTS)
    resources: Resources = Field(default_factory=Resources)
    initial_weights: InitialWeights | None = None
    priority: int = Field(default=0, ge=-100, le=100, description="higher is sooner")
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="drawn when the job is made, if not given")
    deterministic: bool = Field(
        default=False, description="only operations that give the same bits each time, on a GPU too; slower"
    )
    max_runtime_seconds: int | None = Field(default=None, ge=1, le=366 * 24 * 3600)
    max_attempts: int = Field(default=5, ge=1, le=100)
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=64)

    def to_json(self) -> dict[str, Any]:
        """What is stored and shown; `read_job` reads it back."""
        return self.model_dump(mode="json")

    @property
    def is_validated(self) -> bool:
        """Whether an epoch of the training ends with a validation, so that the logs have `val_…`."""
        return (self.data.validation is not None or self.fit.validation_split > 0) and self.fit.validates


@dataclass(frozen=True)
class ParsedJob:
    spec: JobSpec
    notices: list[Notice]


@dataclass(frozen=True)
class ExaminedJob:
    """What was understood of a job that a person wrote. `spec` is there if nothing is wrong with it."""

    spec: JobSpec | None
    sound: PartialJob
    """Empty where there are too many faults to go on."""
    faults: list[Fault]
    notices: list[Notice]


def read_job(stored: Mapping[str, Any]) -> JobSpec:
    """A job that was parsed before, by this version or another. Unknown fields are ignored."""
    return JobSpec.model_validate(stored, strict=False, extra="ignore")


def parse_job(raw: Any, find_dataset: FindDataset) -> ParsedJob:
    """The job that a person wrote, as the value of its JSON. Raises InvalidSpec, which names all faults at once.

    `find_dataset` is asked for what is no built-in data set.
    """
    examined = examine_job(raw, find_dataset)
    if examined.spec is None:
        raise invalid_job(examined.faults)
    return ParsedJob(examined.spec, examined.notices)


def examine_job(raw: Any, find_dataset: FindDataset) -> ExaminedJob:
    """As `parse_job`; of a job with faults, the faults and what is sound beside them."""
    report = Report()
    at = Pointer(report)
    spec, sound = None, PartialJob()
    if isinstance(raw, dict):
        with suppress(TooManyFaults):
            spec, sound = _examined(raw, find_dataset, at)
    else:
        at.fault(FaultCode.WRONG_TYPE, "Expected an object.", raw, "an object")
    return ExaminedJob(spec, sound, report.faults, report.notices)


def _examined(raw: dict[str, Any], find_dataset: FindDataset, at: Pointer) -> tuple[JobSpec | None, PartialJob]:
    """The spec if the job has no fault, and its sound parts. Raises Enough where there are too many faults to name."""
    draft = _with_checked_objects(raw, at)
    spec = None
    try:
        spec = JobSpec.model_validate(draft)
    except ValidationError as error:
        report_validation_error(error, JobSpec, at)
    parts = _with_sound_layers(partial_job(draft), raw.get("model"), at / "model")
    parts = parts.model_copy(update={"model": _check_together(parts, _is_validated(draft), find_dataset, at)})
    return None if spec is None or at.report.faults else _finished(spec, parts, at), parts


def _finished(spec: JobSpec, parts: PartialJob, at: Pointer) -> JobSpec:
    """With what follows from the rest of the job, and under the names that the job logs."""
    seed = secrets.randbelow(MAX_SEED) if spec.seed is None else spec.seed
    compiled = spec.compile.model_copy(update=parts.compile.named_metrics())
    spec = spec.model_copy(update={"model": parts.model, "compile": compiled, "seed": seed})
    callbacks = in_logged_names(spec.callbacks, logged_names(spec), at / "callbacks")
    return spec.model_copy(update={"callbacks": without_needless(callbacks, at / "callbacks")})


def _is_validated(draft: Mapping[str, Any]) -> bool:
    data, fit = (part if isinstance(part, dict) else {} for part in (draft.get("data"), draft.get("fit")))
    return bool(data.get("validation") or fit.get("validation_split"))


def _with_sound_layers(parts: PartialJob, raw: Any, at: Pointer) -> PartialJob:
    """Where the model is a Sequential with a faulty layer, with the layers before that one, which can be built."""
    if parts.model is not None or not isinstance(raw, dict) or not isinstance(raw.get("config"), dict):
        return parts
    layers = raw["config"].get("layers")
    sound = _first_fault_among(at / "config" / "layers")
    if raw.get("class_name") != "Sequential" or not isinstance(layers, list) or not sound:
        return parts
    beginning = {**raw, "config": {**raw["config"], "layers": layers[:sound]}}
    model = check_object(beginning, "layers", Pointer(Report()))
    return (
        parts if model is FAULTY else parts.model_copy(update={"model": KerasObject(**model), "model_is_whole": False})
    )


def _first_fault_among(items: Pointer) -> int:
    """The index of the first item of a list that has a fault; 0 if none has."""
    pattern = re.compile(re.escape(items.text) + r"/(\d+)(/|$)")
    found = [int(match[1]) for fault in items.report.faults if (match := pattern.match(fault.pointer))]
    return min(found, default=0)


def invalid_job(faults: Sequence[Fault]) -> InvalidSpec:
    count = len(faults)
    message = "The job has a fault." if count == 1 else f"The job has {count} faults."
    if count >= MAX_FAULTS:
        message = f"The job has many faults. The first {MAX_FAULTS} are named."
    return InvalidSpec(message, errors=list(faults[:MAX_FAULTS]))


# --- First the objects of Keras, each for itself -------------------------------------------------------------------


def _with_checked_objects(raw: dict[str, Any], at: Pointer) -> dict[str, Any]:
    draft = dict(raw)
    if "model" in raw:
        draft["model"] = _checked_model(raw["model"], at / "model")
    if isinstance(raw.get("compile"), dict):
        draft["compile"] = _checked_compile(raw["compile"], at / "compile")
    if isinstance(raw.get("callbacks"), list):
        draft["callbacks"] = _checked_list(raw["callbacks"], "callbacks", at / "callbacks")
    return draft


def _checked_model(value: Any, at: Pointer) -> Any:
    """`model.to_json()` gives a string: that is as good as what it holds."""
    if isinstance(value, str):
        try:
            value = parse_json(value.encode("utf-8", "surrogatepass"))
        except MalformedJSON as error:
            at.fault(FaultCode.WRONG_TYPE, f"A model in a string is JSON. {error.message}", value, "JSON")
            return FAULTY
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        if value["class_name"] not in catalogue.MODELS and not catalogue.is_application(value["class_name"]):
            (at / "class_name").fault(
                FaultCode.UNKNOWN_CLASS,
                "A model is a Sequential, a Functional, or an architecture of keras.applications.",
                received=value["class_name"],
                expected="'Sequential', 'Functional', or a name such as 'ResNet50'",
            )
            return FAULTY
    elif isinstance(value, str):
        at.fault(FaultCode.WRONG_TYPE, "Expected an object.", value, "an object")
        return FAULTY
    return check_object(value, "layers", at)


def _checked_compile(value: dict[str, Any], at: Pointer) -> dict[str, Any]:
    draft = dict(value)
    if "optimizer" in value:
        draft["optimizer"] = check_object(value["optimizer"], "optimizers", at / "optimizer")
    if "loss" in value:
        draft["loss"] = _checked_loss(value["loss"], at / "loss")
    for name in ("metrics", "weighted_metrics"):
        if name in value:
            draft[name] = _checked_metrics(value[name], at / name)
    return draft


def _checked_loss(value: Any, at: Pointer) -> Any:
    if value and form(value) == EACH.tag:
        return {output: check_object(one, "losses", at / output) for output, one in value.items()}
    return check_object(value, "losses", at)


def _checked_metrics(value: Any, at: Pointer) -> Any:
    if value and form(value) == EACH.tag:
        # Keras takes a metric alone for a list of one; what is stored is always a list.
        return {
            output: _checked_list(some if isinstance(some, list) else [some], "metrics", at / output)
            for output, some in value.items()
        }
    return _checked_list(value, "metrics", at) if isinstance(value, list) else value


_TAKEN_NAMES: Final = (*COUNTERS, "loss")


def _checked_list(values: list[Any], kind: str, at: Pointer) -> list[Any]:
    """One more than may be there is kept, so that the list is found to be too long and no time goes into the rest."""
    checked = [check_object(value, kind, at / i) for i, value in enumerate(values[: MAX_OBJECTS + 1])]
    for i, one in enumerate(checked):
        if kind == "metrics" and isinstance(one, dict) and one["config"].get("name") in _TAKEN_NAMES:
            (at / i / "config" / "name").fault(
                FaultCode.BAD_NAME,
                "A metric of this name would hide what Keras itself calls so.",
                received=one["config"]["name"],
                expected="another name than " + listed(_TAKEN_NAMES),
            )
    return checked


# --- Then the parts together ---------------------------------------------------------------------------------------


def _check_together(parts: PartialJob, validated: bool, find_dataset: FindDataset, at: Pointer) -> KerasObject | None:
    """Check what no part can know alone. The model comes back, with an input where only the data tells its shape.

    `validated`: whether the job means to be validated, be the rest of its data sound or not.
    """
    model, compiled = parts.model, parts.compile
    loss, metrics = compiled.whole_loss, compiled.named_metrics()
    if model is not None:
        _check_names(parts, named_outputs.io_names(model), at)
    if parts.data is not None:
        info = _dataset(parts.data.dataset, find_dataset, at / "data" / "dataset")
        if info is not None:
            shape = shapes.check_data(parts.data, info, at / "data")
            if model is not None and shape is not None:
                model = shapes.match_input_shape(model, shape, at / "model")
    if parts.data is not None and parts.fit is not None:
        shapes.check_validation(parts.data, parts.fit, validated, at / "fit")
        shapes.check_class_weight(parts.data, parts.fit, at / "fit" / "class_weight")
    if compiled.optimizer is not None:
        check_optimizer(parts.callbacks, compiled.optimizer, at / "callbacks")
    if metrics is not None and loss is not None and model is not None:
        flat = flat_metrics(metrics["metrics"], metrics["weighted_metrics"], loss, output_names(model))
        check_logged(parts.callbacks, flat, _not_validated(validated, parts.fit), at / "callbacks")
    if parts.fit is not None:
        check_validated_names(parts.callbacks, parts.fit.validation_freq, at / "callbacks")
    check_checkpoints(parts.callbacks, at / "callbacks")
    return model


def _check_names(parts: PartialJob, ends: named_outputs.IONames, at: Pointer) -> None:
    if parts.data is not None:
        named_outputs.check_arrays(parts.data, ends, at / "data")
    named_outputs.check_compile(parts.compile, ends, at / "compile")


def _not_validated(validated: bool, fit: FitSpec | None) -> str | None:
    """Why no epoch ends with a validation; None where one does."""
    if not validated:
        return "The job has no validation data: give `data.validation` or `fit.validation_split`."
    if fit is not None and not fit.validates:
        return f"None of the {fit.epochs} epochs is validated: see `fit.validation_freq`."
    return None


def _dataset(name: str, find_dataset: FindDataset, at: Pointer) -> DatasetInfo | None:
    info = BUILTIN[name].info if name in BUILTIN else find_dataset(name)
    if info is None:
        shapes.fault_unknown_dataset(name, at)
    return info
