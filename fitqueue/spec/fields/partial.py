"""The valid parts of a job that also has faults: enough for Keras to look for further faults in the same request."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fitqueue.spec.fields.data import DataSpec
from fitqueue.spec.fields.logged import named_metrics
from fitqueue.spec.fields.training import (
    FitSpec,
    InitialWeights,
    KerasObject,
    Losses,
    LossWeights,
    Metrics,
    Resources,
    single_device_options,
)
from fitqueue.spec.keras_objects.naming import AutoNames

PartialObject = str | KerasObject | None
PartialLosses = PartialObject | dict[str, PartialObject]
PartialMetrics = list[PartialObject] | dict[str, list[PartialObject]]


class PartialCompile(BaseModel):
    """The fields of a CompileSpec that other checks need; None stands for what is faulty or missing."""

    model_config = ConfigDict(frozen=True)

    optimizer: KerasObject | None = None
    loss: PartialLosses = None
    loss_is_complete: bool = Field(default=True, description="false: a loss is faulty, so null may stand for a fault")
    metrics: PartialMetrics = Field(default_factory=list)
    weighted_metrics: PartialMetrics = Field(default_factory=list)
    loss_weights: LossWeights | None = None
    jit_compile: bool | str = "auto"
    steps_per_execution: int = 1
    dtype_policy: str = "float32"

    @property
    def single_device_options(self) -> list[str]:
        """The arguments in use that Keras supports on one device only."""
        return single_device_options(self.steps_per_execution, self.jit_compile)

    @property
    def complete_loss(self) -> Losses | None:
        """The loss, or the loss of each output; None if one of them is faulty."""
        return self.loss if self.loss_is_complete else None

    def named_metrics(self) -> dict[str, Metrics] | None:
        """Return `metrics` and `weighted_metrics` with the names that Keras gives them; None if one is faulty."""
        names = AutoNames()
        named: dict[str, Metrics] = {}
        for field, partial in (("metrics", self.metrics), ("weighted_metrics", self.weighted_metrics)):
            metrics = _complete_metrics(partial)
            if metrics is None:
                return None
            named[field] = named_metrics(metrics, names)
        return named


class PartialJob(BaseModel):
    """The fields of a JobSpec that other checks need; None stands for what is faulty or missing."""

    model_config = ConfigDict(frozen=True)

    model: KerasObject | None = None
    model_is_complete: bool = Field(default=True, description="false: `model` ends before its first faulty layer")
    compile: PartialCompile = Field(default_factory=PartialCompile)
    data: DataSpec | None = None
    fit: FitSpec | None = None
    callbacks: list[KerasObject | None] = Field(default_factory=list)
    resources: Resources | None = None
    initial_weights: InitialWeights | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the job as the model checker gets it."""
        return self.model_dump(mode="json")


def partial_job(draft: Mapping[str, Any]) -> PartialJob:
    """Return the valid parts of a job whose Keras objects have been checked, with FAULTY in place of faulty ones."""
    compiled = draft.get("compile")
    callbacks = draft.get("callbacks")
    return PartialJob(
        model=_partial_object(draft.get("model")),
        compile=_partial_compile(compiled if isinstance(compiled, dict) else {}),
        data=_valid_or_none(DataSpec, draft.get("data")),
        fit=_valid_or_none(FitSpec, draft.get("fit", {})),
        callbacks=[_partial_object(callback) for callback in callbacks] if isinstance(callbacks, list) else [],
        resources=_valid_or_none(Resources, draft.get("resources", {})),
        initial_weights=_valid_or_none(InitialWeights, draft.get("initial_weights")),
    )


def _partial_compile(draft: Mapping[str, Any]) -> PartialCompile:
    return PartialCompile(
        optimizer=_partial_object(draft.get("optimizer")),
        loss=_partial_losses(draft.get("loss")),
        loss_is_complete=_all_valid(draft.get("loss")),
        metrics=_partial_metrics(draft.get("metrics", [])),
        weighted_metrics=_partial_metrics(draft.get("weighted_metrics", [])),
        **_partial_options(draft),
    )


class _Options(BaseModel):
    """The other fields of a CompileSpec that checks need, with its types."""

    model_config = ConfigDict(strict=True)

    loss_weights: LossWeights | None = None
    jit_compile: bool | str = "auto"
    steps_per_execution: int = 1


def _partial_options(draft: Mapping[str, Any]) -> dict[str, Any]:
    given = [name for name in _Options.model_fields if name in draft]
    one_by_one = {name: _valid_or_none(_Options, {name: draft[name]}) for name in given}
    return {name: getattr(options, name) for name, options in one_by_one.items() if options is not None}


def _partial_losses(value: Any) -> PartialLosses:
    if isinstance(value, dict) and "class_name" not in value:
        return {output: _partial_object_or_name(loss) for output, loss in value.items()}
    return _partial_object_or_name(value)


def _all_valid(losses: Any) -> bool:
    by_output = losses.values() if isinstance(losses, dict) and "class_name" not in losses else [losses]
    return all(loss is None or _partial_object_or_name(loss) is not None for loss in by_output)


def _partial_metrics(value: Any) -> PartialMetrics:
    if isinstance(value, dict):
        return {output: _partial_list(metrics) for output, metrics in value.items()}
    return _partial_list(value)


def _partial_list(values: Any) -> list[PartialObject]:
    return [_partial_object_or_name(value) for value in values] if isinstance(values, list) else [None]


def _partial_object_or_name(value: Any) -> PartialObject:
    return value if isinstance(value, str) else _partial_object(value)


def _partial_object(value: Any) -> KerasObject | None:
    keras_object = _valid_or_none(KerasObject, value)
    return keras_object if keras_object is not None and keras_object.class_name else None


Model = TypeVar("Model", bound=BaseModel)


def _valid_or_none(model: type[Model], value: Any) -> Model | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _complete_metrics(partial: PartialMetrics) -> Metrics | None:
    """Return the metrics; None if one of them is faulty."""
    if isinstance(partial, dict):
        by_output = {output: _complete_list(metrics) for output, metrics in partial.items()}
        complete = {output: metrics for output, metrics in by_output.items() if metrics is not None}
        return complete if len(complete) == len(partial) else None
    return _complete_list(partial)


def _complete_list(partial: list[PartialObject]) -> list[str | KerasObject] | None:
    complete = [metric for metric in partial if metric is not None]
    return complete if len(complete) == len(partial) else None
