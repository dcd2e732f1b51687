"""What a training logs: the names of the values that Keras hands to callbacks at the end of each epoch."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.naming import Names
from fitqueue.spec.training import CompileSpec, KerasObject, Losses, Metrics

if TYPE_CHECKING:
    from fitqueue.spec.job import JobSpec


RATE_SETTERS: Final = frozenset({"ReduceLROnPlateau", "LearningRateScheduler"})
"""Callbacks that set the learning rate, and log it as `learning_rate`."""


def logged_names(spec: "JobSpec") -> tuple[str, ...]:
    """All names that the job logs, in Keras's order."""
    names = epoch_names(metrics_of(spec.compile, spec.model), validated=spec.is_validated)
    if any(callback.class_name in RATE_SETTERS for callback in spec.callbacks):
        return (*names, "learning_rate")
    return names


def epoch_names(metrics: Sequence[str | KerasObject], *, validated: bool) -> tuple[str, ...]:
    """What stands in the logs at the end of an epoch before any callback has added to them."""
    training = training_names(metrics)
    return (*training, *(f"val_{name}" for name in training)) if validated else training


def training_names(metrics: Sequence[str | KerasObject]) -> tuple[str, ...]:
    """What stands in the logs after a batch. A name that comes again is numbered, as Keras numbers it."""
    seen: Counter[str] = Counter()
    # The loss is no rival for its name: Keras keeps it under its own.
    names = ["loss"]
    for metric in metrics:
        name = _name(metric)
        names.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return tuple(names)


def metrics_of(spec: CompileSpec, model: KerasObject) -> list[str | KerasObject]:
    """All metrics that the training logs beside its loss, whichever output they look at."""
    return flat_metrics(spec.metrics, spec.weighted_metrics, spec.loss, output_names(model))


def flat_metrics(metrics: Metrics, weighted: Metrics, loss: Losses, outputs: Sequence[str]) -> list[str | KerasObject]:
    """The same from its parts. What belongs to one of several outputs is a name that begins with the output's."""
    found = [*_of_outputs(metrics, outputs), *_of_outputs(weighted, outputs)]
    compared = [name for name in outputs if not isinstance(loss, dict) or name in loss]
    return [*found, *(f"{name}_loss" for name in compared)] if len(compared) > 1 else found


def _of_outputs(metrics: Metrics, outputs: Sequence[str]) -> list[str | KerasObject]:
    if isinstance(metrics, list):
        return metrics
    if len(outputs) == 1:
        return [metric for some in metrics.values() for metric in some]
    return [f"{output}_{_name(metric)}" for output in outputs for metric in metrics.get(output, [])]


def output_names(model: KerasObject) -> list[str]:
    """Of a functional model the names of its outputs, as Keras has them; of any other the only one's, empty."""
    ends = model.config.get("output_layers")
    if isinstance(ends, dict):
        return list(ends)
    if not isinstance(ends, list) or not ends or isinstance(ends[0], str):
        return [""]
    return [str(end[0]) for end in ends]


def named_metrics(metrics: Metrics, names: Names) -> Metrics:
    """The metrics, each object with the name that Keras would give it in a fresh process."""
    if isinstance(metrics, dict):
        return {output: _all_named(some, names) for output, some in metrics.items()}
    return _all_named(metrics, names)


def _all_named(metrics: Sequence[str | KerasObject], names: Names) -> list[str | KerasObject]:
    return [metric if isinstance(metric, str) else _named(metric, names) for metric in metrics]


def _name(metric: str | KerasObject) -> str:
    return metric if isinstance(metric, str) else str(metric.config["name"])


def _named(metric: KerasObject, names: Names) -> KerasObject:
    if metric.config.get("name") is not None:
        return metric
    entry = catalogue.kind("metrics").classes[metric.class_name]
    name = entry.properties["name"].get("default") or names.next(metric.class_name)
    return metric.model_copy(update={"config": {**metric.config, "name": name}})


def direction(monitor: str, metrics: Sequence[str | KerasObject]) -> str | None:
    """Which way Keras takes for better where a callback's mode is `auto`: "up", "down", or None: it cannot tell."""
    name = monitor.removeprefix("val_")
    if name == "loss":
        return "down"
    known = catalogue.kind("metrics")
    for metric in metrics:
        if isinstance(metric, str):
            if metric == name:
                return known.directions.get(name)
        elif metric.config["name"] == name:
            return known.classes[metric.class_name].direction
    return None
