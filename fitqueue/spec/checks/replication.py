"""What of a job cannot be computed by several replicas of its model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.training import KerasObject


@dataclass(frozen=True)
class Obstacle:
    """Why a job trains on one device, however many it has, and where the job says what stands in the way."""

    pointer: str
    why: str


def obstacles(model: KerasObject | None, optimizer: KerasObject | None) -> Iterator[Obstacle]:
    """What stands in the way of several replicas; None stands for what is faulty already."""
    if optimizer is not None:
        yield from _of_optimizer(optimizer.config, "/compile/optimizer/config")
    if model is not None:
        yield from _of_state(model)
        yield from _of_regularizers(model)


def _of_optimizer(config: Mapping[str, Any], pointer: str) -> Iterator[Obstacle]:
    inner = config.get("inner_optimizer")
    if isinstance(inner, Mapping):  # a LossScaleOptimizer holds the one that counts
        yield from _of_optimizer(inner["config"], f"{pointer}/inner_optimizer/config")
        return
    if config.get("gradient_accumulation_steps"):
        here = f"{pointer}/gradient_accumulation_steps"
        yield Obstacle(here, "Keras cannot accumulate gradients on several devices")
    if config.get("use_ema") and config.get("ema_overwrite_frequency"):
        here = f"{pointer}/ema_overwrite_frequency"
        yield Obstacle(here, "Keras cannot overwrite weights by their average on several devices")


def _of_state(model: KerasObject) -> Iterator[Obstacle]:
    for pointer, _, config in objects_in(model):
        if config.get("stateful"):
            why = "A layer that keeps its state from batch to batch has no more than one state"
            yield Obstacle(f"{pointer}/config/stateful", why)


def _of_regularizers(model: KerasObject) -> Iterator[Obstacle]:
    found = list(objects_in(model))
    regularized = any(
        config.get("activity_regularizer") or class_name == _REGULARIZATION for _, class_name, config in found
    )
    for pointer, _, config in found:
        if regularized and config.get("synchronized"):
            why = "Keras mixes up what activity regularizers add where a BatchNormalization is synchronized"
            yield Obstacle(f"{pointer}/config/synchronized", why)


_REGULARIZATION: Final = "ActivityRegularization"


def objects_in(model: KerasObject) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The model and all objects in it: the pointer, class and config of each."""
    return _objects({"class_name": model.class_name, "config": model.config}, "/model")


def _objects(value: Any, pointer: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("config"), dict):
            yield pointer, str(value.get("class_name")), value["config"]
        for key, inner in value.items():
            yield from _objects(inner, f"{pointer}/{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _objects(inner, f"{pointer}/{i}")
