"""The names that training logs: the keys of the `logs` that Keras passes to callbacks at the end of each epoch."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fitqueue.spec.fields.training import CompileSpec, KerasObject, Losses, Metrics
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.naming import AutoNames

MAX_LOGGED_NAME: Final = 250
"""The longest name of a logged value, so that it can be recorded with `val_` in front."""

LEARNING_RATE_CALLBACKS: Final = frozenset({"ReduceLROnPlateau", "LearningRateScheduler"})
"""Callbacks that set the learning rate and log it as `learning_rate`."""

MAX_VALUES: Final = 100
"""The most values of a metric, such as one for each class, that are logged besides their mean."""


def names_of_values(name: str, count: int) -> list[str]:
    """Return the names under which the values of a metric are logged, besides their mean; none if there are many."""
    return [f"{name}/{i}" for i in range(count)] if 1 < count <= MAX_VALUES else []


def logged_names(
    metrics: Sequence[str | KerasObject], callbacks: Sequence[KerasObject], *, validated: bool
) -> tuple[str, ...]:
    """Return all names that training logs, in Keras's order."""
    names = epoch_names(metrics, validated=validated)
    if any(callback.class_name in LEARNING_RATE_CALLBACKS for callback in callbacks):
        return (*names, "learning_rate")
    return names


def epoch_names(metrics: Sequence[str | KerasObject], *, validated: bool) -> tuple[str, ...]:
    """Return the names that are logged at the end of an epoch, before any callback adds to them."""
    names = batch_names(metrics)
    return (*names, *(f"val_{name}" for name in names)) if validated else names


def batch_names(metrics: Sequence[str | KerasObject]) -> tuple[str, ...]:
    """Return the names that are logged after a batch. A repeated name gets a number, as in Keras."""
    seen: Counter[str] = Counter()
    # "loss" is not counted: Keras logs it apart from the metrics.
    names = ["loss"]
    for metric in metrics:
        name = _metric_name(metric)
        names.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return tuple(names)


def metrics_of(spec: CompileSpec, model: KerasObject) -> list[str | KerasObject]:
    """Return all metrics that training logs beside the loss, of all outputs."""
    return flat_metrics(spec.metrics, spec.weighted_metrics, spec.loss, output_names(model))


def flat_metrics(
    metrics: Metrics, weighted_metrics: Metrics, loss: Losses, outputs: Sequence[str]
) -> list[str | KerasObject]:
    """Return all metrics in one list. Those of one of several outputs are names that start with the output's name."""
    flat = [*_of_outputs(metrics, outputs), *_of_outputs(weighted_metrics, outputs)]
    with_loss = [name for name in outputs if not isinstance(loss, dict) or loss.get(name) is not None]
    return [*flat, *(f"{name}_loss" for name in with_loss)] if len(with_loss) > 1 else flat


def _of_outputs(metrics: Metrics, outputs: Sequence[str]) -> list[str | KerasObject]:
    if isinstance(metrics, list):
        return metrics
    if len(outputs) == 1:
        return [metric for output_metrics in metrics.values() for metric in output_metrics]
    return [f"{output}_{_metric_name(metric)}" for output in outputs for metric in metrics.get(output, [])]


def output_names(model: KerasObject) -> list[str]:
    """Return the names of a functional model's outputs; for any other model, one empty name for its only output."""
    outputs = model.config.get("output_layers")
    if isinstance(outputs, dict):
        return list(outputs)
    if not isinstance(outputs, list) or not outputs or isinstance(outputs[0], str):
        return [""]
    return [str(output[0]) for output in outputs]


def named_metrics(metrics: Metrics, names: AutoNames) -> Metrics:
    """Return the metrics, each object with the name that Keras would give it in a fresh process."""
    if isinstance(metrics, dict):
        return {output: _with_names(output_metrics, names) for output, output_metrics in metrics.items()}
    return _with_names(metrics, names)


def _with_names(metrics: Sequence[str | KerasObject], names: AutoNames) -> list[str | KerasObject]:
    return [metric if isinstance(metric, str) else _with_name(metric, names) for metric in metrics]


def _metric_name(metric: str | KerasObject) -> str:
    return metric if isinstance(metric, str) else str(metric.config["name"])


def _with_name(metric: KerasObject, names: AutoNames) -> KerasObject:
    if metric.config.get("name") is not None:
        return metric
    entry = catalogue.kind("metrics").classes[metric.class_name]
    name = entry.properties["name"].get("default") or names.next(metric.class_name)
    return metric.model_copy(update={"config": {**metric.config, "name": name}})


def direction(monitor: str, metrics: Sequence[str | KerasObject]) -> str | None:
    """Return the direction that Keras takes for better if a callback's mode is `auto`.

    Returns:
        "up" or "down"; None if Keras cannot tell.
    """
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
