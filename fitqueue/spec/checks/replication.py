"""Find what several replicas of a model cannot compute."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.checks.optimizers import applying_config
from fitqueue.spec.fields.training import KerasObject

_ACTIVITY_REGULARIZATION: Final = "ActivityRegularization"


@dataclass(frozen=True)
class Obstacle:
    """Why a job must train on one device, and a pointer to the argument that causes it."""

    pointer: str
    reason: str


def obstacles(model: KerasObject | None, optimizer: KerasObject | None) -> Iterator[Obstacle]:
    """Yield what rules out several replicas; None stands for a faulty model or optimizer."""
    if optimizer is not None:
        config, inner_pointer = applying_config(optimizer)
        yield from _in_optimizer(config, f"/compile/optimizer/config{inner_pointer}")
    if model is not None:
        yield from _in_stateful_layers(model)
        yield from _in_normalization(model)


def _in_optimizer(config: Mapping[str, Any], pointer: str) -> Iterator[Obstacle]:
    if config.get("gradient_accumulation_steps"):
        reason = "Keras cannot accumulate gradients on several devices"
        yield Obstacle(f"{pointer}/gradient_accumulation_steps", reason)
    if config.get("use_ema") and config.get("ema_overwrite_frequency"):
        reason = "Keras cannot overwrite weights by their moving average on several devices"
        yield Obstacle(f"{pointer}/ema_overwrite_frequency", reason)


def _in_stateful_layers(model: KerasObject) -> Iterator[Obstacle]:
    for pointer, _, config in objects_in(model):
        if config.get("stateful"):
            yield Obstacle(f"{pointer}/config/stateful", "A stateful layer has one state, not one for each device")


def _in_normalization(model: KerasObject) -> Iterator[Obstacle]:
    objects = list(objects_in(model))
    regularized = any(
        config.get("activity_regularizer") or class_name == _ACTIVITY_REGULARIZATION
        for _, class_name, config in objects
    )
    for pointer, _, config in objects:
        if regularized and config.get("synchronized"):
            reason = "Keras miscalculates activity regularizers beside a synchronized BatchNormalization"
            yield Obstacle(f"{pointer}/config/synchronized", reason)


def objects_in(model: KerasObject) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the pointer, class name and config of the model and of each object in it."""
    return _objects_in({"class_name": model.class_name, "config": model.config}, "/model")


def _objects_in(value: Any, pointer: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("config"), dict):
            yield pointer, str(value.get("class_name")), value["config"]
        for key, inner in value.items():
            yield from _objects_in(inner, f"{pointer}/{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _objects_in(inner, f"{pointer}/{i}")
