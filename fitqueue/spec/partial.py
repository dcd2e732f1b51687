"""What is sound of a job, whatever else is wrong with it: enough to let Keras look for more faults at once."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fitqueue.spec.data import DataSpec
from fitqueue.spec.keras_objects.naming import Names
from fitqueue.spec.logged import named_metrics
from fitqueue.spec.training import (
    Factors,
    FitSpec,
    InitialWeights,
    KerasObject,
    Losses,
    Metrics,
    Resources,
    hints_of,
)

PartialObject = str | KerasObject | None
PartialLosses = PartialObject | dict[str, PartialObject]
PartialMetrics = list[PartialObject] | dict[str, list[PartialObject]]


class PartialCompile(BaseModel):
    model_config = ConfigDict(frozen=True)

    optimizer: KerasObject | None = None
    loss: PartialLosses = None
    metrics: PartialMetrics = Field(default_factory=list)
    weighted_metrics: PartialMetrics = Field(default_factory=list)
    loss_weights: Factors | None = None
    jit_compile: bool | str = "auto"
    steps_per_execution: int = 1

    @property
    def hints(self) -> list[str]:
        return hints_of(self.steps_per_execution, self.jit_compile)

    @property
    def whole_loss(self) -> Losses | None:
        """The loss, or the loss of each output; None if one of them is not sound."""
        if isinstance(self.loss, dict):
            losses = {output: one for output, one in self.loss.items() if one is not None}
            return losses if len(losses) == len(self.loss) else None
        return self.loss

    def named_metrics(self) -> dict[str, Metrics] | None:
        """`metrics` and `weighted_metrics`, with the names that Keras gives them; None if one of them is not sound."""
        names = Names()
        found: dict[str, Metrics] = {}
        for field, value in (("metrics", self.metrics), ("weighted_metrics", self.weighted_metrics)):
            whole = _whole(value)
            if whole is None:
                return None
            found[field] = named_metrics(whole, names)
        return found


class PartialJob(BaseModel):
    """The fields of a JobSpec, as far as they go; None in the place of what is faulty or missing."""

    model_config = ConfigDict(frozen=True)

    model: KerasObject | None = None
    model_is_whole: bool = Field(default=True, description="false: `model` ends before its first faulty layer")
    compile: PartialCompile = Field(default_factory=PartialCompile)
    data: DataSpec | None = None
    fit: FitSpec | None = None
    callbacks: list[KerasObject | None] = Field(default_factory=list)
    resources: Resources | None = None
    initial_weights: InitialWeights | None = None

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def partial_job(draft: Mapping[str, Any]) -> PartialJob:
    """Of a job whose Keras objects were checked already, the faulty ones among them replaced by FAULTY."""
    compiled = draft.get("compile")
    return PartialJob(
        model=_sound(draft.get("model")),
        compile=_sound_compile(compiled if isinstance(compiled, dict) else {}),
        data=_part(DataSpec, draft.get("data")),
        fit=_part(FitSpec, draft.get("fit", {})),
        callbacks=[_sound(one) for one in draft["callbacks"]] if isinstance(draft.get("callbacks"), list) else [],
        resources=_part(Resources, draft.get("resources", {})),
        initial_weights=_part(InitialWeights, draft.get("initial_weights")),
    )


def _sound_compile(draft: Mapping[str, Any]) -> PartialCompile:
    return PartialCompile(
        optimizer=_sound(draft.get("optimizer")),
        loss=_sound_losses(draft.get("loss")),
        metrics=_sound_metrics(draft.get("metrics", [])),
        weighted_metrics=_sound_metrics(draft.get("weighted_metrics", [])),
        **_sound_rest(draft),
    )


class _Rest(BaseModel):
    """What else the check needs of `compile`, each as a CompileSpec has it."""

    model_config = ConfigDict(strict=True)

    loss_weights: Factors | None = None
    jit_compile: bool | str = "auto"
    steps_per_execution: int = 1


def _sound_rest(draft: Mapping[str, Any]) -> dict[str, Any]:
    alone = ((name, _part(_Rest, {name: draft[name]})) for name in _Rest.model_fields if name in draft)
    return {name: getattr(part, name) for name, part in alone if part is not None}


def _sound_losses(value: Any) -> PartialLosses:
    if isinstance(value, dict) and "class_name" not in value:
        return {output: _sound_object(one) for output, one in value.items()}
    return _sound_object(value)


def _sound_metrics(value: Any) -> PartialMetrics:
    if isinstance(value, dict):
        return {output: _sound_objects(some) for output, some in value.items()}
    return _sound_objects(value)


def _sound_objects(values: Any) -> list[PartialObject]:
    return [_sound_object(one) for one in values] if isinstance(values, list) else [None]


def _sound_object(value: Any) -> PartialObject:
    return value if isinstance(value, str) else _sound(value)


def _sound(value: Any) -> KerasObject | None:
    part = _part(KerasObject, value)
    return part if part is not None and part.class_name else None


Part = TypeVar("Part", bound=BaseModel)


def _part(model: type[Part], value: Any) -> Part | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _whole(value: PartialMetrics) -> Metrics | None:
    """The metrics; None if one of them is not sound."""
    if isinstance(value, dict):
        by_output = {output: _all(some) for output, some in value.items()}
        whole = {output: some for output, some in by_output.items() if some is not None}
        return whole if len(whole) == len(value) else None
    return _all(value)


def _all(values: list[PartialObject]) -> list[str | KerasObject] | None:
    found = [one for one in values if one is not None]
    return found if len(found) == len(values) else None
