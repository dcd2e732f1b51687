"""What of a job cannot be computed by several replicas of its model."""

from collections.abc import Iterator, Mapping
from typing import Any

from fitqueue.spec.job import JobSpec


def obstacle(spec: JobSpec) -> str | None:
    """Why this job trains on one device, however many it has; None where it trains on all of them."""
    optimizer = _innermost(spec.compile.optimizer.config)
    if optimizer.get("gradient_accumulation_steps"):
        return "Keras cannot accumulate gradients on several devices"
    if optimizer.get("use_ema") and optimizer.get("ema_overwrite_frequency"):
        return "Keras cannot overwrite weights by their average on several devices"
    layers = list(_configs(spec.model.config))
    if any(config.get("stateful") for config in layers):
        return "A layer that keeps its state from batch to batch has no more than one state"
    regularized = any(config.get("activity_regularizer") for config in layers) or any(
        one == "ActivityRegularization" for one in _class_names(spec.model.config)
    )
    if regularized and any(config.get("synchronized") for config in layers):
        return "Keras mixes up what activity regularizers add where a BatchNormalization is synchronized"
    return None


def _innermost(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A LossScaleOptimizer holds the one that counts."""
    inner = config.get("inner_optimizer")
    return _innermost(inner["config"]) if isinstance(inner, Mapping) else config


def _configs(value: Any) -> Iterator[Mapping[str, Any]]:
    """The config itself and all inside it."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _configs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _configs(inner)


def _class_names(value: Any) -> Iterator[str]:
    return (config["class_name"] for config in _configs(value) if isinstance(config.get("class_name"), str))
